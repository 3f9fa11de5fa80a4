//! The ticket in the query of a WebSocket handshake. Scripts in browsers cannot set headers of a handshake
//! (RFC 6455 section 4.1), so they authenticate with a ticket that is valid once and for seconds.

use super::CanonicalRequest;
use crate::Secret;

/// The name of the query parameter; compared exactly, without decoding.
const NAME: &str = "ticket";

/// The ticket parameter of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketParam {
    /// No ticket, or an empty one.
    Nothing,
    /// One ticket.
    One(Secret),
    /// Several tickets: ambiguous.
    Several,
}

/// A ticket, and the host and path that it must be valid for.
#[derive(Clone, Copy, Debug)]
pub struct PresentedTicket<'a> {
    /// The ticket.
    pub secret: &'a Secret,
    /// The canonical host of the request.
    pub host: &'a str,
    /// The canonical path of the request.
    pub path: &'a str,
}

impl CanonicalRequest {
    /// Removes the ticket from the query; the rest is kept byte for byte.
    pub fn take_ticket(&mut self) -> TicketParam {
        let Some(query) = self.query() else { return TicketParam::Nothing };
        let parts = || query.split('&');
        let mut values = parts().filter_map(value);
        let (first, second) = (values.next(), values.next());
        let Some(first) = first else { return TicketParam::Nothing };
        let brought = match (first, second) {
            (_, Some(_)) => TicketParam::Several,
            ("", None) => TicketParam::Nothing,
            (secret, None) => TicketParam::One(Secret::new(secret)),
        };
        let kept: Vec<&str> = parts().filter(|part| value(part).is_none()).collect();
        let kept = (!kept.is_empty()).then(|| kept.join("&"));
        self.set_query(kept.as_deref());
        brought
    }
}

/// The value of the ticket parameter; [`None`] if the part is another parameter.
fn value(part: &str) -> Option<&str> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (name == NAME).then_some(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Version, header};

    use super::super::RawRequest;
    use super::*;

    fn taken(target: &str) -> (TicketParam, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("app.test"));
        let mut canonical = CanonicalRequest::parse(&RawRequest {
            version: Version::HTTP_11,
            method: &Method::GET,
            target: target.as_bytes(),
            authority: None,
            headers: &headers,
        })
        .unwrap();
        let ticket = canonical.take_ticket();
        (ticket, canonical.path_and_query().as_str().to_owned())
    }

    #[test]
    fn a_ticket_leaves_the_query_and_nothing_else_changes() {
        let one = |secret: &str| TicketParam::One(Secret::new(secret));
        for (target, ticket, left) in [
            ("/a", TicketParam::Nothing, "/a"),
            ("/a?", TicketParam::Nothing, "/a?"),
            ("/a?b=c&d", TicketParam::Nothing, "/a?b=c&d"),
            ("/a?ticket=x", one("x"), "/a"),
            ("/a?ticket=x=y", one("x=y"), "/a"),
            ("/a?b=%20&ticket=x&c=+&&", one("x"), "/a?b=%20&c=+&&"),
            ("/a?ticket=x&b", one("x"), "/a?b"),
            ("/a?b&ticket=x", one("x"), "/a?b"),
            ("/a?ticket", TicketParam::Nothing, "/a"),
            ("/a?ticket=&b", TicketParam::Nothing, "/a?b"),
            ("/a?ticket=x&b&ticket=x", TicketParam::Several, "/a?b"),
            ("/a?ticket=x&ticket=", TicketParam::Several, "/a"),
            (
                "/a?Ticket=x&tickets=y&tick%65t=z",
                TicketParam::Nothing,
                "/a?Ticket=x&tickets=y&tick%65t=z",
            ),
        ] {
            assert_eq!(taken(target), (ticket, left.to_owned()), "{target}");
        }
    }
}
