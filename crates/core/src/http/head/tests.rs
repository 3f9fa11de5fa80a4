use proptest::prelude::*;

use super::*;
use crate::Code;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 20, target: 1024 };

fn inspect_text(text: &str) -> Result<Head, HeadError> {
    inspect(text.as_bytes(), &LIMITS)
}

fn with_fields(fields: &str) -> Result<Head, HeadError> {
    inspect_text(&format!("POST /public/x HTTP/1.1\r\nHost: app.example.test\r\n{fields}\r\n\r\n"))
}

fn with_line(line: &str) -> Result<Head, HeadError> {
    inspect_text(&format!("{line}\r\nHost: app.example.test\r\n\r\n"))
}

#[test]
fn a_plain_request_passes() {
    let head = with_line("GET /a?b=`c\\|{} HTTP/1.1").unwrap();
    let expected = Head {
        version: HeadVersion::Http11,
        framing: Framing::None,
        expects_continue: false,
        close: false,
        upgrade: false,
        leading: 0,
    };
    assert_eq!(head, expected);
}

#[test]
fn the_end_is_found_in_any_pieces() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /second";
    let end = head.len() - "GET /second".len();
    let mut searched = 0;
    for length in 0..head.len() {
        let found = find_end(&head[..length], searched);
        assert_eq!(found, (length >= end).then_some(end), "{length}");
        if found.is_none() {
            searched = length;
        }
    }
}

#[test]
fn a_bare_line_feed_ends_the_search_and_is_refused() {
    for text in ["GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: a\n\n", "\n", "\r\n\n"] {
        let end = find_end(text.as_bytes(), 0).unwrap();
        let refusal = inspect(&text.as_bytes()[..end], &LIMITS).unwrap_err();
        assert_eq!(refusal, HeadError::BareLineFeed, "{text:?}");
    }
}

#[test]
fn one_empty_line_may_come_first_and_no_more() {
    let head = inspect_text("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.leading, 2);
    let two = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let end = find_end(two, 0).unwrap();
    assert_eq!(inspect(&two[..end], &LIMITS), Err(HeadError::EmptyLines));
}

/// smuggling-002
#[test]
fn a_content_length_is_one_plain_number() {
    assert_eq!(with_fields("Content-Length: 5").unwrap().framing, Framing::Length(5));
    assert_eq!(with_fields("content-length:\t5 ").unwrap().framing, Framing::Length(5));
    for value in [
        "+5",
        "5, 5",
        "5 5",
        "0x5",
        "-1",
        "05;",
        "18446744073709551617",
        "",
        "5\r\nContent-Length: 6",
        "5\r\nContent-Length: 5",
        "5,",
        "005",
        "５",
    ] {
        let refusal = with_fields(&format!("Content-Length: {value}"));
        assert_eq!(refusal, Err(HeadError::ContentLength), "{value:?}");
    }
    assert_eq!(with_fields("Content-Length: 5\u{b}"), Err(HeadError::Control));
}

/// smuggling-001, smuggling-003, smuggling-004
#[test]
fn a_transfer_encoding_is_chunked_once_on_http11_without_length() {
    assert_eq!(with_fields("Transfer-Encoding: chunked").unwrap().framing, Framing::Chunked);
    assert_eq!(with_fields("TRANSFER-ENCODING: Chunked").unwrap().framing, Framing::Chunked);
    for value in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "\"chunked\"",
        "chunked;q=1",
        "chunked\r\nTransfer-Encoding: x",
        "gzip, chunked",
        "",
        "identity",
        "chunked,",
    ] {
        let refusal = with_fields(&format!("Transfer-Encoding: {value}"));
        assert_eq!(refusal, Err(HeadError::TransferEncoding), "{value:?}");
    }
    for value in ["chunked\u{b}", "\u{b}chunked"] {
        let refusal = with_fields(&format!("Transfer-Encoding: {value}"));
        assert_eq!(refusal, Err(HeadError::Control));
    }
    assert_eq!(with_fields("Transfer-Encoding: Chunked\r\n foo"), Err(HeadError::Folding));
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 4";
    assert_eq!(with_fields(both), Err(HeadError::TwoFramings));
    let old = "POST /public/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(inspect_text(old), Err(HeadError::TransferEncoding));
}

/// smuggling-005
#[test]
fn a_body_without_framing_does_not_exist() {
    let head = inspect_text("POST /public/x HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.framing, Framing::None);
    assert!(head.close);
}

/// smuggling-011, path-confusion-009, path-confusion-010, path-confusion-011
#[test]
fn methods_and_targets_that_no_proxy_forwards_are_refused() {
    for (line, expected) in [
        ("CONNECT app.example.test:443 HTTP/1.1", HeadError::MethodNotForwarded),
        ("CONNECT u:80 HTTP/1.1", HeadError::MethodNotForwarded),
        ("TRACE / HTTP/1.1", HeadError::MethodNotForwarded),
        ("get / HTTP/1.1", HeadError::Method),
        ("GET@ / HTTP/1.1", HeadError::Method),
        (" / HTTP/1.1", HeadError::Method),
        ("GET secret/x HTTP/1.1", HeadError::Target),
        ("GET * HTTP/1.1", HeadError::Target),
        ("GET ?x HTTP/1.1", HeadError::Target),
        ("GET \\admin HTTP/1.1", HeadError::Target),
        ("GET app.example.test:443 HTTP/1.1", HeadError::Target),
        ("GET ftp://a/ HTTP/1.1", HeadError::Target),
        ("GET /a#b HTTP/1.1", HeadError::Target),
        ("GET /a\\b HTTP/1.1", HeadError::Target),
        ("GET /é HTTP/1.1", HeadError::Target),
        ("GET  HTTP/1.1", HeadError::Target),
        ("GET /adm in HTTP/1.1", HeadError::RequestLine),
        ("GET / HTTP/1.1 ", HeadError::RequestLine),
        ("GET /\tHTTP/1.1", HeadError::RequestLine),
        ("GET /", HeadError::RequestLine),
        ("GET / http/1.1", HeadError::RequestLine),
        ("GET / HTTP/1.10", HeadError::RequestLine),
        ("GET / HTTP/2.0", HeadError::Version),
        ("PRI * HTTP/2.0", HeadError::Version),
        ("GET / HTTP/1.2", HeadError::Version),
    ] {
        assert_eq!(with_line(line), Err(expected), "{line:?}");
    }
    for line in [
        "OPTIONS * HTTP/1.1",
        "PROPFIND /x HTTP/1.1",
        "M-SEARCH /x HTTP/1.1",
        "GET HTTPS://app.example.test/x HTTP/1.1",
    ] {
        assert!(with_line(line).is_ok(), "{line:?}");
    }
}

/// path-confusion-020
#[test]
fn a_host_is_there_once_and_is_a_host() {
    let with_host = |fields: &str| inspect_text(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a, b\r\n",
        "Host: app.example.test/x\r\n",
        "Host: \r\n",
        "Host: app.example.test@evil.test\r\n",
        "Host: a b/c\r\n",
        "Host: a:x\r\n",
    ] {
        assert_eq!(with_host(fields), Err(HeadError::Host), "{fields:?}");
    }
    assert!(with_host("hOST:[::1]:8443\r\n").is_ok());
    assert_eq!(inspect_text("GET / HTTP/1.0\r\nA: b\r\n\r\n"), Err(HeadError::Host));
}

/// header-spoofing-013, header-spoofing-014, header-spoofing-022
#[test]
fn a_field_name_cannot_hide() {
    for (field, expected) in [
        ("sub : root", HeadError::FieldName),
        ("sub\t: root", HeadError::FieldName),
        ("sub\u{b}: root", HeadError::FieldName),
        (":sub: root", HeadError::FieldName),
        (": root", HeadError::FieldName),
        ("sub", HeadError::FieldName),
        ("sübject: root", HeadError::FieldName),
        (" sub: root", HeadError::Folding),
        ("\tsub: root", HeadError::Folding),
        ("X-A: b\r\n sub: root", HeadError::Folding),
        ("X-A: b\0c", HeadError::Control),
        ("X-A: b\u{7f}c", HeadError::Control),
        ("X-A: b\rsub: root", HeadError::BareCarriageReturn),
        ("X-A: b\nsub: root", HeadError::BareLineFeed),
        ("X-A\nsub: root", HeadError::BareLineFeed),
    ] {
        assert_eq!(with_fields(field), Err(expected), "{field:?}");
    }
    let first = "GET / HTTP/1.1\r\n sub: root\r\nHost: a\r\n\r\n";
    assert_eq!(inspect_text(first), Err(HeadError::Folding));
    assert!(with_fields("X-A: tab\tand \u{e9}\r\nX-Empty:").is_ok());
}

/// hop-by-hop-004
#[test]
fn connection_cannot_name_what_concerns_everyone() {
    for option in [
        "host",
        "content-length",
        "Transfer-Encoding",
        "cookie",
        "authorization",
        "cache-control",
        "close, X-FORWARDED-FOR",
        ":authority",
        "a b",
        "\"sub\"",
    ] {
        let refusal = with_fields(&format!("Connection: {option}"));
        assert_eq!(refusal, Err(HeadError::Connection), "{option}");
    }
    assert!(with_fields("Connection: close, sub, app_roles").unwrap().close);
    assert!(with_fields("Connection: , TE,keep-alive").is_ok());
    assert!(with_fields("Connection: a,b,c,d,e\r\nConnection: f,g,h,i").is_ok());
    let ten = with_fields("Connection: a,b,c,d,e\r\nConnection: f,g,h,i,j");
    assert_eq!(ten, Err(HeadError::Connection));
}

#[test]
fn an_expectation_is_100_continue() {
    let head = with_fields("Expect: 100-Continue\r\nContent-Length: 3").unwrap();
    assert!(head.expects_continue);
    assert!(!with_fields("Expect: 100-continue").unwrap().expects_continue);
    for value in ["200-ok", "", "100-continue, x", "100-continue\r\nExpect: 100-continue"] {
        let refusal = with_fields(&format!("Expect: {value}"));
        assert_eq!(refusal, Err(HeadError::Expectation), "{value:?}");
    }
}

#[test]
fn only_a_websocket_handshake_is_an_upgrade() {
    let get = |version: &str, fields: &str| {
        inspect_text(&format!("GET /ws HTTP/{version}\r\nHost: a\r\n{fields}\r\n\r\n"))
    };
    let handshake = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket";
    assert!(get("1.1", handshake).unwrap().upgrade);
    assert!(!get("1.0", handshake).unwrap().upgrade);
    assert!(!with_fields(handshake).unwrap().upgrade);
    assert!(!get("1.1", "Upgrade: websocket").unwrap().upgrade);
    assert!(!get("1.1", "Connection: upgrade\r\nUpgrade: h2c").unwrap().upgrade);
    assert!(!get("1.1", &format!("{handshake}\r\nUpgrade: h2c")).unwrap().upgrade);
    let body = format!("{handshake}\r\nTransfer-Encoding: chunked");
    assert_eq!(get("1.1", &body), Err(HeadError::UpgradeWithBody));
}

#[test]
fn the_connection_s_end_is_known() {
    assert!(with_fields("Connection: CLOSE").unwrap().close);
    assert!(!with_fields("Connection: keep-alive").unwrap().close);
    let old = |field: &str| inspect_text(&format!("GET / HTTP/1.0\r\nHost: a\r\n{field}\r\n"));
    assert!(old("").unwrap().close);
    assert!(!old("Connection: keep-alive\r\n").unwrap().close);
    assert!(old("Connection: keep-alive, close\r\n").unwrap().close);
}

/// path-confusion-023
#[test]
fn every_bound_holds_and_can_be_reached() {
    let target = |length: usize| with_line(&format!("GET /{} HTTP/1.1", "a".repeat(length - 1)));
    assert!(target(1024).is_ok());
    assert_eq!(target(1025), Err(HeadError::TargetTooLong));
    assert!(with_fields("a: b\r\n".repeat(19).trim_end()).is_ok());
    assert_eq!(with_fields("a: b\r\n".repeat(20).trim_end()), Err(HeadError::TooManyFields));
    let bytes = |more: usize| with_fields(&format!("a: {}", "b".repeat(more)));
    let frame = "POST /public/x HTTP/1.1\r\nHost: app.example.test\r\na: \r\n\r\n".len();
    assert!(bytes(4096 - frame).is_ok());
    assert_eq!(bytes(4097 - frame), Err(HeadError::TooLarge));
    assert!(with_line(&format!("{} / HTTP/1.1", "A".repeat(32))).is_ok());
    assert_eq!(with_line(&format!("{} / HTTP/1.1", "A".repeat(33))), Err(HeadError::Method));
}

#[test]
fn a_head_without_end_overflows() {
    let line = vec![b'a'; 1100];
    assert_eq!(overflow(&line, &LIMITS), Some(HeadError::TargetTooLong));
    assert_eq!(overflow(&line[..1000], &LIMITS), None);
    let mut fields = b"GET / HTTP/1.1\r\n".to_vec();
    fields.resize(4095, b'a');
    assert_eq!(overflow(&fields, &LIMITS), None);
    fields.push(b'a');
    assert_eq!(overflow(&fields, &LIMITS), Some(HeadError::TooLarge));
}

#[test]
fn an_incomplete_head_is_refused() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in 0..head.len() {
        assert!(inspect_text(&head[..length]).is_err(), "{length}");
    }
    assert_eq!(inspect_text(&format!("{head}x")), Err(HeadError::Incomplete));
}

#[test]
fn refusals_have_the_status_that_rfc_9110_gives() {
    assert_eq!(HeadError::TargetTooLong.code(), Code::TargetTooLong);
    assert_eq!(HeadError::Expectation.code().status(), 417);
    assert_eq!(HeadError::TooManyFields.code().status(), 431);
    assert_eq!(HeadError::MethodNotForwarded.code().status(), 501);
    assert_eq!(HeadError::Version.code().status(), 505);
    assert_eq!(HeadError::TwoFramings.code().status(), 400);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_wait(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = inspect(&bytes, &LIMITS);
        if bytes.contains(&b'\n') && !bytes.windows(2).any(|pair| pair == b"\r\n") {
            prop_assert!(find_end(&bytes, 0).is_some());
        }
    }

    /// A control character anywhere in a head that would pass makes it refused.
    #[test]
    fn a_control_character_is_refused_wherever_it_stands(
        place in 0..90_usize,
        control in prop::sample::select(vec![0_u8, 1, 8, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x1f, 0x7f]),
    ) {
        let mut head =
            b"POST /public/x HTTP/1.1\r\nHost: app.example.test\r\nX-A: some value\r\nContent-Length: 5\r\n\r\n"
                .to_vec();
        head.insert(place.min(head.len() - 1), control);
        let end = find_end(&head, 0).unwrap_or(head.len());
        // A line feed before a carriage return's own one may leave a shorter, still complete line.
        prop_assert!(inspect(&head[..end], &LIMITS).is_err() || end < head.len());
    }
}
