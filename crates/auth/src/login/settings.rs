//! The settings of logins.

use std::time::Duration;

use crate::session::Lifetimes;

/// `[passwords]`, `[lockout]` and `[sessions]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSettings {
    /// Consecutive failures that lock an account; 1 to 1000, default 5.
    pub lockout_failures: u32,
    /// Duration of a lock; 1 s to 24 h, default 5 min.
    pub lockout_duration: Duration,
    /// Minimum length of a new password, in characters; 8 to 128, default 15 (NIST SP 800-63B-4).
    pub min_length: usize,
    /// Whether an account must be verified to log in; default false.
    pub require_verified_email: bool,
    /// The cost of Argon2id.
    pub hashing: Hashing,
    /// Lifetimes of cookie sessions.
    pub browser: Lifetimes,
}

/// Argon2id (RFC 9106) and the pool that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashing {
    /// KiB of memory per hash; 8 MiB to 1 GiB, default 19 MiB (OWASP).
    pub memory_kib: u32,
    /// Passes; 1 to 10, default 2.
    pub iterations: u32,
    /// Lanes; 1 to 16, default 1.
    pub parallelism: u32,
    /// Hashes computed at once; default the number of cores.
    pub concurrency: usize,
    /// Logins that may wait for a hash; further ones are rejected; default 256.
    pub queue: usize,
}
