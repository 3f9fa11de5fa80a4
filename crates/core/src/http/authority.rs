//! `host[:port]`, as in `Host`, `:authority` and the absolute-form (RFC 9110 section 7.2).

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;

/// Longest DNS name, in bytes (RFC 1035 section 2.3.4, without the root's dot).
const MAX_NAME: usize = 253;
/// Longest label of a DNS name, in bytes.
const MAX_LABEL: usize = 63;

/// An authority. Names are ASCII; internationalised names are sent as A-labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    pub(crate) host: Host<'a>,
    pub(crate) port: Option<u16>,
    canonical: bool,
}

/// A host, without a trailing dot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Host<'a> {
    Name(&'a str),
    Address(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(two)) => one.eq_ignore_ascii_case(two),
            (Self::Address(one), Self::Address(two)) => one == two,
            (Self::Name(_), Self::Address(_)) | (Self::Address(_), Self::Name(_)) => false,
        }
    }
}

impl<'a> Authority<'a> {
    /// Parses an authority. [`None`] if it is empty or has user information, a path, a percent sign, anything
    /// but ASCII, an empty or overlong label, port 0 or a port above 65,535.
    pub(crate) fn parse(octets: &'a [u8]) -> Option<Self> {
        if let [b'[', rest @ ..] = octets {
            let end = rest.iter().position(|octet| *octet == b']')?;
            let (address, port) = rest.split_at_checked(end)?;
            let address = str::from_utf8(address).ok()?.parse().ok()?;
            let port = Port::parse(port.strip_prefix(b"]")?)?;
            return Some(Self { host: Host::Address(address), port: port.0, canonical: false });
        }
        let end = octets.iter().position(|octet| *octet == b':').unwrap_or(octets.len());
        let (name, port) = octets.split_at_checked(end)?;
        let (bare, dotted) = match name.strip_suffix(b".") {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        let lower = check_name(bare)?;
        let empty_port = port == b":";
        Some(Self {
            host: Host::Name(str::from_utf8(bare).ok()?),
            port: Port::parse(port)?.0,
            canonical: lower && !dotted && !empty_port,
        })
    }

    /// Whether it was written in canonical form. Always false for addresses in brackets.
    pub(crate) const fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// Whether both are the same host and port; `default_port` is used for an omitted port.
    pub(crate) fn agrees(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host == other.host && self.port.or(default_port) == other.port.or(default_port)
    }

    /// Length of the host in canonical form, in bytes.
    pub(crate) fn host_length(&self) -> usize {
        match self.host {
            Host::Name(name) => name.len(),
            Host::Address(_) => self.host.to_string().len(),
        }
    }
}

/// The canonical form: lower case, no trailing dot, no empty port; IPv6 addresses by RFC 5952.
impl fmt::Display for Authority<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(formatter)?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name
                .bytes()
                .try_for_each(|octet| formatter.write_char(char::from(octet.to_ascii_lowercase()))),
            Self::Address(address) => write!(formatter, "[{address}]"),
        }
    }
}

struct Port(Option<u16>);

impl Port {
    fn parse(octets: &[u8]) -> Option<Self> {
        let digits = match octets {
            [] | [b':'] => return Some(Self(None)),
            [b':', digits @ ..] => digits,
            _ => return None,
        };
        if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        str::from_utf8(digits).ok()?.parse().ok().map(|port| Self(Some(port)))
    }
}

/// Whether the name is in lower case; [`None`] if it is not a valid name.
fn check_name(name: &[u8]) -> Option<bool> {
    if name.len() > MAX_NAME {
        return None;
    }
    let mut label = 0;
    let mut lower = true;
    for octet in name {
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'A'..=b'Z' => {
                label += 1;
                lower = false;
            }
            b'.' if label > 0 => label = 0,
            _ => return None,
        }
        if label > MAX_LABEL {
            return None;
        }
    }
    (label > 0).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Authority::parse(text.as_bytes()).map(|authority| authority.to_string())
    }

    #[test]
    fn one_place_has_one_spelling() {
        for (written, meant) in [
            ("app.example.test", "app.example.test"),
            ("APP.Example.test.", "app.example.test"),
            ("app.example.test:443", "app.example.test:443"),
            ("app.example.test.:443", "app.example.test:443"),
            ("app.example.test:", "app.example.test"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[0:0::1]:8443", "[::1]:8443"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
            ("xn--bcher-kva.test", "xn--bcher-kva.test"),
            ("orders_api", "orders_api"),
        ] {
            let authority = Authority::parse(written.as_bytes()).unwrap();
            assert_eq!(authority.to_string(), meant, "{written}");
            assert_eq!(canonical(meant).as_deref(), Some(meant));
            if authority.is_canonical() {
                assert_eq!(written, meant);
            }
            assert_eq!(
                meant.get(..authority.host_length()),
                Some(authority.host.to_string().as_str())
            );
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        let label = "a".repeat(64);
        let name = format!("{}a", "a.".repeat(127));
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            ":80",
            "a, b",
            "a b",
            "a/x",
            "a@b",
            "user:pw@a",
            "a?b",
            "a#b",
            "a\\b",
            "a%41",
            "bücher.test",
            "a:0",
            "a:080",
            "a:65536",
            "a:8a",
            "a:+80",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "[]",
            "[1.2.3.4]",
            "::1",
            "a\0",
            "*.a",
            &label,
            &name,
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_port_left_out_is_the_scheme_s() {
        let [bare, full, other] = [b"a.test".as_slice(), b"A.test.:443", b"a.test:80"]
            .map(|text| Authority::parse(text).unwrap());
        assert!(bare.agrees(&full, Some(443)));
        assert!(!bare.agrees(&full, None));
        assert!(!bare.agrees(&other, Some(443)));
    }
}
