use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::super::{ConfiguredKeys, KeySource};
use super::*;
use guarita_core::jose::Keyring;
use guarita_core::time;

const AHEAD: Duration = Duration::from_secs(900);

struct Place {
    root: tempfile::TempDir,
    keys: KeyAdministration,
}

impl Place {
    fn new(algorithm: Algorithm, given: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings =
            KeySettings { algorithm, publish_ahead: AHEAD, assertion_publish_ahead: AHEAD, given };
        let directory = root.path().join("keys");
        let keys = KeyAdministration::new(super::KeyLocation::Directory(directory), settings);
        let place = Self { root, keys };
        place.keyring();
        place
    }

    fn keyring(&self) -> Keyring {
        let source = KeySource::Directory(self.root.path().join("keys"));
        let algorithm = self.keys.settings.algorithm;
        source.keyring(algorithm, &ConfiguredKeys::default(), time::now()).unwrap()
    }

    fn offer(&self, text: &str, mode: u32) -> PathBuf {
        let path = self.root.path().join("offered");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    async fn import(&self, text: &str, mode: u32, at_once: bool) -> Result<Added, KeyRejection> {
        let path = self.offer(text, mode);
        self.keys.import(&path, at_once, time::now()).await.unwrap()
    }

    async fn states(&self, now: Timestamp) -> Vec<KeyState> {
        self.keys.list(now).await.unwrap().iter().map(|key| key.state).collect()
    }
}

#[tokio::test]
async fn a_new_key_in_files_is_announced_and_signs_by_time_alone() {
    let place = Place::new(Algorithm::Es256, false);
    let first = place.keyring().signing(time::now()).id().to_owned();
    let now = time::now();
    let made = place.keys.rotate(KeyPurpose::Token, false, now).await.unwrap().unwrap();
    let from = made.signs_from.unwrap();
    assert_eq!(from, now.plus(AHEAD));
    let keyring = place.keyring();
    assert_eq!(keyring.signing(now).id(), first);
    assert_eq!(keyring.signing(from).id(), made.id);
    assert_eq!(place.states(now).await, [KeyState::Signing, KeyState::Announced]);
    assert_eq!(place.states(from).await, [KeyState::Verifying, KeyState::Signing]);
    let end = tokens_end(from);
    assert_eq!(place.keys.list(now).await.unwrap()[0].verifies_until, Some(end));
    assert_eq!(place.states(end).await, [KeyState::Signing]);

    let again = place.keys.rotate(KeyPurpose::Token, false, now).await.unwrap();
    assert!(matches!(again, Err(KeyRejection::NotAdded(NotAdded::Announced(..)))), "{again:?}");
    // Once it is over, the next rotation takes its file away.
    place.keys.rotate(KeyPurpose::Token, false, end).await.unwrap().unwrap();
    let names = fs::read_dir(place.root.path().join("keys")).unwrap().count();
    assert_eq!(names, 2);
}

#[tokio::test]
async fn an_announcement_is_taken_back_and_the_key_before_it_goes_on() {
    let place = Place::new(Algorithm::Es256, false);
    let now = time::now();
    let first = place.keyring().signing(now).id().to_owned();
    let made = place.keys.rotate(KeyPurpose::Token, false, now).await.unwrap().unwrap();
    let refused = place.keys.remove(&first, now).await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), format!("the key {first} signs: rotate it first"));
    place.keys.remove(&made.id, now).await.unwrap().unwrap();
    let unknown = place.keys.remove(&made.id, now).await.unwrap();
    assert!(matches!(unknown, Err(KeyRejection::Unknown(_))), "{unknown:?}");
    // Long after the end that was written of it, it signs, and the next one is announced ahead.
    let later = now.plus(Duration::from_secs(90 * 86_400));
    let next = place.keys.rotate(KeyPurpose::Token, false, later).await.unwrap().unwrap();
    let source = KeySource::Directory(place.root.path().join("keys"));
    let keyring = source.keyring(Algorithm::Es256, &ConfiguredKeys::default(), later).unwrap();
    assert_eq!(keyring.signing(later).id(), first);
    assert_eq!(keyring.signing(later.plus(AHEAD)).id(), next.id);
}

#[tokio::test]
async fn stolen_keys_are_gone_at_once() {
    let place = Place::new(Algorithm::EdDsa, false);
    let before = place.keyring();
    let now = time::now();
    place.keys.rotate(KeyPurpose::Token, false, now).await.unwrap().unwrap();
    let made = place.keys.rotate(KeyPurpose::Token, true, now).await.unwrap().unwrap();
    let after = place.keyring();
    assert_eq!(after.signing(now).id(), made.id);
    assert_ne!(after.fingerprint(), before.fingerprint());
    assert_eq!(place.states(now).await, [KeyState::Signing]);
}

#[tokio::test]
async fn keys_change_by_themselves_when_they_are_old_enough() {
    let place = Place::new(Algorithm::EdDsa, false);
    let day = Duration::from_secs(86_400);
    let now = time::now();
    assert_eq!(place.keys.rotate_if_due(day, now).await.unwrap(), None);
    let due = now.plus(day);
    let made = place.keys.rotate_if_due(day, due).await.unwrap().unwrap();
    assert_eq!(made.signs_from, Some(due.plus(AHEAD)));
    assert_eq!(place.keys.rotate_if_due(day, due).await.unwrap(), None);
    let given = Place::new(Algorithm::EdDsa, true);
    assert_eq!(given.keys.rotate_if_due(day, due).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_of_others_is_taken_over() {
    let place = Place::new(Algorithm::Es256, false);
    let text = SigningKey::generate(Algorithm::Es256).unwrap();
    let id = SigningKey::parse(Algorithm::Es256, &text).unwrap().id().to_owned();
    let added = place.import(text.expose(), 0o600, true).await.unwrap();
    assert_eq!(added.id, id);
    assert_eq!(place.keyring().signing(time::now()).id(), id);
    let again = place.import(text.expose(), 0o600, true).await.unwrap_err();
    assert_eq!(again.to_string(), format!("the key {id} already exists"));
    // A public key verifies, whatever its algorithm, and may be read by all.
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let added = place.import(&pair.public_key_pem(), 0o644, false).await.unwrap();
    assert_eq!(added.signs_from, None);
    let published = String::from_utf8(place.keyring().jwks(time::now()).to_vec()).unwrap();
    assert!(published.contains(&added.id));
}

#[tokio::test]
async fn a_secret_is_taken_over_where_tokens_are_of_hs256() {
    let place = Place::new(Algorithm::Hs256, false);
    let added = place.import("0123456789abcdef0123456789abcdef\n", 0o600, true).await.unwrap();
    assert_eq!(place.keyring().signing(time::now()).id(), added.id);
}

#[tokio::test]
async fn what_is_weak_exposed_or_would_never_sign_is_refused() {
    let place = Place::new(Algorithm::Es256, false);
    let ed = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let es = SigningKey::generate(Algorithm::Es256).unwrap();
    for (text, mode, told) in [
        ("short", 0o600, "32 to 4096 bytes"),
        ("0123456789abcdef0123456789abcdef", 0o600, "tokens.algorithm is ES256"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "usable key"),
        (ed.expose(), 0o600, "tokens.algorithm is ES256"),
        (es.expose(), 0o640, "chmod 600"),
        (es.expose(), 0o604, "chmod 600"),
    ] {
        let refused = place.import(text, mode, false).await.unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(text.lines().nth(1).is_none_or(|line| !refused.contains(line)), "{refused}");
    }
    let long = place.import(&"0123456789abcdef".repeat(5_000), 0o600, false).await;
    assert!(matches!(long, Err(KeyRejection::Unusable(_))), "{long:?}");
    assert_eq!(place.states(time::now()).await.len(), 1);
    let given = Place::new(Algorithm::Es256, true);
    let refused = given.import(es.expose(), 0o600, false).await;
    assert!(matches!(refused, Err(KeyRejection::Given)), "{refused:?}");
    let refused = given.keys.rotate(KeyPurpose::Token, false, time::now()).await.unwrap();
    assert!(matches!(refused, Err(KeyRejection::Given)), "{refused:?}");
}

#[tokio::test]
async fn a_name_that_would_hide_the_new_key_is_told() {
    let place = Place::new(Algorithm::Es256, false);
    let text = SigningKey::generate(Algorithm::Es256).unwrap();
    let path = place.root.path().join("keys/mine.ES256.pem");
    fs::write(&path, text.expose()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = place.keys.rotate(KeyPurpose::Token, false, time::now()).await.unwrap_err();
    assert!(refused.to_string().contains("mine.ES256.pem"), "{refused}");
}
