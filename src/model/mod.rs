//! Values: what the other floors speak about. No I/O, no policy.

pub mod secret;
pub mod clock;
pub mod random;
pub mod identity;
pub mod problem;

pub use clock::Timestamp;
pub use identity::{Identity, Principal, Role, Roles, SessionId, Source, Subject, UserId};
pub use problem::Code;
pub use secret::Secret;
