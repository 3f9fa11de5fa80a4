//! PEM (RFC 7468): the sections of a text, and one section as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use super::KeyFault;

/// Maximum length of a PEM text, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// The type of a section, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// PKCS#8
    PrivateKey,
    /// PKCS#1
    RsaPrivateKey,
    /// SEC 1
    EcPrivateKey,
    /// SubjectPublicKeyInfo
    PublicKey,
    /// PKCS#1
    RsaPublicKey,
    /// X.509
    Certificate,
    /// Ignored: the curve's name that OpenSSL writes before a SEC 1 key.
    EcParameters,
}

impl Label {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "PRIVATE KEY" => Some(Self::PrivateKey),
            "RSA PRIVATE KEY" => Some(Self::RsaPrivateKey),
            "EC PRIVATE KEY" => Some(Self::EcPrivateKey),
            "PUBLIC KEY" => Some(Self::PublicKey),
            "RSA PUBLIC KEY" => Some(Self::RsaPublicKey),
            "CERTIFICATE" => Some(Self::Certificate),
            "EC PARAMETERS" => Some(Self::EcParameters),
            _ => None,
        }
    }
}

/// The key of a PEM text. Two keys in one text are rejected as ambiguous.
pub(super) fn read(text: &str) -> Result<(Label, Zeroizing<Vec<u8>>), KeyFault> {
    if text.len() > MAX_LENGTH {
        return Err(KeyFault::Unusable);
    }
    let mut found = None;
    for section in Pem::iter_from_buffer(text.as_bytes()) {
        let section = section.map_err(|_| KeyFault::NotPem)?;
        let contents = Zeroizing::new(section.contents);
        match (Label::parse(&section.label), &found) {
            (Some(Label::EcParameters), _) => {}
            (Some(label), None) => found = Some((label, contents)),
            (Some(_) | None, _) => return Err(KeyFault::Unusable),
        }
    }
    found.ok_or(KeyFault::NotPem)
}

/// Writes a PKCS#8 section, with lines of 64 characters.
pub(super) fn write_private_key(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 32 + 64));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while let Some((line, tail)) = rest.split_at_checked(64) {
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 48, 49, 1200] {
            let der = vec![7; length];
            let text = write_private_key(&der);
            let (label, read) = read(&text).unwrap();
            assert_eq!((label, read.as_slice()), (Label::PrivateKey, der.as_slice()));
            assert!(text.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn two_keys_in_one_text_are_refused() {
        let one = write_private_key(&[1, 2, 3]);
        assert!(matches!(read(&format!("{}{}", *one, *one)), Err(KeyFault::Unusable)));
        assert!(matches!(read("no key"), Err(KeyFault::NotPem)));
        assert!(matches!(read(&"x".repeat(MAX_LENGTH + 1)), Err(KeyFault::Unusable)));
    }
}
