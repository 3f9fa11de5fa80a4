//! Accounts: created, changed, disabled by an administrator; imported from another system; recovered
//! and verified by mail.

pub mod breached;
pub mod policy;
pub mod link;
pub mod administration;
pub mod import;
pub mod overview;
pub mod password_change;
pub mod recovery;
pub mod verification;

pub use administration::{Account, AccountRejection, Accounts, NewAccount};
pub use link::MailedLinks;
pub use overview::{AccountOverview, Overviews};
pub use password_change::{PasswordChange, PasswordChangeRequest, Unchanged};
pub use policy::{PasswordPolicy, PolicySettings, Weakness};
pub use recovery::{Recovery, Unrecovered};
pub use verification::{UnverifiedAddress, Verification};
