//! Who came through which proxies (`X-Forwarded-*`), believed only from trusted ones.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

/// `X-Forwarded-For`
pub static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`
pub static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`
pub static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Most proxies on the way that are looked at.
const MAX_HOPS: usize = 32;

/// Names that say how a request came; none survives but those written here.
pub const FAMILY: [&str; 12] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-scheme",
    "x-real-ip",
    "true-client-ip",
];

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The client's address: the socket's other end, or, behind trusted proxies, the last address in
/// `X-Forwarded-For` that is not one of them.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut client = peer;
    let fields = headers.get_all(&FOR).iter().rev();
    let hops = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.rsplit(','))
        .take(MAX_HOPS);
    for hop in hops {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { return client };
        client = address;
        if !is_trusted(address, trusted) {
            return client;
        }
    }
    client
}

/// The value of `X-Forwarded-For` to send: what a trusted proxy said, and the socket's other end.
pub fn for_value(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<HeaderValue> {
    let peer_text = peer.to_canonical().to_string();
    let mut before =
        headers.get_all(&FOR).iter().filter_map(|field| field.to_str().ok()).peekable();
    if before.peek().is_none() || !is_trusted(peer, trusted) {
        return HeaderValue::try_from(peer_text).ok();
    }
    let mut way = before.collect::<Vec<_>>();
    way.push(&peer_text);
    HeaderValue::try_from(way.join(", ")).ok()
}

/// What a trusted proxy says under `name`, if it says it once.
pub fn believed<'a>(
    name: &HeaderName,
    peer: IpAddr,
    headers: &'a HeaderMap,
    trusted: &[IpNet],
) -> Option<&'a HeaderValue> {
    if trusted.is_empty() || !is_trusted(peer, trusted) {
        return None;
    }
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (Some(value), None) => Some(value),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&FOR, value.parse().unwrap());
        }
        headers
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_stranger_cannot_say_who_it_is() {
        let headers = headers(&["10.0.0.1"]);
        assert_eq!(client(address("192.0.2.1"), &headers, &[]), address("192.0.2.1"));
        let sent = for_value(address("192.0.2.1"), &headers, &[]).unwrap();
        assert_eq!(sent, "192.0.2.1");
        assert!(believed(&PROTO, address("192.0.2.1"), &headers, &[]).is_none());
    }

    #[test]
    fn behind_trusted_proxies_the_last_untrusted_address_counts() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let headers = headers(&["203.0.113.9, 198.51.100.7", "10.0.0.2"]);
        let peer = address("10.0.0.1");
        assert_eq!(client(peer, &headers, &trusted), address("198.51.100.7"));
        let sent = for_value(peer, &headers, &trusted).unwrap();
        assert_eq!(sent, "203.0.113.9, 198.51.100.7, 10.0.0.2, 10.0.0.1");
    }

    #[test]
    fn a_garbled_way_ends_where_it_is_garbled() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let headers = headers(&["1.2.3.4, unknown, 10.0.0.2"]);
        assert_eq!(client(address("10.0.0.1"), &headers, &trusted), address("10.0.0.2"));
    }
}
