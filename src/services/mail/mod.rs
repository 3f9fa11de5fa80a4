//! Mails are written to the outbox in the transaction of what they are about, and sent by a task of
//! their own: a mail server that is down, slow or rejects loses nothing and slows nobody.
//!
//! To tell somebody of something: [`Outbox::notify`] inside the transaction that does it.

pub mod sealed;

pub mod outbox;
pub mod sender;

pub use outbox::{LinkUse, Links, Outbox};
pub use sender::{Route, Sender};
