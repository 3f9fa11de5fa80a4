//! Accounts: created, changed, disabled by an administrator.

pub mod administration;

pub use administration::{Account, Accounts, NewAccount, Refusal};
