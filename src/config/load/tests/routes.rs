//! Routes, from text on disk.

use std::time::Duration;

use super::{LISTENER, Place, UPSTREAM};
use guarita_core::{Scope, Source};

#[test]
fn a_route_is_taken_as_it_is_meant() {
    let place = Place::new(&format!(
        "{LISTENER}{UPSTREAM}[[routes]]\nhosts = [\"api.test\"]\npath = \"/orders/{{*rest}}\"\n\
         methods = [\"GET\"]\nupstream = \"orders\"\n\
         allow = {{ roles = [\"b\", \"a\"], scopes = [\"s\"], sources = [\"bearer\"] }}\nmax_body = \"1MiB\"\n\
         timeout = \"250ms\"\nforward_credentials = true\n\
         [[routes]]\npath = \"/public\"\nupstream = \"orders\"\naccess = \"public\"\n"
    ));
    let config = place.load().result.unwrap();
    let route = &config.routes[0];
    assert_eq!(route.matcher.hosts.len(), 1);
    assert_eq!(route.matcher.methods, [http::Method::GET]);
    assert_eq!(route.policy.roles.len(), 2);
    assert_eq!(route.policy.scopes, [Scope::parse("s").unwrap()]);
    assert_eq!(route.policy.sources, [Source::Bearer]);
    assert!(!route.policy.public && route.forward_credentials);
    assert_eq!((route.max_body, route.line), (Some(1 << 20), 6));
    assert_eq!(route.timeout, Some(Duration::from_millis(250)));
    assert!(config.routes[1].policy.public);
}

#[test]
fn callers_of_whom_nothing_is_known_are_served_for_an_hour_at_most_and_only_where_a_route_says_so()
{
    let with = |value: &str| {
        Place::new(&format!(
            "{LISTENER}{UPSTREAM}[[routes]]\npath = \"/a\"\nupstream = \"orders\"\n{value}\n"
        ))
    };
    for (value, seconds) in [
        ("", None),
        ("on_unknown = \"refuse\"", None),
        ("on_unknown = \"serve_for 1s\"", Some(1)),
        ("on_unknown = \"serve_for 5m\"\nallow = { roles = [\"a\"] }", Some(300)),
        ("on_unknown = \"serve_for 1h\"", Some(3_600)),
    ] {
        let config = with(value).load().result.unwrap();
        let expected = seconds.map(Duration::from_secs);
        assert_eq!(config.routes[0].policy.on_unknown, expected, "{value}");
    }
    for (value, part) in [
        ("serve_for 0s", "must be 1s to 1h"),
        ("serve_for 999ms", "must be 1s to 1h"),
        ("serve_for 61m", "must be 1s to 1h"),
        ("serve_for 2d", "must be 1s to 1h"),
        ("serve_for", "is not a valid value"),
        ("serve_for ever", "is not a valid duration"),
        ("serve_for -5m", "is not a valid duration"),
        ("serve_for  5m", "is not a valid duration"),
        ("serve", "is not a valid value"),
        ("5m", "is not a valid value"),
        ("", "is not a valid value"),
    ] {
        let told = with(&format!("on_unknown = \"{value}\"")).problems();
        assert!(told[0].contains("routes[0].on_unknown") && told[0].contains(part), "{told:?}");
    }
}

#[test]
fn a_route_that_cannot_be_is_refused_never_forwarded() {
    for (route, key, part) in [
        ("path = \"/a\"\nupstream = \"oders\"", "upstream", "did you mean orders?"),
        ("path = \"/a\"\nupstream = \"nothing\"", "upstream", "no [[upstreams]]"),
        ("path = \"/a\"", "upstream", "is missing"),
        ("upstream = \"orders\"", "path", "is missing"),
        ("path = \"no slash\"\nupstream = \"orders\"", "path", ""),
        ("path = \"/auth/{*rest}\"\nupstream = \"orders\"", "path", "serves itself"),
        ("path = \"/login\"\nupstream = \"orders\"", "path", "serves itself"),
        ("path = \"/api/auth/token\"\nupstream = \"orders\"", "path", "serves itself"),
        ("path = \"/a\"\nupstream = \"orders\"\nmethods = [\"get\"]", "methods[0]", "one of GET"),
        ("path = \"/a\"\nupstream = \"orders\"\nmethods = [\"CONNECT\"]", "methods[0]", "method"),
        (
            "path = \"/a\"\nupstream = \"orders\"\naccess = \"public\"\nallow = { roles = [\"a\"] }",
            "allow",
            "contradicts",
        ),
        ("path = \"/a\"\nupstream = \"orders\"\nallow = { roles = [] }", "allow.roles", "is empty"),
        (
            "path = \"/a\"\nupstream = \"orders\"\nallow = { roles = [\"a,b\"] }",
            "allow.roles[0]",
            "comma",
        ),
        (
            "path = \"/a\"\nupstream = \"orders\"\nallow = { client_cns = [\"a\"] }",
            "allow.client_cns",
            "client_auth",
        ),
        (
            "path = \"/a\"\nupstream = \"orders\"\nallow = { mfa = true }",
            "allow.mfa",
            "TOTP_ENC_KEY",
        ),
        (
            "path = \"/a\"\nupstream = \"orders\"\nallow = { scopes = [] }",
            "allow.scopes",
            "is empty",
        ),
        (
            "path = \"/a\"\nupstream = \"orders\"\nallow = { scopes = [\"a b\"] }",
            "allow.scopes[0]",
            "a space",
        ),
        (
            "path = \"/a\"\nupstream = \"orders\"\naccess = \"public\"\nallow = { scopes = [\"a\"] }",
            "allow",
            "contradicts",
        ),
        ("path = \"/a\"\nupstream = \"orders\"\ntimeout = \"0s\"", "timeout", "must be 1ms to 1d"),
        ("path = \"/a\"\nupstream = \"orders\"\nmax_body = \"2TiB\"", "max_body", "must be 0 to"),
        ("path = \"/a\"\nupstream = \"orders\"\nmax_body = -1", "max_body", "must be 0 or more"),
    ] {
        let place = Place::new(&format!("{LISTENER}{UPSTREAM}[[routes]]\n{route}\n"));
        let told = place.problems();
        assert_eq!(told.len(), 1, "{route}: {told:?}");
        assert!(told[0].contains(&format!(": routes[0].{key}: ")), "{route}: {told:?}");
        assert!(told[0].contains(part), "{route}: {told:?}");
    }
}

#[test]
fn a_broken_upstream_is_not_told_again_for_each_of_its_routes() {
    let place = Place::new(&format!(
        "{LISTENER}[[upstreams]]\nnam = \"orders\"\nservers = [\"http://127.0.0.1:9000\"]\n\
         [[routes]]\npath = \"/a\"\nupstream = \"orders\"\n"
    ));
    let told = place.problems();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line.contains("upstreams[0].nam")), "{told:?}");
}
