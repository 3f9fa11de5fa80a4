//! What operators see of a key.

use guarita_core::Timestamp;
use guarita_store::KeyPurpose;

/// A listed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its `kid`.
    pub id: String,
    /// The purpose.
    pub purpose: KeyPurpose,
    /// The algorithm.
    pub algorithm: String,
    /// When it was created.
    pub since: Timestamp,
    /// Since when it signs; `None` where it only verifies.
    pub signs_from: Option<Timestamp>,
    /// Until when it verifies, if known.
    pub verifies_until: Option<Timestamp>,
    /// The state.
    pub state: KeyState,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It signs, or encrypts.
    Signing,
    /// It is published, and will sign.
    Announced,
    /// It only verifies.
    Verifying,
}
