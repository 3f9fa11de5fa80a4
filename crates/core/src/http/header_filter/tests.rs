use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn families() -> StrippedHeaders {
    let names = IdentityHeaders::default();
    StrippedHeaders::new(names.names().map(HeaderName::as_str))
}

fn request(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn find(
    families: &StrippedHeaders,
    headers: &HeaderMap,
    kept: PreservedHeaders,
) -> Vec<HeaderName> {
    let sieve = families.sieve(headers, kept);
    headers.keys().filter(|name| sieve.strips(name)).cloned().collect()
}

fn stripped(fields: &[(&str, &str)], kept: PreservedHeaders) -> Vec<String> {
    let found = find(&families(), &request(fields), kept);
    let mut found: Vec<_> = found.iter().map(|name| name.as_str().to_owned()).collect();
    found.sort_unstable();
    found
}

const NOTHING: PreservedHeaders = PreservedHeaders { upgrade: false, forwarding: false };

/// header-spoofing-001 to -004, -007, -009 to -011, -016; header-spoofing-008 asks `contains`
#[test]
fn every_spelling_of_a_spoofed_name_is_stripped() {
    let families = families();
    for name in [
        "sub",
        "Sub",
        "app_roles",
        "App-Roles",
        "APP_ROLES",
        "app.roles",
        "X_Auth_Uid",
        "x-auth_sid",
        "x_auth_source",
        "X-Auth-Assertion",
        "X-Request-Id",
        "x_request_id",
        "X-User-Id",
        "X_Forwarded_Proto",
        "X_Forwarded_For",
        "X_Forwarded_Host",
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Method",
        "Forwarded",
        "X-Original-Method",
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Forwarded-Path",
        "X-Envoy-Original-Path",
        "X-Real-IP",
        "x_real_ip",
        "Remote-User",
        "REMOTE_USER",
        "X-Forwarded-User",
        "X-Auth-Request-Email",
        "Client-Cert",
        "X-Client-Cert-Dn",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-S-DN",
        "SSL_CLIENT_CERT",
        "X-HTTP-Method-Override",
        "X-Forwarded",
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        assert!(families.strips(name.as_str(), PreservedHeaders::default()), "{name}");
        let headers: HeaderMap = ["a", "b"]
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        assert_eq!(find(&families, &headers, NOTHING), vec![name]);
    }
}

#[test]
fn a_usual_request_loses_nothing() {
    let fields = [
        ("host", "app.example.test"),
        ("user-agent", "curl/8"),
        ("accept", "*/*"),
        ("authorization", "Bearer x"),
        ("content-type", "application/json"),
        ("content-length", "5"),
        ("cookie", "a=b"),
        ("x-trace", "1"),
        ("x-api-key", "k"),
        ("subject", "s"),
        ("x-sub", "s"),
        ("roles", "r"),
        ("te", "trailers"),
        ("x-authority", "a"),
    ];
    assert!(stripped(&fields, NOTHING).is_empty());
}

/// hop-by-hop-006, hop-by-hop-007
#[test]
fn fields_of_the_connection_do_not_go_on() {
    let fields = [
        ("proxy-authorization", "Basic AAA="),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=999"),
        ("te", "trailers, deflate"),
        ("proxy", "http://evil.test"),
        ("trailer", "sub"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("connection", "upgrade"),
    ];
    assert_eq!(stripped(&fields, NOTHING).len(), fields.len());
    assert_eq!(stripped(&[("te", "chunked")], NOTHING), ["te"]);
    assert_eq!(stripped(&[("te", "trailers"), ("te", "trailers")], NOTHING), ["te"]);
    assert!(stripped(&[("te", "Trailers")], NOTHING).is_empty());
    let named = [("connection", "TE"), ("te", "trailers")];
    assert_eq!(stripped(&named, NOTHING), ["connection"]);
}

/// hop-by-hop-001 to hop-by-hop-004
#[test]
fn connection_names_away_the_caller_s_own_and_nothing_else() {
    let fields = [
        ("connection", "close, sub, X-HOP,x-real-ip"),
        ("connection", "host ,content-length, transfer-encoding,absent"),
        ("host", "a"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("sub", "root"),
        ("x-hop", "1"),
        ("x-real-ip", "::1"),
        ("x-other", "1"),
    ];
    assert_eq!(stripped(&fields, NOTHING), ["connection", "sub", "x-hop", "x-real-ip"]);
}

#[test]
fn a_websocket_handshake_keeps_its_upgrade() {
    let fields = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
    let kept = PreservedHeaders { upgrade: true, forwarding: false };
    assert_eq!(stripped(&fields, kept), ["connection"]);
    assert_eq!(stripped(&fields, NOTHING), ["connection", "upgrade"]);
}

#[test]
fn a_trusted_proxy_says_for_whom_it_forwards_and_not_who_is_calling() {
    let fields = [
        ("x-forwarded-prefix", "/api"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("x_forwarded_for", "192.0.2.2"),
        ("x-forwarded-user", "root"),
        ("x-forwarded-client-cert", "cert"),
        ("x-forwarded-uri", "/public"),
        ("x-original-url", "/public"),
        ("sub", "root"),
    ];
    let kept = PreservedHeaders { upgrade: false, forwarding: true };
    let expected = [
        "sub",
        "x-forwarded-client-cert",
        "x-forwarded-uri",
        "x-forwarded-user",
        "x-original-url",
        "x_forwarded_for",
    ];
    assert_eq!(stripped(&fields, kept), expected);
}

#[test]
fn another_spelling_of_a_standard_field_does_not_go_on() {
    let fields = [
        ("content-length", "5"),
        ("content_length", "6"),
        ("transfer_encoding", "chunked"),
        ("content.type", "x"),
        ("x_service_api_key", "k"),
    ];
    let expected = ["content.type", "content_length", "transfer_encoding", "x_service_api_key"];
    assert_eq!(stripped(&fields, NOTHING), expected);
}

/// header-spoofing-023
#[test]
fn identity_headers_that_are_one_to_an_upstream_are_refused() {
    let with = |subject: &str, roles: &str| {
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).unwrap();
        IdentityHeaders { subject: name(subject), roles: name(roles), ..IdentityHeaders::default() }
            .check()
    };
    assert_eq!(IdentityHeaders::default().check(), Ok(()));
    assert_eq!(with("x-forwarded-user", "x-forwarded-groups"), Ok(()));
    assert!(matches!(with("x-roles", "X_Roles"), Err(InvalidIdentityHeaders::Same(..))));
    assert!(matches!(with("sub", "x_auth_sid"), Err(InvalidIdentityHeaders::Same(..))));
    for reserved in
        ["host", "Content_Length", "authorization", "cookie", "x-request-id", "connection"]
    {
        assert!(
            matches!(with(reserved, "r"), Err(InvalidIdentityHeaders::Reserved(_))),
            "{reserved}"
        );
    }
    assert!(with(&"a".repeat(64), "r").is_ok());
    assert!(matches!(with(&"a".repeat(65), "r"), Err(InvalidIdentityHeaders::TooLong(_))));
}

proptest! {
    /// Whatever is configured is found again in any case, with any separators.
    #[test]
    fn a_configured_name_is_found_in_every_spelling(
        name in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,80}",
        choices in prop::collection::vec(any::<bool>(), 81),
    ) {
        let families = StrippedHeaders::new([name.as_str()]);
        let spelled: String = name
            .chars()
            .zip(&choices)
            .map(|(letter, choice)| match (letter, *choice) {
                ('_' | '-', true) => '_',
                ('_' | '-', false) => '-',
                (letter, true) => letter.to_ascii_uppercase(),
                (letter, false) => letter.to_ascii_lowercase(),
            })
            .collect();
        prop_assert!(families.strips(&spelled.to_ascii_lowercase(), PreservedHeaders::default()));
    }

    /// A beginning is found whatever follows, in any spelling.
    #[test]
    fn a_configured_beginning_is_found_in_every_spelling(
        name in "[a-z][a-z0-9-]{0,20}",
        end in "[a-z0-9_.-]{0,60}",
    ) {
        let families = StrippedHeaders::new([format!("{name}*").as_str()]);
        let spelled = format!("{}{end}", name.to_ascii_uppercase().replace('-', "_"));
        prop_assert!(families.strips(&spelled.to_ascii_lowercase(), PreservedHeaders::default()));
    }

    /// The quick look never hides what the slow one would find, nor adds to it.
    #[test]
    fn lookup_is_comparison_of_folded_names(
        names in prop::collection::vec("[a-cxyz][a-c_-]{0,4}", 1..8),
        asked in "[a-cxyz][a-c_-]{0,4}",
    ) {
        let mut set = Names::new();
        names.iter().for_each(|name| set.insert(name, IN_IDENTITY));
        let expected = names.iter().any(|name| fold_name(name) == fold_name(&asked));
        prop_assert_eq!(set.find(&asked) != 0, expected);
    }
}
