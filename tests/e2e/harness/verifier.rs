//! What an upstream verifies assertions with: the snippets of `docs/identity.md`, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::gateway::Gateway;
use super::wait::within;

const DOCUMENTED: &str = include_str!("../../../docs/identity.md");
const PLACE: &str = "https://localhost:8443/";

/// A process that verifies; it ends with this value.
pub struct Verifier {
    name: &'static str,
    assertions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
    _directory: TempDir,
}

impl Verifier {
    /// PyJWT.
    pub fn python(gateway: &Gateway) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("{}{}", snippet("python"), include_str!("../../verifiers/ask.py"));
        let file = write(&directory, "verify.py", &text, gateway);
        let mut command = Command::new("python3");
        command.arg(file).env("PYTHONPATH", packages().join("python"));
        Self::start("PyJWT", command, directory)
    }

    /// jose.
    pub fn javascript(gateway: &Gateway) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("{}{}", snippet("javascript"), include_str!("../../verifiers/ask.mjs"));
        let file = write(&directory, "verify.mjs", &text, gateway);
        let modules = packages().join("node_modules");
        std::os::unix::fs::symlink(modules, directory.path().join("node_modules")).unwrap();
        let mut command = Command::new("node");
        command.arg(file);
        Self::start("jose", command, directory)
    }

    fn start(name: &'static str, mut command: Command, directory: TempDir) -> Self {
        let process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut process = process.expect("python3 and node are needed");
        Self {
            name,
            assertions: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
            _directory: directory,
        }
    }

    /// What the assertion says, or why it does not hold.
    pub async fn verify(&mut self, assertion: &str) -> Result<Value, String> {
        self.assertions.write_all(format!("{assertion}\n").as_bytes()).await.unwrap();
        let line = within(self.name, self.answers.next_line()).await.unwrap();
        let answer: Value = serde_json::from_str(&line.expect("a verifier ended")).unwrap();
        match answer["refused"].as_str() {
            Some(refused) => Err(format!("{}: {refused}", self.name)),
            None => Ok(answer["facts"].clone()),
        }
    }
}

/// The one in that language.
fn snippet(language: &str) -> &'static str {
    let (_, rest) = DOCUMENTED.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

fn write(directory: &TempDir, name: &str, text: &str, gateway: &Gateway) -> PathBuf {
    assert!(text.contains(PLACE), "{text}");
    let file = directory.path().join(name);
    std::fs::write(&file, text.replace(PLACE, &format!("http://{}/", gateway.http()))).unwrap();
    file
}

/// Where `scripts/verifiers.sh` put them.
fn packages() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_guarita")).ancestors().nth(2).unwrap();
    let packages = target.join("verifiers");
    assert!(packages.is_dir(), "scripts/verifiers.sh was not run; `make test` does");
    packages
}
