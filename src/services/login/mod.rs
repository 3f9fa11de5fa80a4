//! Login with a password.
//!
//! Rates come first, by source and by account; then the account's lock, or that of the known device
//! which the attempt comes from (decision 0006); then the password is verified on a bounded pool (the same
//! work where there is no such user), then one transaction records how it ended. An unknown name
//! locks as a known one does, on every gateway.

pub mod settings;

pub mod lockout;

pub mod stored;

pub mod password;

pub mod identifier;
pub mod refusal;

pub mod device;
pub mod unknown;

pub mod opens;
pub mod argon;
mod held;
mod attempt;
pub mod opening;

pub mod totp;
pub mod sealed;
pub mod second_factor;
pub mod vouched;
pub mod challenge;
pub mod enrol;

pub use crate::services::grant::{Fault, Tokens};
pub use attempt::{Attempt, Login, TICKET_TTL};
pub use challenge::{Challenge, Failure};
pub use enrol::{Enrol, NotBegun};
pub use identifier::Identifier;
pub use opening::{Key, LoggedIn};
pub use opens::Opens;
pub use password::Passwords;
pub use refusal::Refusal;
pub use second_factor::{Answer, FactorSettings, SecondFactor, Unproven};
pub use settings::{Hashing, Settings};
pub use totp::Enrolment;
pub use unknown::UnknownNames;
pub use vouched::VouchedSession;
