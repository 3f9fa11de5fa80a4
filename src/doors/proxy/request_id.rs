//! The id under which a request is known to caller, upstream and log.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::random;
use crate::rules::request::request_id::find;

/// The header that carries it.
pub static HEADER: HeaderName = crate::rules::request::request_id::HEADER;

/// The caller's id if it sent exactly one and that is well formed, else a fresh UUID of version 7
/// (contract section 4).
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the caller's or makes one.
    pub fn of(headers: &HeaderMap) -> Self {
        find(headers).map_or_else(Self::fresh, |id| Self(id.clone()))
    }

    /// Stands in until the request is read.
    pub(super) const fn unread() -> Self {
        Self(HeaderValue::from_static("unread"))
    }

    /// Makes one.
    pub fn fresh() -> Self {
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = random::ordered_uuid().hyphenated().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// As a header value.
    pub const fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_or_an_odd_one_are_replaced() {
        let mut headers = HeaderMap::new();
        headers.append(&HEADER, HeaderValue::from_static("caller-1"));
        assert_eq!(RequestId::of(&headers).as_str(), "caller-1");
        headers.append(&HEADER, HeaderValue::from_static("caller-2"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
        headers.insert(&HEADER, HeaderValue::from_static("a b"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
    }
}
