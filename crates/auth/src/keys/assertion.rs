//! The keys of assertions, in a directory of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::directory::{Directory, KeyFile, KeyFileContent};
use super::load::temporary_key;
use guarita_core::Timestamp;
use guarita_core::jose::{
    Algorithm, AssertionKey, AssertionKeys, KeyFault, Keyring, Retired, SigningKey,
};

/// The subdirectory of the keys of assertions.
pub fn assertion_directory(keys: &Path) -> PathBuf {
    keys.join("assertion")
}

/// The keys of assertions in `directory`; one is generated if there is none. A key signs when its file has existed
/// for `publish_ahead`; of several, the last by name signs. Reads and writes files: for start and reload only, not
/// for requests.
///
/// # Errors
/// A file is invalid, is not an ES256 key, or its key is also in the keyring.
pub fn load_assertion_keys(
    directory: &Path,
    issuer: Arc<str>,
    publish_ahead: Duration,
    keyring: &Keyring,
    retired: Vec<Retired>,
) -> Result<AssertionKeys, KeyFault> {
    let files = Directory::new(directory);
    files.prepare()?;
    let mut found = files.read()?;
    if !found.iter().any(|file| matches!(file.key, KeyFileContent::Private(_))) {
        files.write(Algorithm::Es256, &SigningKey::generate(Algorithm::Es256)?, None)?;
        // Read again what is there now: another process may have started at the same moment.
        found = files.read()?;
    }
    let keys = found.into_iter().map(|KeyFile { key, since, .. }| (key, since)).collect();
    assemble(directory, keys, issuer, publish_ahead, keyring, retired)
}

/// Reports what [`load_assertion_keys`] would, but writes nothing.
pub(super) fn check_assertion_keys(
    directory: &Path,
    issuer: Arc<str>,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(), KeyFault> {
    let found = Directory::new(directory).read_if_exists()?;
    let mut keys: Vec<_> =
        found.into_iter().map(|KeyFile { key, since, .. }| (key, since)).collect();
    if !keys.iter().any(|(key, _)| matches!(key, KeyFileContent::Private(_))) {
        keys.push((temporary_key(Algorithm::Es256)?, now));
    }
    assemble(directory, keys, issuer, Duration::ZERO, keyring, Vec::new()).map(|_| ())
}

/// The keys, each with the time since when its file exists.
fn assemble(
    directory: &Path,
    keys: Vec<(KeyFileContent, Timestamp)>,
    issuer: Arc<str>,
    publish_ahead: Duration,
    keyring: &Keyring,
    retired: Vec<Retired>,
) -> Result<AssertionKeys, KeyFault> {
    let mut signing = Vec::new();
    let mut others = Vec::new();
    for (key, since) in keys {
        match key {
            KeyFileContent::Private(key) => {
                signing.push(AssertionKey { key, signs_from: since.plus(publish_ahead) });
            }
            KeyFileContent::Public(key) => others.push(key),
        }
    }
    AssertionKeys::new(issuer, signing, others, keyring, retired)
        .map_err(|fault| fault.at(directory.display().to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{ConfiguredKeys, load};
    use super::*;
    use guarita_core::{Secret, time};

    const MINUTE: Duration = Duration::from_secs(60);

    struct Place {
        root: tempfile::TempDir,
        keyring: Keyring,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let keyring = load(
                &root.path().join("keys"),
                Algorithm::Es256,
                &ConfiguredKeys::default(),
                time::now(),
            );
            Self { keyring: keyring.unwrap(), root }
        }

        fn directory(&self) -> PathBuf {
            assertion_directory(&self.root.path().join("keys"))
        }

        fn load(&self, ahead: Duration) -> Result<AssertionKeys, KeyFault> {
            let (directory, keyring) = (self.directory(), &self.keyring);
            load_assertion_keys(&directory, "i".into(), ahead, keyring, Vec::new())
        }

        fn put(&self, name: &str, text: &Secret) {
            use std::os::unix::fs::PermissionsExt as _;
            let path = self.directory().join(name);
            fs::write(&path, text.expose()).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.directory()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    fn fresh() -> (Secret, String) {
        let text = SigningKey::generate(Algorithm::Es256).unwrap();
        let id = SigningKey::parse(Algorithm::Es256, &text).unwrap().id().to_owned();
        (text, id)
    }

    #[test]
    fn the_first_start_makes_a_key_of_the_owner_s_only_and_the_second_finds_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new();
        let first = place.load(MINUTE).unwrap();
        let names = place.names();
        assert!(names.len() == 1 && names[0].ends_with(".ES256.pem"), "{names:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&place.directory()), 0o700);
        assert_eq!(mode(&place.directory().join(&names[0])), 0o600);
        let second = place.load(MINUTE).unwrap();
        assert_eq!(first.signing(time::now()).id(), second.signing(time::now()).id());
        assert_eq!(place.names(), names);
    }

    #[test]
    fn no_key_of_assertions_verifies_a_token_and_none_of_tokens_signs_an_assertion() {
        let place = Place::new();
        let keys = place.load(MINUTE).unwrap();
        let again = load(
            &place.root.path().join("keys"),
            Algorithm::Es256,
            &ConfiguredKeys::default(),
            time::now(),
        );
        let again = again.unwrap();
        assert_eq!(again.fingerprint(), place.keyring.fingerprint());
        let published = String::from_utf8(again.jwks(time::now()).to_vec()).unwrap();
        assert!(!published.contains(keys.signing(time::now()).id()));

        let name = fs::read_dir(place.root.path().join("keys")).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.is_file().then_some(path)
        });
        let copy = Secret::new(fs::read_to_string(name.unwrap()).unwrap());
        place.put("copy.ES256.pem", &copy);
        let told = place.load(MINUTE).unwrap_err().to_string();
        assert!(told.contains("assertion: ") && told.contains("is a duplicate"), "{told}");
    }

    #[test]
    fn a_new_file_signs_once_it_has_been_there_for_the_time() {
        let place = Place::new();
        let first = place.load(MINUTE).unwrap().signing(time::now()).id().to_owned();
        let (text, id) = fresh();
        place.put("9999.ES256.pem", &text);
        let before = time::now();
        let keys = place.load(MINUTE).unwrap();
        let after = |seconds: u64| before.plus(Duration::from_secs(seconds));
        assert_eq!(keys.signing(after(30)).id(), first);
        assert_eq!(keys.signing(after(90)).id(), id);
        let at_once = place.load(Duration::ZERO).unwrap();
        assert_eq!(at_once.signing(time::now()).id(), id);
        let published = String::from_utf8(keys.jwks(before).to_vec()).unwrap();
        assert!(published.contains(&first) && published.contains(&id), "{published}");
    }

    #[test]
    fn another_algorithm_is_refused_and_the_directory_named() {
        let place = Place::new();
        place.load(MINUTE).unwrap();
        place.put("a.RS256.pem", &SigningKey::generate(Algorithm::Rs256).unwrap());
        let told = place.load(MINUTE).unwrap_err().to_string();
        assert!(told.contains(&place.directory().display().to_string()), "{told}");
        assert!(!told.contains("MII"), "{told}");
    }
}
