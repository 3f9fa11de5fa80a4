//! Accounts: created, changed, disabled by an administrator; imported from another system.

pub mod administration;
pub mod import;

pub use administration::{Account, Accounts, NewAccount, Refusal};
