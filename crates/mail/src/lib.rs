//! Mail: the texts in three languages, and delivery by SMTP.

pub mod settings;

pub mod texts;
pub mod message;
pub mod smtp;

pub use message::{MailMessage, MailTemplate, SecurityNotice, render};
pub use settings::{MailSettings, MailTls};
pub use smtp::{MailError, Smtp};
