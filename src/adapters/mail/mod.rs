//! Mail: the texts in three languages, and delivery by SMTP.

pub mod settings;

pub mod words;
pub mod message;
pub mod smtp;

pub use message::{Letter, Message, Notice, render};
pub use settings::{Settings, Tls};
pub use smtp::{Failure, Smtp};
