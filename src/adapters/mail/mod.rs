//! Mail: what it says, in three languages, and SMTP, which carries it.

pub mod settings;

pub mod words;
pub mod message;
pub mod smtp;

pub use message::{Letter, Message, Notice, render};
pub use settings::{Settings, Tls};
pub use smtp::{Failure, Smtp};
