//! Argon2id (RFC 9106) at the configured cost, in memory that each thread keeps: mapping and unmapping it for every
//! hash costs a twelfth of the hash and delays the threads that forward requests.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Length of a hash, in bytes.
const LENGTH: usize = Params::DEFAULT_OUTPUT_LEN;

/// Why a hash cannot be computed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unhashed(String);

/// The working memory of a thread. Dropped when the thread is idle.
#[derive(Default)]
pub(super) struct Argon2Memory(Vec<Block>);

impl Argon2Memory {
    /// The PHC string of a password, with a new salt.
    pub(super) fn hash(
        &mut self,
        password: &[u8],
        salt: &[u8],
        params: &Params,
    ) -> Result<PasswordHash, Unhashed> {
        Ok(PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(params).map_err(unhashed)?,
            salt: Some(Salt::new(salt).map_err(unhashed)?),
            hash: Some(self.compute(password, salt, params)?),
        })
    }

    /// Whether a password matches a hash that [`is_current`], compared in constant time; false for a hash without salt
    /// or output.
    pub(super) fn verify(
        &mut self,
        password: &[u8],
        against: &PasswordHash,
        params: &Params,
    ) -> Result<bool, Unhashed> {
        let (Some(salt), Some(expected)) = (&against.salt, &against.hash) else {
            return Ok(false);
        };
        // `Output` compares in constant time.
        Ok(self.compute(password, salt, params)? == *expected)
    }

    fn compute(
        &mut self,
        password: &[u8],
        salt: &[u8],
        params: &Params,
    ) -> Result<Output, Unhashed> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        self.0.resize(params.block_count(), Block::default());
        let mut output = [0; LENGTH];
        argon2
            .hash_password_into_with_memory(password, salt, &mut output, &mut *self.0)
            .map_err(unhashed)?;
        Output::new(&output).map_err(unhashed)
    }
}

/// Whether a hash has the current parameters.
pub(super) fn is_current(hash: &PasswordHash, params: &Params) -> bool {
    let same = Params::try_from(hash).is_ok_and(|stored| {
        stored.m_cost() == params.m_cost()
            && stored.t_cost() == params.t_cost()
            && stored.p_cost() == params.p_cost()
            && stored.output_len() == Some(LENGTH)
    });
    same && hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
}

fn unhashed(error: impl std::fmt::Display) -> Unhashed {
    Unhashed(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;

    #[test]
    fn kept_memory_computes_what_the_library_does() {
        let mut memory = Argon2Memory::default();
        for (cost, passes, lanes) in [(64, 1, 1), (128, 2, 2), (64, 3, 1)] {
            let params = Params::new(cost, passes, lanes, None).unwrap();
            let hash = memory.hash(b"password", b"salt of sixteen.", &params).unwrap();
            let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            assert!(library.verify_password(b"password", &hash).is_ok());
            assert!(memory.verify(b"password", &hash, &params).unwrap());
            assert!(!memory.verify(b"Password", &hash, &params).unwrap());
            assert!(is_current(&hash, &params));
        }
    }

    #[test]
    fn a_hash_made_otherwise_is_not_current() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let hash = Argon2Memory::default().hash(b"password", b"salt of sixteen.", &params).unwrap();
        let text = hash.to_string();
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("$v=19", ""),
            ("m=64", "m=65"),
            ("t=1", "t=2"),
            ("p=1", "p=2"),
        ] {
            let other = PasswordHash::new(&text.replacen(from, to, 1)).unwrap();
            assert!(!is_current(&other, &params), "{other}");
        }
        let long = Output::new(&[7; 64]).unwrap();
        assert!(!is_current(&PasswordHash { hash: Some(long), ..hash }, &params));
    }
}
