//! Why a key is not accepted.

use crate::random;
use std::path::PathBuf;

/// Why a key is invalid. Contains the location and the reason, never the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// Not a key of this algorithm, or more than one key.
    #[error("not exactly one usable key for the algorithm")]
    Unusable,
    /// Not PEM, or malformed.
    #[error("not a key in PEM")]
    NotPem,
    /// A public key or a certificate instead of a private key.
    #[error("a public key instead of a private key")]
    NotPrivate,
    /// A private key instead of a public key.
    #[error("a private key instead of a public key")]
    NotPublic,
    /// RSA below 2048 bits or above 8192, or with an exponent below 65537 (FIPS 186-5).
    #[error("an RSA key must have 2048 to 8192 bits and an exponent of at least 65537")]
    WeakRsa,
    /// A weak HMAC secret (RFC 7518 section 3.2).
    #[error(
        "an HS256 secret must have 32 to 4096 bytes, at least 8 of them distinct, and must not be PEM"
    )]
    WeakSecret,
    /// A duplicate key.
    #[error("the key {0} is a duplicate")]
    Duplicate(String),
    /// Too many keys.
    #[error("more than 64 keys")]
    TooMany,
    /// The operating system's random source failed.
    #[error(transparent)]
    Random(#[from] random::RandomFault),
    /// The cryptographic library failed to create a key or a signature.
    #[error("the signature or key could not be created")]
    Cryptography,
    /// The name of a key file has no algorithm.
    #[error("{}: the name must end in .RS256.pem, .ES256.pem, .EdDSA.pem or .HS256.secret; times in it must be written like 2026-11-21T10-15-00Z", .0.display())]
    FileName(PathBuf),
    /// A key file whose name sorts after those of new keys.
    #[error(
        "{}: its name sorts after that of a new key, which would never sign; begin the name with a time, for \
         example 2026-11-21T10-00-00Z",
        .0.display()
    )]
    LastByName(PathBuf),
    /// It is accessible by others than its owner.
    #[error("{}: is accessible by other users (chmod {mode:o})", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// The mode that it should have.
        mode: u32,
    },
    /// An error of the file system.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A fault with the location of the key.
    #[error("{place}: {fault}")]
    At {
        /// The path of a file, or the name of a configuration key.
        place: String,
        /// The fault.
        fault: Box<Self>,
    },
}

impl KeyFault {
    /// Adds the location of the key.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), fault: Box::new(self) }
    }
}
