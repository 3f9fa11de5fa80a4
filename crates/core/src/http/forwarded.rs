//! `X-Forwarded-For`, `-Proto` and `-Host`: which values to trust, and which to send.
//!
//! Only trusted proxies are believed, each only about its own hop. The `Forwarded` field of RFC 7239 is
//! neither read nor written; a client's is stripped.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::bytes;

/// The client's address and the proxies.
pub const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the client used.
pub const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The authority that the client requested: [`super::CanonicalRequest::authority_header`].
pub const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Maximum number of hops that are evaluated.
pub const MAX_HOPS: usize = 32;

/// Whether the peer is a trusted proxy.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// The address of the client: the peer, or what trusted proxies forward, evaluated from the nearest hop
/// backwards. The evaluation ends at the first address that is not trusted, at the first element that is
/// not an address (then the last proxy is the client), and after [`MAX_HOPS`].
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    hops(peer, headers, trusted).last().unwrap_or(peer)
}

/// The value of `X-Forwarded-For`: from the client to the peer, without untrusted elements.
pub fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> HeaderValue {
    let mut hops: Vec<_> = hops(peer, headers, trusted).collect();
    hops.reverse();
    let mut text = String::with_capacity(hops.len() * 16);
    for (position, hop) in hops.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{hop}");
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The value of `X-Forwarded-Proto`: the scheme of the connection, or the one that a trusted peer sends
/// in exactly one field.
pub fn forwarded_proto(
    secure: bool,
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> &'static str {
    let said = if is_trusted(peer, trusted) { said_proto(headers) } else { None };
    if said.unwrap_or(secure) { "https" } else { "http" }
}

fn said_proto(headers: &HeaderMap) -> Option<bool> {
    let mut fields = headers.get_all(PROTO).iter();
    match (fields.next()?.as_bytes(), fields.next()) {
        (b"https", None) => Some(true),
        (b"http", None) => Some(false),
        (_, _) => None,
    }
}

/// The peer, then each hop that is reported by a trusted one.
fn hops(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> impl Iterator<Item = IpAddr> {
    let mut said = headers
        .get_all(FOR)
        .iter()
        .rev()
        .flat_map(|field| field.as_bytes().rsplit(|octet| *octet == b','));
    std::iter::successors(Some(peer.to_canonical()), move |hop| {
        if is_trusted(*hop, trusted) { parse_hop(said.next()?) } else { None }
    })
    .take(MAX_HOPS)
}

/// Parses an address, optionally with the port that some load balancers add.
fn parse_hop(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes::trim(element)).ok()?;
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: [&str; 3] = ["10.0.0.0/8", "198.51.100.0/24", "fd00::/8"];

    fn trusted() -> Vec<IpNet> {
        PROXIES.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn said(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(FOR, HeaderValue::from_str(field).unwrap());
        }
        headers
    }

    fn client_of(peer: &str, fields: &[&str]) -> String {
        client(peer.parse().unwrap(), &said(fields), &trusted()).to_string()
    }

    /// header-spoofing-011
    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client_of("203.0.113.9", &["127.0.0.1"]), "203.0.113.9");
        let peer = "203.0.113.9".parse().unwrap();
        let mut headers = said(&["127.0.0.1"]);
        headers.insert(PROTO, HeaderValue::from_static("https"));
        assert_eq!(forwarded_for(peer, &headers, &trusted()), "203.0.113.9");
        assert_eq!(forwarded_proto(false, peer, &headers, &trusted()), "http");
    }

    /// header-spoofing-012
    #[test]
    fn the_client_is_the_nearest_hop_that_is_not_trusted() {
        for (peer, fields, expected) in [
            ("10.0.0.1", &["6.6.6.6, 203.0.113.5"][..], "203.0.113.5"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.5 ,198.51.100.5"], "203.0.113.5"),
            ("::ffff:10.0.0.1", &["203.0.113.5:4711"], "203.0.113.5"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5,"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5, 10.0.0.2, evil"], "10.0.0.1"),
        ] {
            assert_eq!(client_of(peer, fields), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn only_vouched_hops_are_written() {
        let headers = said(&["6.6.6.6, 203.0.113.5, 10.0.0.2"]);
        let written = forwarded_for("10.0.0.1".parse().unwrap(), &headers, &trusted());
        assert_eq!(written, "203.0.113.5, 10.0.0.2, 10.0.0.1");
    }

    #[test]
    fn a_long_chain_is_cut() {
        let chain = vec!["10.0.0.2"; 10_000].join(",");
        let written = forwarded_for("10.0.0.1".parse().unwrap(), &said(&[&chain]), &trusted());
        assert_eq!(written.to_str().unwrap().split(", ").count(), MAX_HOPS);
    }

    #[test]
    fn a_trusted_peer_says_one_scheme() {
        let peer = "10.0.0.1".parse().unwrap();
        let proto = |secure: bool, fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(PROTO, HeaderValue::from_static(field));
            }
            forwarded_proto(secure, peer, &headers, &trusted())
        };
        assert_eq!(proto(false, &["https"]), "https");
        assert_eq!(proto(true, &["http"]), "http");
        assert_eq!(proto(true, &["http", "http"]), "https");
        assert_eq!(proto(true, &["ftp"]), "https");
        assert_eq!(proto(false, &[]), "http");
    }
}
