use proptest::prelude::*;

use super::*;
use crate::Code;

fn headers(hosts: &[&str]) -> HeaderMap {
    let values = hosts.iter().map(|host| HeaderValue::from_str(host).unwrap());
    values.map(|value| (header::HOST, value)).collect()
}

fn parse(
    version: Version,
    target: &[u8],
    hosts: &[&str],
) -> Result<CanonicalRequest, CanonicalizationError> {
    CanonicalRequest::parse(&RawRequest {
        version,
        method: &Method::GET,
        target,
        authority: None,
        headers: &headers(hosts),
    })
}

fn http1(target: &str, hosts: &[&str]) -> Result<CanonicalRequest, CanonicalizationError> {
    parse(Version::HTTP_11, target.as_bytes(), hosts)
}

fn http2(
    target: &str,
    authority: Option<&str>,
    hosts: &[&str],
) -> Result<CanonicalRequest, CanonicalizationError> {
    CanonicalRequest::parse(&RawRequest {
        version: Version::HTTP_2,
        method: &Method::GET,
        target: target.as_bytes(),
        authority,
        headers: &headers(hosts),
    })
}

/// path-confusion-019
#[test]
fn one_host_has_one_spelling() {
    for (host, port) in [
        ("APP.EXAMPLE.TEST", ""),
        ("app.example.test.", ""),
        ("app.example.test:443", ":443"),
        ("app.example.test.:443", ":443"),
        ("app.example.test:", ""),
    ] {
        let request = http1("/x", &[host]).unwrap();
        assert_eq!(request.host(), "app.example.test");
        assert_eq!(request.authority(), format!("app.example.test{port}"));
        assert_eq!(request.authority_header(), request.authority());
    }
    assert_eq!(http1("/", &["[0::1]:8443"]).unwrap().host(), "[::1]");
}

/// path-confusion-020
#[test]
fn a_host_without_one_meaning_is_refused() {
    assert_eq!(http1("/", &[]), Err(CanonicalizationError::HostMissing));
    assert_eq!(http1("/", &["a", "a"]), Err(CanonicalizationError::HostRepeated));
    for host in ["a, b", "app.example.test/x", "", "app.example.test@evil.test", "a b/c"] {
        assert_eq!(http1("/", &[host]), Err(CanonicalizationError::HostMalformed), "{host:?}");
    }
}

/// path-confusion-007, path-confusion-008
#[test]
fn an_absolute_uri_is_its_path_and_its_host_agrees() {
    let app = "app.example.test";
    let request = http1("https://app.example.test/admin/%78?a", &[app]).unwrap();
    assert_eq!(request.path_and_query(), "/admin/x?a");
    for target in
        ["http://app.example.test", "HTTP://APP.example.test.:80?", "http://app.example.test:"]
    {
        assert_eq!(http1(target, &[app]).unwrap().path(), "/", "{target}");
    }
    for target in [
        "https://open.example.test/admin/x",
        "https://app.example.test:444/",
        "http://app.example.test:443/",
    ] {
        assert_eq!(http1(target, &[app]), Err(CanonicalizationError::HostDiffers), "{target}");
    }
    assert_eq!(
        http1("https://app.example.test/x", &["open.example.test"]),
        Err(CanonicalizationError::HostDiffers)
    );
    assert_eq!(http1("https://app.example.test/x", &[]), Err(CanonicalizationError::HostMissing));
    for target in ["https:///x", "https://user@app.example.test/", "https://app.example.test\\x/"] {
        assert_eq!(http1(target, &[app]), Err(CanonicalizationError::HostMalformed), "{target}");
    }
    assert_eq!(
        http1("https://app.example.test//x", &[app]),
        Err(CanonicalizationError::EmptySegment)
    );
    assert_eq!(http1("https://app.example.test#/x", &[app]), Err(CanonicalizationError::Target));
}

/// path-confusion-009, path-confusion-010, path-confusion-011
#[test]
fn what_is_no_path_reaches_no_route() {
    for target in ["admin/x", "", "?x", "*", "\\admin", "ftp://a/x", "app.example.test:443", "//"] {
        assert!(http1(target, &["a"]).is_err(), "{target:?}");
        assert!(http2(target, Some("a"), &[]).is_err(), "{target:?}");
    }
    assert_eq!(http2("https://a/x", Some("a"), &[]), Err(CanonicalizationError::Target));
    assert_eq!(http2("/adm in", Some("a"), &[]), Err(CanonicalizationError::Control));
    for method in [Method::CONNECT, Method::TRACE] {
        let refused = CanonicalRequest::parse(&RawRequest {
            version: Version::HTTP_2,
            method: &method,
            target: b"/",
            authority: Some("a"),
            headers: &HeaderMap::new(),
        });
        assert_eq!(refused.map_err(CanonicalizationError::code), Err(Code::NotImplemented));
    }
}

/// smuggling-010
#[test]
fn http2_names_one_host() {
    assert_eq!(http2("/x", Some("App.Example.test"), &[]).unwrap().authority(), "app.example.test");
    assert_eq!(http2("/x", Some("a.test"), &["A.test."]).unwrap().host(), "a.test");
    assert_eq!(http2("/x", None, &["a.test"]).unwrap().host(), "a.test");
    assert_eq!(http2("/x", Some("a.test"), &["b.test"]), Err(CanonicalizationError::HostDiffers));
    assert_eq!(
        http2("/x", Some("a.test"), &["a.test:444"]),
        Err(CanonicalizationError::HostDiffers)
    );
    assert_eq!(http2("/x", None, &[]), Err(CanonicalizationError::HostMissing));
    assert_eq!(http2("/x", Some("user@a.test"), &[]), Err(CanonicalizationError::HostMalformed));
}

/// path-confusion-021: the query is data; nothing here decides by it, and it goes on as it came.
#[test]
fn a_query_is_forwarded_as_sent() {
    for query in ["tenant=public&tenant=x", "%74enant=public", "tenant=public;x=1", "", "a?b"] {
        let request = http1(&format!("/t?{query}"), &["a"]).unwrap();
        assert_eq!(request.query(), Some(query));
        assert_eq!(request.path(), "/t");
    }
    assert_eq!(http1("/t?a#b", &["a"]), Err(CanonicalizationError::Fragment));
}

/// path-confusion-023
#[test]
fn a_target_has_a_longest() {
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert!(http1(&path(MAX_TARGET), &["a"]).is_ok());
    assert_eq!(http1(&path(MAX_TARGET + 1), &["a"]), Err(CanonicalizationError::TargetTooLong));
    let grown = path(MAX_TARGET - 1) + "|";
    assert_eq!(http1(&grown, &["a"]), Err(CanonicalizationError::TargetTooLong));
}

#[test]
fn a_canonical_target_is_shared_and_another_is_not() {
    let headers = headers(&["a"]);
    let parsed = PathAndQuery::from_static("/a/b?c");
    let arrived = |target: &'static [u8]| RawRequest {
        version: Version::HTTP_11,
        method: &Method::GET,
        target,
        authority: None,
        headers: &headers,
    };
    let shared = CanonicalRequest::parse_shared(&arrived(b"/a/b?c"), Some(&parsed)).unwrap();
    assert_eq!(shared.path_and_query().as_str().as_ptr(), parsed.as_str().as_ptr());
    let other = CanonicalRequest::parse_shared(&arrived(b"/a/c"), Some(&parsed)).unwrap();
    assert_eq!(other.path_and_query(), "/a/c");
}

fn any_target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", ";", "%3b", "//", "\\", "%5c", "%00", "%25",
        "%", "a", "Admin", "%61", "%41", "é", "%c3%a9", "%C0%AE", "%20", " ", "?", "x=1", "#", "{",
        "|", "[", "%7c", "@", "%40", "+", "\u{0}", "\u{85}", "%c2%85", "%252e", "32", "65",
        "public",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    /// path-confusion-022: matched = judged = forwarded.
    #[test]
    fn what_is_forwarded_means_what_was_judged(target in any_target()) {
        if let Ok(judged) = http1(&target, &["A.Test.:8443"]) {
            let forwarded = judged.path_and_query().as_str();
            let again = http1(forwarded, &[judged.authority()]).unwrap();
            prop_assert_eq!(&again, &judged);
            prop_assert_eq!(again.host(), judged.host());
            prop_assert_eq!(&http2(forwarded, Some(judged.authority()), &[]).unwrap(), &judged);
            prop_assert!(forwarded.bytes().all(|octet| octet.is_ascii_graphic()));
            let path = judged.path();
            prop_assert!(!path.contains("//") && !path.contains(['\\', ';', '#', '?']));
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(target in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(judged) = parse(Version::HTTP_11, &target, &["a"]) {
            let again = http1(judged.path_and_query().as_str(), &["a"]).unwrap();
            prop_assert_eq!(again, judged);
        }
    }

    #[test]
    fn a_refused_piece_is_refused_wherever_it_stands(
        before in "(/[a-z0-9._~@-]{2,5}[a-z]){0,3}",
        after in "([a-z]{1,5}/){0,3}[a-z]{1,3}",
        piece in prop::sample::select(vec![
            "/../", "/./", "/%2e%2e/", "/.%2e/", "//", "%2f", "%2F", "%5c", "%5C", "\\", ";", "%3b", "%3B",
            "%00", "%0a", "%0D", "%7f", "%252e", "%2525", "%255C", "%", "%g0", "%c0%ae", "%ff", "é", " ",
            "\t", "\u{0}", "#", "/..;/", "%c2%80",
        ]),
    ) {
        let after = if piece == "%" { format!("z{after}") } else { after };
        let target = format!("{before}/x{piece}{after}");
        prop_assert!(http1(&target, &["a"]).is_err(), "{}", target);
    }
}
