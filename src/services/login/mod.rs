//! Login with a password.
//!
//! The account's lock is looked at first, then the password is verified on a bounded pool (the same
//! work where there is no such user), then one transaction records how it ended. An unknown name
//! locks as a known one does.

pub mod settings;

pub mod lockout;
pub mod password;

pub mod unknown;

pub mod attempt;

pub mod totp;
pub mod sealed;
pub mod second_factor;
pub mod challenge;

pub use crate::services::grant::{Fault, Tokens};
pub use attempt::{Attempt, Identifier, Login, Refusal};
pub use challenge::{Challenge, Failure};
pub use password::Passwords;
pub use second_factor::{Answer, FactorSettings, SecondFactor, Unproven};
pub use settings::{Hashing, Settings};
