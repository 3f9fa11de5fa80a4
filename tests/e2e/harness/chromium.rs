//! A real browser: Chromium, driven by the scripts in `tests/browser`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::gateway::Gateway;
use super::wait::within_minutes;

/// Names under which systems have Chromium.
const EXECUTABLES: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Runs a script against the gateway; it fails the test with what it wrote. What the script asks for,
/// a line each, is answered with a line.
#[expect(clippy::disallowed_methods, reason = "whoever wants pictures asks for them")]
pub async fn run(
    gateway: &Gateway,
    script: &str,
    given: &Value,
    mut answer: impl AsyncFnMut(&str) -> String,
) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setting = json!({
        "modules": modules(),
        "chromium": executable(),
        "address": gateway.https().to_string(),
        // For whoever wants to look at the pages.
        "pictures": std::env::var("BROWSER_PICTURES").ok(),
    });
    let mut process = Command::new("node")
        .arg(root.join("tests/browser").join(script))
        .arg(given.to_string())
        .env("BROWSER", setting.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is needed");
    let mut answers = process.stdin.take().unwrap();
    let mut questions = BufReader::new(process.stdout.take().unwrap()).lines();
    let output = within_minutes("a browser's journey", async {
        while let Some(question) = questions.next_line().await.unwrap() {
            let line = format!("{}\n", answer(&question).await);
            answers.write_all(line.as_bytes()).await.unwrap();
        }
        process.wait_with_output().await.unwrap()
    });
    let output = output.await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

/// Where `scripts/browser.sh` put the packages.
pub fn modules() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_guarita")).ancestors().nth(2).unwrap();
    let modules = target.join("browser");
    assert!(modules.is_dir(), "scripts/browser.sh was not run; `make test` does");
    modules
}

fn executable() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = EXECUTABLES
        .iter()
        .flat_map(|name| places.iter().map(move |place| place.join(name)))
        .chain(["/Applications/Chromium.app/Contents/MacOS/Chromium".into()])
        .find(|candidate| candidate.is_file());
    found.expect("Chromium is needed; `make test` installs it")
}
