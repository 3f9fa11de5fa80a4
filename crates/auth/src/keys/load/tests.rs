use std::fs;
use std::path::PathBuf;

use super::*;
use guarita_core::time;

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn keys(&self) -> PathBuf {
        self.root.path().join("data").join("keys")
    }

    fn load(&self, algorithm: Algorithm) -> Result<Keyring, KeyFault> {
        load(&self.keys(), algorithm, &ConfiguredKeys::default(), time::now())
    }

    /// Puts a file there as an operator would.
    fn put(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        fs::create_dir_all(self.keys()).unwrap();
        set_mode(&self.keys(), 0o700);
        let path = self.keys().join(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, mode);
        path
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.keys())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

fn fresh(algorithm: Algorithm) -> (Secret, String) {
    let text = SigningKey::generate(algorithm).unwrap();
    let id = SigningKey::parse(algorithm, &text).unwrap().id().to_owned();
    (text, id)
}

fn public_pem(algorithm: Algorithm) -> (String, String) {
    let pair = rcgen::KeyPair::generate_for(match algorithm {
        Algorithm::EdDsa => &rcgen::PKCS_ED25519,
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Hs256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    })
    .unwrap();
    let text = pair.public_key_pem();
    let id = VerifyingKey::detect(&text).unwrap().id().to_owned();
    (text, id)
}

fn refusal(loaded: Result<Keyring, KeyFault>) -> String {
    loaded.unwrap_err().to_string()
}

#[test]
fn the_first_start_makes_a_key_and_the_second_finds_it() {
    for algorithm in Algorithm::ALL {
        let place = Place::new();
        let first = place.load(algorithm).unwrap();
        let names = place.names();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(names[0].contains("Z-") && names[0].starts_with("20"), "{names:?}");
        assert!(names[0].contains(algorithm.as_str()));
        let second = place.load(algorithm).unwrap();
        assert_eq!(first.signing(time::now()).id(), second.signing(time::now()).id());
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(place.names(), names);
    }
}

#[cfg(unix)]
#[test]
fn what_is_made_is_the_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.load(Algorithm::EdDsa).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.keys()), 0o700);
    assert_eq!(mode(&place.keys().join(&place.names()[0])), 0o600);
}

#[test]
fn the_last_by_name_signs_and_all_verify() {
    let place = Place::new();
    let (old, old_id) = fresh(Algorithm::Es256);
    let (new, new_id) = fresh(Algorithm::Es256);
    let (other, other_id) = fresh(Algorithm::EdDsa);
    let (public, public_id) = public_pem(Algorithm::Es256);
    place.put("2026-11-21T10-00-00Z.ES256.pem", old.expose(), 0o600);
    place.put("2026-11-22T10-00-00Z.ES256.pem", new.expose(), 0o600);
    place.put("2026-11-23T10-00-00Z.EdDSA.pem", other.expose(), 0o600);
    place.put("2026-11-24T10-00-00Z.ES256.pem", &public, 0o600);
    place.put("README", "not a key", 0o644);
    place.put(".2026-11-25.ES256.pem", "half written", 0o644);
    let keyring = place.load(Algorithm::Es256).unwrap();
    assert_eq!(keyring.signing(time::now()).id(), new_id);
    let published = String::from_utf8(keyring.jwks(time::now()).to_vec()).unwrap();
    for id in [old_id, new_id, other_id, public_id] {
        assert!(published.contains(&id), "{published}");
    }
}

#[test]
fn a_new_algorithm_gets_a_new_key_and_the_old_one_verifies() {
    let place = Place::new();
    let before = place.load(Algorithm::Es256).unwrap();
    let after = place.load(Algorithm::EdDsa).unwrap();
    assert_eq!(place.names().len(), 2);
    let published = String::from_utf8(after.jwks(time::now()).to_vec()).unwrap();
    assert!(published.contains(before.signing(time::now()).id()));
    assert_eq!(after.signing(time::now()).algorithm(), Algorithm::EdDsa);
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o660, 0o601] {
        let place = Place::new();
        let (text, _) = fresh(Algorithm::Es256);
        let path = place.put("a.ES256.pem", text.expose(), mode);
        let said = refusal(place.load(Algorithm::Es256));
        assert!(said.contains(&path.display().to_string()) && said.contains("600"), "{said}");
        assert_eq!(place.names().len(), 1, "nothing is made beside it");
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.keys()).unwrap();
    set_mode(&place.keys(), 0o770);
    let said = refusal(place.load(Algorithm::Es256));
    assert!(said.contains(&place.keys().display().to_string()), "{said}");
}

#[test]
fn a_broken_file_stops_the_start_and_nothing_replaces_it() {
    let (rsa, _) = fresh(Algorithm::Rs256);
    for (name, text) in [
        ("a.ES256.pem", "-----BEGIN PRIVATE KEY-----\nsecretjunk\n-----END PRIVATE KEY-----\n"),
        ("a.ES256.pem", ""),
        ("a.ES256.pem", rsa.expose()),
        ("a.HS256.secret", "short"),
        ("key.pem", rsa.expose()),
        ("a.HS256.pem", rsa.expose()),
        ("RS256.pem", rsa.expose()),
    ] {
        let place = Place::new();
        let path = place.put(name, text, 0o600);
        let said = refusal(place.load(Algorithm::Es256));
        assert!(said.contains(&path.display().to_string()), "{said}");
        assert!(!said.contains("secretjunk") && !said.contains("MII"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(place.names(), [name]);
    }
}

#[test]
fn a_key_file_is_bounded() {
    let place = Place::new();
    let path = place.put("a.HS256.secret", &"0123456789abcdef".repeat(4097), 0o600);
    assert!(refusal(place.load(Algorithm::Hs256)).contains(&path.display().to_string()));
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "x").unwrap();
    let said = refusal(load(
        &path.join("keys"),
        Algorithm::Es256,
        &ConfiguredKeys::default(),
        time::now(),
    ));
    assert!(said.contains(&path.display().to_string()), "{said}");
}

#[test]
fn given_keys_win_and_the_directory_is_not_touched() {
    let place = Place::new();
    let (signing, id) = fresh(Algorithm::Es256);
    let (public, public_id) = public_pem(Algorithm::EdDsa);
    let given = ConfiguredKeys { signing: Some(signing), verifying: vec![public.clone(), public] };
    let keyring = load(&place.keys(), Algorithm::Es256, &given, time::now()).unwrap();
    assert_eq!(keyring.signing(time::now()).id(), id);
    assert!(String::from_utf8(keyring.jwks(time::now()).to_vec()).unwrap().contains(&public_id));
    assert!(!place.keys().exists());
}

#[test]
fn a_pair_of_private_and_public_file_is_one_key() {
    let place = Place::new();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let given = ConfiguredKeys {
        signing: Some(Secret::new(pair.serialize_pem())),
        verifying: vec![pair.public_key_pem()],
    };
    let keyring = load(&place.keys(), Algorithm::Es256, &given, time::now()).unwrap();
    let set: serde_json::Value = serde_json::from_slice(&keyring.jwks(time::now())).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bad_given_key_is_named_by_its_configuration_key() {
    let place = Place::new();
    let (signing, _) = fresh(Algorithm::Es256);
    let cases = [
        (
            ConfiguredKeys { signing: Some(Secret::new("junk")), verifying: Vec::new() },
            "tokens.signing_key",
        ),
        (
            ConfiguredKeys { signing: Some(signing), verifying: vec!["junk".into()] },
            "tokens.verifying_keys[0]",
        ),
    ];
    for (given, name) in cases {
        let said = refusal(load(&place.keys(), Algorithm::Es256, &given, time::now()));
        assert!(said.starts_with(name) && !said.contains("junk"), "{said}");
    }
}

#[test]
fn older_secrets_verify_where_the_algorithm_is_hs256() {
    let place = Place::new();
    let (signing, _) = fresh(Algorithm::Hs256);
    let (older, _) = fresh(Algorithm::Hs256);
    let given =
        ConfiguredKeys { signing: Some(signing.clone()), verifying: vec![older.expose().into()] };
    assert!(load(&place.keys(), Algorithm::Hs256, &given, time::now()).is_ok());
    let elsewhere = ConfiguredKeys { signing: None, verifying: vec![older.expose().into()] };
    assert!(load(&place.keys(), Algorithm::Es256, &elsewhere, time::now()).is_err());
}

#[test]
fn the_name_of_a_file_says_when_its_key_signs_and_ends() {
    let place = Place::new();
    let (old, old_id) = fresh(Algorithm::Es256);
    let (new, new_id) = fresh(Algorithm::Es256);
    let (gone, gone_id) = fresh(Algorithm::Es256);
    place.put("1.until-2026-01-01T00-00-00Z.ES256.pem", gone.expose(), 0o600);
    place.put("2.until-2027-01-03T00-00-00Z.ES256.pem", old.expose(), 0o600);
    place.put("3.from-2027-01-01T00-00-00Z.ES256.pem", new.expose(), 0o600);
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let now = at("2026-11-21T00:00:00Z");
    let keyring = load(&place.keys(), Algorithm::Es256, &ConfiguredKeys::default(), now).unwrap();
    assert_eq!(keyring.signing(now).id(), old_id);
    let switch = at("2027-01-01T00:00:00Z");
    assert_eq!(keyring.signing(switch).id(), new_id);
    let published = |now| String::from_utf8(keyring.jwks(now).to_vec()).unwrap();
    assert!(published(now).contains(&new_id) && published(switch).contains(&old_id));
    assert!(!published(now).contains(&gone_id));
    assert!(!published(at("2027-01-03T00:00:00Z")).contains(&old_id));
}

#[test]
fn a_time_in_a_name_that_is_none_is_refused() {
    for name in ["a.from-soon.ES256.pem", "a.until-2026-13-01T00-00-00Z.ES256.pem"] {
        let place = Place::new();
        place.put(name, fresh(Algorithm::Es256).0.expose(), 0o600);
        assert!(refusal(place.load(Algorithm::Es256)).contains(name));
    }
}

#[test]
fn a_check_finds_what_loading_would_and_writes_nothing() {
    let place = Place::new();
    let check =
        |algorithm| super::check(&place.keys(), algorithm, &ConfiguredKeys::default(), time::now());
    for algorithm in Algorithm::ALL {
        assert!(check(algorithm).is_ok(), "{algorithm:?}");
    }
    assert!(!place.root.path().join("data").exists());
    let loaded = place.load(Algorithm::Es256).unwrap();
    let names = place.names();
    assert_eq!(check(Algorithm::Es256).unwrap().fingerprint(), loaded.fingerprint());
    // Another algorithm has no key yet: those that are there only verify.
    check(Algorithm::Rs256).unwrap();
    assert_eq!(place.names(), names);
    place.put("x.ES256.pem", "nonsense", 0o600);
    let told = |result: Result<Keyring, KeyFault>| result.unwrap_err().to_string();
    assert_eq!(told(check(Algorithm::Es256)), told(place.load(Algorithm::Es256)));
}
