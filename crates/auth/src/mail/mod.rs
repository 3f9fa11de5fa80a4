//! Mails are written to the outbox in the transaction of the change that they are about, and sent by a
//! background task: if the mail server is down, slow or rejects mails, no mail is lost and no request is delayed.
//!
//! To notify a user of a change, call [`Outbox::notify`] in the transaction of the change.

pub mod sealed;

pub mod outbox;
pub mod sender;

pub use outbox::{LinkUse, Links, Outbox};
pub use sender::{MailRoute, Sender};
