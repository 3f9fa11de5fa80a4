//! `[tokens]`, `[passwords]` and `[lockout]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::{Size, Time};
use guarita_core::Secret;

/// The tokens that Guarita issues and accepts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTokens {
    /// `iss` of the tokens; 1 to 255 bytes. Default `ms-auth`. Changing it needs a restart.
    pub issuer: Option<String>,
    /// `aud` of the tokens; 1 to 255 bytes. Default `api`. Changing it needs a restart.
    pub audience: Option<String>,
    /// The algorithm of the signing key. Default `RS256`.
    pub algorithm: Option<RawAlgorithm>,
    /// Lifetime of an access token; 1 s to 24 h. Default 60 m. Changing it needs a restart.
    pub access_ttl: Option<Time>,
    /// Lifetime of a refresh token; 1 s to 365 d. Default 30 d. Changing it needs a restart.
    pub refresh_ttl: Option<Time>,
    /// What happens to a refresh token that is used: `true` or `"rotate"`, it is replaced by a new one;
    /// `false` or `"static"`, it stays valid; `"off"`, no refresh tokens are issued. Default true. Changing
    /// it needs a restart.
    pub refresh_rotation: Option<RawRotation>,
    /// How long a used refresh token still gets the same new one (a second tab, a lost response);
    /// 0 s to 60 s. Default 10 s. Changing it needs a restart.
    pub refresh_grace: Option<Time>,
    /// Maximum lifetime of a session, however often it is refreshed; 1 s to 10 years (3650 d). Default
    /// 90 d. Changing it needs a restart.
    pub session_ttl: Option<Time>,
    /// Clock leeway for `exp` and `nbf`; 0 s to 60 s. Default 30 s.
    pub leeway: Option<Time>,
    /// Maximum size of a token; longer ones are rejected; 1 KiB to 64 KiB. Default 16 KiB.
    pub max_length: Option<Size>,
    /// How long a new key is published before it signs; 1 s to 24 h. Default 15 m. Others may cache the
    /// published keys for a third of it, at most 5 m; the rest is a margin for clocks that differ. Changing it
    /// needs a restart.
    pub publish_ahead: Option<Time>,
    /// How often the signing key is rotated automatically; 1 h to 3650 d, and at least four times
    /// `publish_ahead`. Default never. Changing it needs a restart.
    pub rotate_every: Option<Time>,
    /// The private key in PEM (HS256: the secret, at least 32 bytes). If neither this nor `signing_key_file`
    /// is set, a key is created at the first start: in the database if `store.master_key` is set, else
    /// in `<data_dir>/keys`.
    #[schemars(with = "Option<String>")]
    pub signing_key: Option<Secret>,
    /// File of the private key in PEM (HS256: of the secret, at least 32 bytes).
    pub signing_key_file: Option<String>,
    /// Further public keys in PEM that verify tokens, for the rotation of keys.
    #[schemars(length(max = 100))]
    pub verifying_keys: Option<Vec<String>>,
    /// Files of further public keys in PEM that verify tokens.
    #[schemars(length(max = 100))]
    pub verifying_keys_files: Option<Vec<String>>,
}

/// What happens to a refresh token that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawRotation {
    /// `true` for `rotate`, `false` for `static`.
    Switch(bool),
    /// By name.
    Word(RawRotationWord),
}

/// What happens to a refresh token that is used, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRotationWord {
    /// No refresh tokens are issued.
    Off,
    /// It stays valid.
    Static,
    /// It is replaced by a new one.
    Rotate,
}

/// The algorithm of a signing key (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RawAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
}

/// Password policy and hashing. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPasswords {
    /// How new passwords are hashed. Default `argon2id`.
    pub algorithm: Option<RawPasswordAlgorithm>,
    /// Minimum length of a new password in characters; 8 to 128. Default 15 (NIST SP 800-63B-4).
    #[schemars(range(min = 8, max = 128))]
    pub min_length: Option<i64>,
    /// Minimum strength score (zxcvbn) of a new password; 0 to 4. Default 3.
    #[schemars(range(min = 0, max = 4))]
    pub min_score: Option<i64>,
    /// File of breached passwords that are rejected: SHA-1 hashes in hexadecimal, one per line, sorted,
    /// as published by Have I Been Pwned. Default none.
    pub breached_file: Option<String>,
    /// Memory of one hash; 8 MiB to 1 GiB. Default 19 MiB.
    pub memory: Option<Size>,
    /// Passes of one hash; 1 to 10. Default 2.
    #[schemars(range(min = 1, max = 10))]
    pub iterations: Option<i64>,
    /// Lanes of one hash; 1 to 16. Default 1.
    #[schemars(range(min = 1, max = 16))]
    pub parallelism: Option<i64>,
    /// Hashes computed at once; 1 to 1024. Default: the number of cores that this process may use.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: Option<i64>,
    /// Logins that may wait for a hash; further ones are rejected; 0 to 65,536. Default 256.
    #[schemars(range(min = 0, max = 65_536))]
    pub queue: Option<i64>,
}

/// How new passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawPasswordAlgorithm {
    /// Argon2id (RFC 9106).
    Argon2id,
}

/// Lockout of accounts after failed logins. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLockout {
    /// Consecutive failures that lock an account; 1 to 1000. Default 5.
    #[schemars(range(min = 1, max = 1000))]
    pub failures: Option<i64>,
    /// How long an account stays locked; 1 s to 24 h. Default 5 m.
    pub duration: Option<Time>,
}
