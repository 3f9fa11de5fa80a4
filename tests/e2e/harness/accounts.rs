//! The accounts of a gateway to be. The command line makes them once for all tests that want the same.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::kept::kept;
use super::migration::migrate;
use super::setup::{Setup, password_of};
use super::{cli, database, sample_database};

const FILE: &str = "guarita.db";

/// Makes a directory ready, with the accounts.
pub async fn prepare(directory: &Path, setup: &Setup) {
    let Some(name) = name(setup) else {
        setup.write(directory);
        return create(directory, setup).await;
    };
    if !setup.is_on_file() {
        setup.copy_database(&name);
        return setup.write(directory);
    }
    setup.write(directory);
    let kept = kept(&format!("{name}.db"), |place| {
        let (place, setup) = (place.to_owned(), setup.clone());
        sample_database::wait(move || async move { keep(&place, &setup).await });
    });
    let data = directory.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::copy(&kept, data.join(FILE)).unwrap();
}

/// Makes the file that others are copied from.
async fn keep(place: &Path, setup: &Setup) {
    // Elsewhere, so that the first has nothing that the others have not.
    let elsewhere = tempfile::tempdir().unwrap();
    setup.write(elsewhere.path());
    create(elsewhere.path(), setup).await;
    let file = elsewhere.path().join("data").join(FILE);
    // What was written last may be beside the file yet.
    let told = database::execute(&file, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert!(told.iter().all(|told| told.starts_with("0|")), "{told:?}");
    fs::copy(file, place).unwrap();
}

/// Makes the accounts at the URL of an empty database, which others are copied from.
pub fn keep_at(url: &str, setup: Setup) {
    migrate(url);
    let setup = setup.set("store.database", &format!("\"{url}\""));
    sample_database::wait(move || async move {
        let elsewhere = tempfile::tempdir().unwrap();
        setup.write(elsewhere.path());
        create(elsewhere.path(), &setup).await;
    });
}

/// The name of what such accounts are copied from; none where they hang on more than who they are.
fn name(setup: &Setup) -> Option<String> {
    setup.users().next()?;
    let mut hasher = DefaultHasher::new();
    // Who makes them, and how.
    for executable in [env!("CARGO_BIN_EXE_guarita").into(), std::env::current_exe().unwrap()] {
        let executable: fs::Metadata = fs::metadata(executable).unwrap();
        (executable.len(), executable.modified().unwrap()).hash(&mut hasher);
    }
    setup.what_accounts_hang_on()?.hash(&mut hasher);
    setup.users().for_each(|user| user.hash(&mut hasher));
    Some(format!("accounts_{:016x}", hasher.finish()))
}

async fn create(directory: &Path, setup: &Setup) {
    for (name, email, roles) in setup.users() {
        let mut command = cli::command(directory);
        command.args(["user", "create", "--config", "guarita.toml", "--password-stdin"]);
        command.args(["--username", name]);
        command.args(roles.iter().flat_map(|role| ["--role", role.as_str()]));
        command.args(email.iter().flat_map(|email| ["--email", *email]));
        command.envs(setup.variables().iter().cloned());
        cli::finish(&mut command, &password_of(name)).await.succeeded();
    }
}
