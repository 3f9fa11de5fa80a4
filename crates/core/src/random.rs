//! Random values, from the operating system's source only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::Secret;

/// The operating system could not provide random bytes; the operation must be aborted.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random source failed")]
pub struct RandomFault;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomFault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RandomFault)?;
    Ok(bytes)
}

/// 256 random bits in base64url: a refresh token, a single-use secret.
pub fn token() -> Result<Secret, RandomFault> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes::<32>()?)))
}

/// A UUID of version 7 (RFC 9562): sortable by time, 74 random bits.
pub fn ordered_uuid() -> Uuid {
    Uuid::now_v7()
}

/// A password of 120 random bits that is easy to type: 24 letters and digits in groups of six.
pub fn password() -> Result<Secret, RandomFault> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut text = String::with_capacity(27);
    for (position, byte) in bytes::<24>()?.iter().enumerate() {
        if position > 0 && position % 6 == 0 {
            text.push('-');
        }
        let letter = ALPHABET.get(usize::from(byte % 32)).ok_or(RandomFault)?;
        text.push(char::from(*letter));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_in_base64url() {
        let token = token().unwrap();
        assert_eq!(token.expose().len(), 43);
        assert!(!token.expose().contains(['+', '/', '=']));
    }

    #[test]
    fn a_password_is_readable_and_long() {
        let password = password().unwrap();
        assert_eq!(password.expose().len(), 27);
        assert_eq!(password.expose().matches('-').count(), 3);
    }
}
