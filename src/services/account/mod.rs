//! Accounts: created, changed, disabled by an administrator; imported from another system.

pub mod administration;
pub mod import;
pub mod overview;

pub use administration::{Account, Accounts, NewAccount, Refusal};
pub use overview::{Overview, Overviews};
