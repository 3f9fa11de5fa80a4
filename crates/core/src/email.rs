//! E-mail addresses.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Longest address, in bytes (RFC 5321 section 4.5.3.1.3, less the brackets).
pub const MAX_LENGTH: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest label of a domain, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// Not an address that is accepted. Never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address is invalid")]
pub struct InvalidEmail;

/// A syntactically valid address. It is printed masked.
///
/// After NFKC (Unicode Standard Annex 15) only ASCII is accepted: letters of other scripts that look
/// like Latin ones are rejected, full-width letters become ASCII letters. A domain in another script must
/// be written in its `xn--` form (RFC 5890).
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(Zeroizing<String>);

impl EmailAddress {
    /// Checks a `Dot-string@Domain` (RFC 5321 section 4.1.2) of at most 254 bytes; no quoted local
    /// part, no address literal.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidEmail);
        }
        let text: String = text.nfkc().collect();
        let sound = text.len() <= MAX_LENGTH
            && text
                .split_once('@')
                .is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
        if sound { Ok(Self(Zeroizing::new(text))) } else { Err(InvalidEmail) }
    }

    /// An address from the database, which was checked when it was written.
    pub fn stored(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The address, for the database, for mail and for its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The form in which addresses are compared: NFKC, lower case.
    pub fn fold(text: &str) -> String {
        text.nfkc().collect::<String>().to_lowercase()
    }
}

fn is_local(local: &str) -> bool {
    const MARKS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";
    let atom = |atom: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || MARKS.contains(&byte);
        !atom.is_empty() && atom.bytes().all(letter)
    };
    local.len() <= MAX_LOCAL && local.split('.').all(atom)
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// The first letter and the domain: `a***@example.com`.
impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let first = local.chars().next().filter(|_| local.chars().count() > 1);
        write!(formatter, "{}***@{domain}", first.map(String::from).unwrap_or_default())
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_told_apart_from_other_text() {
        for text in
            ["a@b", "ana.souza+crm@firma.com.br", "o'neil@x-y.example", "A@xn--bcher-kva.example"]
        {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
        let long = |local: usize, domain: usize| {
            format!("{}@{}.example", "a".repeat(local), "b".repeat(domain))
        };
        assert!(EmailAddress::parse(&long(64, 63)).is_ok());
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a@b@c",
            "a b@c",
            " a@b",
            "a@b ",
            "a..b@c",
            ".a@b",
            "a.@b",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@-b",
            "a@b-",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            "a@b\r\nBcc: x@y",
            "a\0@b",
            "a@b\n",
            "a,b@c",
            "<a@b>",
            "a@b_c",
            &long(65, 1),
            &long(1, 64),
            &format!("a@{}", "b.".repeat(130)),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn look_alikes_are_refused_or_become_what_they_look_like() {
        // Cyrillic а, Greek ο, dotless ı, and invisible letters.
        for text in [
            "аna@example.test",
            "ana@gοοgle.test",
            "anı@example.test",
            "a\u{200b}na@b",
            "a\u{202e}@b",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
        for text in ["ａｎａ@ｅxample.test", "ana＠example.test", "ANA@EXAMPLE.test"] {
            let folded = EmailAddress::fold(EmailAddress::parse(text).unwrap().expose());
            assert_eq!(folded, "ana@example.test");
            assert_eq!(EmailAddress::fold(text), folded);
        }
    }

    #[test]
    fn an_address_is_never_printed_whole() {
        for (text, printed) in [("ana.souza@b.test", "a***@b.test"), ("a@b.test", "***@b.test")] {
            let email = EmailAddress::parse(text).unwrap();
            assert_eq!(email.to_string(), printed);
            assert_eq!(format!("{email:?}"), printed);
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_bounded_ascii_with_one_at(text in "\\PC{0,80}|[a-z.@＠ａа-]{1,40}") {
            let Ok(email) = EmailAddress::parse(&text) else { return Ok(()) };
            let email = email.expose();
            prop_assert!(email.is_ascii() && email.len() <= MAX_LENGTH);
            prop_assert_eq!(email.matches('@').count(), 1);
            prop_assert!(!email.bytes().any(|byte| byte.is_ascii_control() || byte == b' '));
        }

        #[test]
        fn an_address_is_taken_in_any_case_and_folds_to_one(local in "[a-z0-9]{1,20}(\\.[a-z]{1,9})?", domain in "[a-z0-9]{1,20}\\.[a-z]{2,9}") {
            let text = format!("{local}@{domain}");
            let folded = EmailAddress::fold(&text);
            for spelling in [text.clone(), text.to_uppercase()] {
                let email = EmailAddress::parse(&spelling).unwrap();
                prop_assert_eq!(EmailAddress::fold(email.expose()), folded.clone());
                prop_assert_eq!(EmailAddress::fold(&EmailAddress::fold(&spelling)), folded.clone());
            }
        }
    }
}
