//! The schema of the executable under test, at a URL.

/// Makes it.
pub(crate) fn migrate(url: &str) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("guarita.toml");
    std::fs::write(&config, "[[listeners]]\naddress = \"127.0.0.1:8080\"\n").unwrap();
    let migrated = std::process::Command::new(env!("CARGO_BIN_EXE_guarita"))
        .args(["migrate", "--config"])
        .arg(&config)
        .current_dir(directory.path())
        .env("GUARITA_STORE__DATABASE", url)
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
}
