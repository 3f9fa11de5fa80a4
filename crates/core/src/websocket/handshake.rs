//! The opening handshake of a WebSocket (RFC 6455 sections 4.1 and 4.2), the only upgrade that is forwarded.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

/// The GUID that a server appends to the client's key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request is a WebSocket handshake: GET on HTTP/1.1, with exactly one `Upgrade: websocket`, named in
/// `Connection`. Other upgrades are ignored.
pub fn is_handshake(version: Version, method: &Method, headers: &HeaderMap) -> bool {
    let names_it = |value: &HeaderValue| {
        value.as_bytes().split(|octet| *octet == b',').any(|option| is(option, b"upgrade"))
    };
    version == Version::HTTP_11
        && method == Method::GET
        && one(headers, &header::UPGRADE).is_some_and(|value| is(value.as_bytes(), b"websocket"))
        && headers.get_all(header::CONNECTION).iter().any(names_it)
}

/// Whether the head of a 101 accepts the handshake: it names the protocol and has the right
/// `Sec-WebSocket-Accept`. A bare 101 status, which a client may cause an upstream to send, opens no tunnel.
pub fn is_accepted(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let key = one(request, &header::SEC_WEBSOCKET_KEY);
    let proof = one(answer, &header::SEC_WEBSOCKET_ACCEPT);
    let names_it =
        one(answer, &header::UPGRADE).is_some_and(|value| is(value.as_bytes(), b"websocket"));
    names_it
        && key
            .zip(proof)
            .is_some_and(|(key, proof)| proof.as_bytes().trim_ascii() == accept(key).as_bytes())
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2, point 5.4).
fn accept(key: &HeaderValue) -> String {
    let text = [key.as_bytes().trim_ascii(), GUID].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

fn is(value: &[u8], expected: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(expected)
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// websocket-009
    #[test]
    fn only_websocket_alone_is_an_upgrade() {
        const CONNECTION: (&str, &str) = ("connection", "keep-alive, Upgrade");
        let is = |fields: &[(&'static str, &'static str)]| {
            is_handshake(Version::HTTP_11, &Method::GET, &headers(fields))
        };
        assert!(is(&[CONNECTION, ("upgrade", "websocket")]));
        assert!(is(&[CONNECTION, ("upgrade", "WebSocket")]));
        for fields in [
            &[CONNECTION][..],
            &[CONNECTION, ("upgrade", "websocket, h2c")],
            &[CONNECTION, ("upgrade", "h2c")],
            &[CONNECTION, ("upgrade", "TLS/1.0")],
            &[CONNECTION, ("upgrade", "foo")],
            &[CONNECTION, ("upgrade", "websocket/13")],
            &[CONNECTION, ("upgrade", "websocket"), ("upgrade", "websocket")],
            &[CONNECTION, ("upgrade", "websocket"), ("upgrade", "h2c")],
            &[("connection", "close"), ("upgrade", "websocket")],
            &[("upgrade", "websocket")],
        ] {
            assert!(!is(fields), "{fields:?}");
        }
        let whole = headers(&[CONNECTION, ("upgrade", "websocket")]);
        assert!(!is_handshake(Version::HTTP_11, &Method::POST, &whole));
        assert!(!is_handshake(Version::HTTP_10, &Method::GET, &whole));
        assert!(!is_handshake(Version::HTTP_2, &Method::GET, &whole));
    }

    #[test]
    fn a_101_proves_that_it_is_for_this_handshake() {
        const UPGRADE: (&str, &str) = ("upgrade", "websocket");
        // RFC 6455 section 1.3.
        const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let is = |request: &[(&'static str, &'static str)],
                  answer: &[(&'static str, &'static str)]| {
            is_accepted(&headers(request), &headers(answer))
        };
        assert!(is(&[KEY], &[UPGRADE, ACCEPT]));
        assert!(!is(&[KEY], &[ACCEPT]));
        assert!(!is(&[KEY], &[UPGRADE]));
        assert!(!is(&[KEY], &[("upgrade", "h2c"), ACCEPT]));
        assert!(!is(&[], &[UPGRADE, ACCEPT]));
        assert!(!is(&[KEY, KEY], &[UPGRADE, ACCEPT]));
        assert!(!is(&[("sec-websocket-key", "eA==")], &[UPGRADE, ACCEPT]));
    }
}
