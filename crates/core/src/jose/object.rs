//! JSON objects with unique member names (RFC 7519 section 4, RFC 8725 section 3).

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Invalid;

/// The members of a JSON object, by name.
pub(super) type Members = HashMap<String, Value>;

/// Maximum number of members of an object.
const MAX_MEMBERS: usize = 256;

/// Parses UTF-8 JSON: one object with unique names and at most 256 members. Everything else is `malformed`.
pub(super) fn parse(bytes: &[u8], malformed: Invalid) -> Result<Members, Invalid> {
    // serde_json does not check the encoding of text that it skips.
    let text = std::str::from_utf8(bytes).map_err(|_| malformed)?;
    let parsed: Parsed = serde_json::from_str(text).map_err(|_| malformed)?;
    if parsed.duplicate {
        return Err(Invalid::Duplicate);
    }
    Ok(parsed.members)
}

struct Parsed {
    members: Members,
    duplicate: bool,
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut members = Members::new();
        let mut duplicate = false;
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            duplicate |= members.insert(name, value).is_some();
            if members.len() > MAX_MEMBERS {
                return Err(serde::de::Error::custom("too many members"));
            }
        }
        Ok(Parsed { members, duplicate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Members, Invalid> {
        parse(text, Invalid::Payload)
    }

    #[test]
    fn a_name_occurs_once_however_it_is_written() {
        assert_eq!(read(br#"{"a":1,"a":1}"#), Err(Invalid::Duplicate));
        assert_eq!(read(br#"{"sub":1,"s\u0075b":2}"#), Err(Invalid::Duplicate));
        assert_eq!(read(br#"{"a":1,"b":2}"#).unwrap().len(), 2);
    }

    #[test]
    fn only_one_whole_object_is_taken() {
        let texts: [&[u8]; 9] = [
            b"",
            b"[]",
            b"1",
            b"\"a\"",
            b"{\"a\":1}{}",
            b"{\"a\":1",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":1e400}",
        ];
        for text in texts {
            assert_eq!(read(text), Err(Invalid::Payload), "{text:?}");
        }
    }

    #[test]
    fn members_and_depth_are_bounded() {
        let many = |count: usize| {
            let members: Vec<_> = (0..count).map(|at| format!("\"m{at}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(read(many(MAX_MEMBERS).as_bytes()).is_ok());
        assert_eq!(read(many(MAX_MEMBERS + 1).as_bytes()), Err(Invalid::Payload));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(read(deep.as_bytes()), Err(Invalid::Payload));
    }
}
