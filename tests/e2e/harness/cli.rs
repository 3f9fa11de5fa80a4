//! Runs verbs of the executable.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::wait::within_minutes;

/// What a verb ended with.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The executable in a directory, with nothing of the tests' own environment that it reads.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guarita"));
    command.current_dir(directory).kill_on_drop(true);
    command
}

/// Runs the executable to its end.
pub async fn run(directory: &Path, arguments: &[&str], input: &str) -> Outcome {
    finish(command(directory).args(arguments), input).await
}

pub async fn finish(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A verb that reads nothing may have ended already.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = within_minutes("a verb to end", child.wait_with_output()).await.unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Sends a signal, by its short name, to a process of ours.
pub async fn signal(process: u32, name: &str) {
    let status =
        Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().await;
    assert!(status.unwrap().success());
}
