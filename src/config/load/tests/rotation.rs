//! `store.master_key`, `tokens.publish_ahead` and `tokens.rotate_every`, from text on disk.

use std::time::Duration;

use super::{LISTENER, Place};

const MASTER: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keys_are_announced_for_a_quarter_of_an_hour_and_stay_where_nothing_is_written() {
    let config = Place::new(LISTENER).load().result.unwrap();
    assert_eq!(config.publish_ahead, Duration::from_secs(900));
    assert_eq!((config.rotate_every, config.master_key), (None, None));
    let text = format!(
        "[store]\nmaster_key = \"{MASTER} {MASTER}\"\n\
         [tokens]\npublish_ahead = \"1h\"\nrotate_every = \"90d\"\n{LISTENER}"
    );
    let config = Place::new(&text).load().result.unwrap();
    assert_eq!(config.publish_ahead, Duration::from_secs(3600));
    assert_eq!(config.rotate_every, Some(Duration::from_secs(90 * 86_400)));
    assert!(config.master_key.is_some());
}

#[test]
fn what_cannot_be_is_told_and_no_key() {
    for (text, key, part) in [
        ("[tokens]\npublish_ahead = \"25h\"\n", "tokens.publish_ahead", "must be 1s to 1d"),
        ("[tokens]\npublish_ahead = \"0s\"\n", "tokens.publish_ahead", "must be 1s to 1d"),
        ("[tokens]\nrotate_every = \"59m\"\n", "tokens.rotate_every", "must be 1h to 3650d"),
        (
            "[tokens]\nrotate_every = \"1d\"\npublish_ahead = \"7h\"\n",
            "tokens.rotate_every",
            "four times",
        ),
        ("[store]\nmaster_key = \"hunter2\"\n", "store.master_key", "must be 32 to 4096 bytes"),
        (
            "[store]\nmaster_key = \"hunter2\"\nmaster_key_file = \"f\"\n",
            "store.master_key_file",
            "is set twice",
        ),
    ] {
        let told = Place::new(&format!("{text}{LISTENER}")).load().result.unwrap_err().to_string();
        assert!(told.contains(&format!("{key}: ")) && told.contains(part), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn one_gateway_on_a_database_server_has_keys_of_its_own_and_is_told_so() {
    let warnings = |text: &str| {
        let store = "[store]\ndatabase = \"postgres://guarita:x@db/guarita\"\n";
        let loaded = Place::new(&format!("{store}{text}{LISTENER}")).load();
        loaded.result.unwrap().warnings.join("\n")
    };
    let (tokens, assertions) = ("the keys of tokens are in", "the keys of assertions are in");
    assert!(warnings("").contains(tokens));
    assert!(warnings("").contains("store.master_key_file"));
    let given = format!("[tokens]\nalgorithm = \"HS256\"\nsigning_key = \"{MASTER}\"\n");
    assert!(!warnings(&given).contains(tokens));
    let enabled = format!("{given}[assertion]\nenabled = true\n");
    assert!(warnings(&enabled).contains(assertions));
    let sealed = format!("master_key = \"{MASTER}\"\n[assertion]\nenabled = true\n");
    let told = warnings(&sealed);
    assert!(!told.contains(tokens) && !told.contains(assertions), "{told}");
}
