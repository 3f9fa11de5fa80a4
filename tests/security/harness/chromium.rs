//! A real browser: Chromium, driven by the scripts in `tests/browser`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::gateway::Gateway;
use super::wait::within_minutes;

/// Names under which systems have Chromium.
const EXECUTABLES: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Runs a script against the gateway; it fails the test with what it wrote.
pub async fn run(gateway: &Gateway, script: &str, given: &Value) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setting = json!({
        "modules": modules(),
        "chromium": executable(),
        "address": gateway.https().to_string(),
        // For whoever wants to look at the pages.
        "pictures": std::env::var("BROWSER_PICTURES").ok(),
    });
    let output = Command::new("node")
        .arg(root.join("tests/browser").join(script))
        .arg(given.to_string())
        .env("BROWSER", setting.to_string())
        .kill_on_drop(true)
        .output();
    let output = within_minutes("a browser's journey", output).await.expect("node is needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

/// Where `scripts/browser.sh` put the packages.
fn modules() -> PathBuf {
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
