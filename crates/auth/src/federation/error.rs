//! Why something of a provider could not be fetched.

use guarita_core::jose::KeySetFault;

/// Why keys could not be fetched. Contains no secrets.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No response, or an incomplete one.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// An error status, or a redirect to another server.
    #[error("responded with status {0}")]
    Status(u16),
    /// More than 256 KiB.
    #[error("the response is larger than 256 KiB")]
    TooLong,
    /// Not a discovery document.
    #[error("the discovery document is invalid")]
    Discovery,
    /// The document is that of another issuer.
    #[error("the discovery document is of another issuer")]
    Issuer,
    /// The document has no trustworthy URL of keys.
    #[error("the discovery document has no https URL of keys (jwks_uri)")]
    Url,
    /// Not a usable JWK Set.
    #[error(transparent)]
    Keys(#[from] KeySetFault),
    /// The configured CA is invalid.
    #[error("ca has no valid certificates in PEM")]
    Authority,
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created: {0}")]
    Client(String),
}
