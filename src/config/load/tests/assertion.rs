//! `[assertion]` and the presets of names, from text on disk.

use std::time::Duration;

use super::{LISTENER, Place, UPSTREAM};

#[test]
fn assertions_are_sent_to_nobody_unless_enabled() {
    let config = Place::new(&format!("{LISTENER}{UPSTREAM}")).load().result.unwrap();
    assert_eq!(config.assertion, None);
    let text = format!("[assertion]\nenabled = false\n{LISTENER}{UPSTREAM}");
    assert_eq!(Place::new(&text).load().result.unwrap().assertion, None);
    let text = format!("{LISTENER}{UPSTREAM}assertion_audience = \"x\"\n");
    let config = Place::new(&text).load().result.unwrap();
    assert_eq!(config.assertion, None);
    assert!(config.warnings[0].contains("upstreams[0].assertion_audience: has no effect"));
}

#[test]
fn an_audience_is_the_upstream_s_name_unless_written() {
    let text = format!(
        "[assertion]\nenabled = true\n{LISTENER}{UPSTREAM}\
         [[upstreams]]\nname = \"b\"\nservers = [\"http://127.0.0.1:9001\"]\n\
         assertion_audience = \"https://b.test/\"\n"
    );
    let assertion = Place::new(&text).load().result.unwrap().assertion.unwrap();
    assert_eq!(assertion.publish_ahead, Duration::from_secs(600));
    let audiences: Vec<_> = assertion.audiences.iter().map(|audience| &**audience).collect();
    assert_eq!(audiences, ["orders", "https://b.test/"]);
}

#[test]
fn what_cannot_be_is_told() {
    let long = "a".repeat(256);
    for (section, upstream, key, part) in [
        ("enabled = 1", "", "assertion.enabled", "true or false"),
        ("publish_ahead = \"25h\"", "", "assertion.publish_ahead", "must be 0s to 1d"),
        ("key = \"x\"", "", "assertion.key", "not a known key"),
        ("", "assertion_audience = \"\"", "upstreams[0].assertion_audience", "1 to 255 bytes"),
        (
            "",
            &format!("assertion_audience = \"{long}\""),
            "upstreams[0].assertion_audience",
            "1 to 255 bytes",
        ),
    ] {
        let text = format!("[assertion]\n{section}\n{LISTENER}{UPSTREAM}{upstream}\n");
        let told = Place::new(&text).problems();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(key) && told[0].contains(part), "{told:?}");
    }
}

#[test]
fn every_preset_names_what_it_has_a_name_for() {
    for (preset, subject, roles, session, assertion) in [
        ("guarita", "sub", "app_roles", "x-auth-sid", "x-auth-assertion"),
        (
            "forwarded-user",
            "x-forwarded-user",
            "x-forwarded-groups",
            "x-auth-sid",
            "x-auth-assertion",
        ),
        (
            "oauth2-proxy",
            "x-forwarded-user",
            "x-forwarded-groups",
            "x-auth-sid",
            "x-auth-assertion",
        ),
        (
            "x-auth-request",
            "x-auth-request-user",
            "x-auth-request-groups",
            "x-auth-sid",
            "x-auth-assertion",
        ),
        ("remote-user", "remote-user", "remote-groups", "x-auth-sid", "x-auth-assertion"),
        ("authelia", "remote-user", "remote-groups", "x-auth-sid", "x-auth-assertion"),
        (
            "pomerium",
            "x-pomerium-claim-sub",
            "x-pomerium-claim-groups",
            "x-pomerium-claim-sid",
            "x-pomerium-jwt-assertion",
        ),
        ("cloudflare-access", "sub", "app_roles", "x-auth-sid", "cf-access-jwt-assertion"),
        (
            "google-iap",
            "x-goog-authenticated-user-id",
            "app_roles",
            "x-auth-sid",
            "x-goog-iap-jwt-assertion",
        ),
    ] {
        let text = format!(
            "[assertion]\nenabled = true\n[identity_headers]\npreset = \"{preset}\"\n{LISTENER}"
        );
        let config = Place::new(&text).load().result.unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
        let names = config.identity_headers;
        assert_eq!(names.check(), Ok(()));
        assert_eq!((names.subject.as_str(), names.roles.as_str()), (subject, roles), "{preset}");
        let (sid, signed) = (names.session.as_str(), names.assertion.as_str());
        assert_eq!((sid, signed), (session, assertion), "{preset}");
        assert_eq!((names.user.as_str(), names.source.as_str()), ("x-auth-uid", "x-auth-source"));
        let prefix = if preset == "google-iap" { "accounts.google.com:" } else { "" };
        assert_eq!(names.subject_prefix, prefix);
    }
}

#[test]
fn the_name_of_the_assertion_is_no_other_s() {
    for (lines, key) in [
        ("subject = \"X_Auth_Assertion\"", "identity_headers.subject"),
        ("preset = \"pomerium\"\nuser = \"x-auth-assertion\"", "identity_headers.user"),
        ("assertion = \"App-Roles\"", "identity_headers.assertion"),
        ("assertion = \"authorization\"", "identity_headers.assertion"),
    ] {
        let told = Place::new(&format!("[identity_headers]\n{lines}\n{LISTENER}")).problems();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(key), "{told:?}");
    }
    let text = format!("[identity_headers]\nassertion = \"X-Proof\"\n{LISTENER}");
    let config = Place::new(&text).load().result.unwrap();
    assert_eq!(config.identity_headers.assertion, "x-proof");
    let text =
        format!("[identity_headers]\npreset = \"google-iap\"\nsubject = \"sub\"\n{LISTENER}");
    let names = Place::new(&text).load().result.unwrap().identity_headers;
    assert_eq!((names.subject.as_str(), names.subject_prefix), ("sub", ""));
    let text = format!("[identity_headers]\npreset = \"cloudflare-access\"\n{LISTENER}");
    let config = Place::new(&text).load().result.unwrap();
    assert!(
        config.warnings[0].contains("identity_headers.preset: names only the assertion header")
    );
}
