//! Accounts: created, changed, disabled by an administrator; imported from another system; recovered
//! and verified by mail.

pub mod policy;
pub mod link;
pub mod administration;
pub mod import;
pub mod overview;
pub mod password_change;
pub mod recovery;
pub mod verification;

pub use administration::{Account, Accounts, NewAccount, Refusal};
pub use link::MailedLinks;
pub use overview::{Overview, Overviews};
pub use password_change::{Change, PasswordChange, Unchanged};
pub use policy::{Policy, PolicySettings, Weakness};
pub use recovery::{Recovery, Unrecovered};
pub use verification::{Unverified, Verification};
