//! `[introspection]`

use super::{LISTENER, Place};

#[test]
fn clients_are_named_once_and_have_one_or_two_secrets() {
    let place = Place::new(&format!(
        "[introspection]\nmtls_allowed_cns = [\"gateway\"]\n\
         clients = [{{ id = \"portal\", secret_file = \"portal\", further_secret = \"old\" }}]\n{LISTENER}"
    ));
    place.write("portal", "new\n");
    let introspection = place.load().result.unwrap().introspection;
    assert!(introspection.is_secret_of("portal", "new"));
    assert!(introspection.is_secret_of("portal", "old"));
    assert!(!introspection.is_secret_of("portal", "new\n"));
    assert!(introspection.is_common_name("gateway"));
    for (client, part) in [
        ("id = \"a\"", "has no secret"),
        ("id = \"a\", further_secret = \"hunter2\"", "has no secret"),
        ("id = \"a\", secret = \"\"", "must be 1 to 4096 bytes"),
        ("id = \"a\", secret = \"hunter2\", secret_file = \"x\"", "is set twice"),
        ("id = \"a:b\", secret = \"hunter2\"", "must not contain a colon"),
        ("id = \"\", secret = \"hunter2\"", "must be 1 to 255 bytes"),
        ("id = \"a\", secret = \"hunter2\" }, { id = \"a\", secret = \"x\"", "is a duplicate"),
    ] {
        let text = format!("[introspection]\nclients = [{{ {client} }}]\n{LISTENER}");
        let told = Place::new(&text).problems().join("\n");
        assert!(told.starts_with("guarita.toml:2: introspection.clients["), "{told}");
        assert!(told.contains(part) && !told.contains("hunter2"), "{told}");
    }
    let many = format!("mtls_allowed_cns = [{}]", "\"a\",".repeat(1001));
    let told = Place::new(&format!("[introspection]\n{many}\n{LISTENER}")).problems();
    assert!(told[0].contains("at most 1000 are allowed"), "{told:?}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let place = Place::new(&format!(
        "[introspection]\nmtls_allowed_cns = [\"gateway\"]\n\
         clients = [{{ id = \"portal\", secret = \"a\" }}]\n{LISTENER}"
    ));
    let variables =
        [("INTROSPECTION_CLIENTS", "jobs:b:c, x:d"), ("INTROSPECTION_MTLS_ALLOWED_CNS", "y, z")];
    let introspection = place.load_with(&variables).result.unwrap().introspection;
    assert!(!introspection.is_secret_of("portal", "a"));
    assert!(introspection.is_secret_of("jobs", "b:c") && introspection.is_secret_of("x", "d"));
    assert!(!introspection.is_common_name("gateway"));
    assert!(introspection.is_common_name("y") && introspection.is_common_name("z"));
}
