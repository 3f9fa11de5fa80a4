//! Login with a password.
//!
//! The steps are: rate limits by source and by account; the lock of the account, or of the known device
//! that the attempt comes from (decision 0007); verification of the password on a bounded pool (the same work if
//! there is no such user); one transaction that records the result. Unknown names are locked like known ones, on
//! every gateway.

pub mod settings;

pub mod lockout;

pub mod hash_format;

pub mod password;

pub mod identifier;
pub mod refusal;

pub mod device;
pub mod unknown_account;

pub mod session_kind;
pub mod argon;
mod pending;
pub mod request;
mod attempt;
pub mod logged_in;
pub mod establish;

pub mod totp;
pub mod totp_key;
pub mod second_factor;
pub mod federated;
pub mod challenge;
pub mod enrolment;

pub use crate::grant::{TokenError, Tokens};
pub use challenge::{Challenge, ChallengeError};
pub use enrolment::{EnrolmentError, TotpEnrolment};
pub use federated::FederatedSession;
pub use identifier::Identifier;
pub use logged_in::{IssuedCredential, LoggedIn};
pub use password::Passwords;
pub use refusal::LoginRejection;
pub use request::LoginRequest;
pub use second_factor::{FactorSettings, SecondFactor, SecondFactorCode, SecondFactorError};
pub use session_kind::SessionKind;
pub use settings::{Hashing, LoginSettings};
pub use totp::Enrolment;
pub use unknown_account::UnknownAccounts;
pub use {attempt::Login, attempt::TICKET_TTL};
