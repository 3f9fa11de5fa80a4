//! The settings of mail.

use std::time::Duration;

use guarita_core::{EmailAddress, Language, Secret};

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all; credentials then go to a loopback address only.
    None,
    /// By STARTTLS (RFC 3207), demanded.
    StartTls,
    /// From the first byte on (RFC 8314).
    Implicit,
}

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// Host name or address of the mail server, and the name that its certificate must have.
    pub server: Box<str>,
    /// Default 587 with STARTTLS, 465 with TLS, 25 with none.
    pub port: u16,
    /// Default STARTTLS.
    pub tls: MailTls,
    /// User name and password (`AUTH PLAIN`, `LOGIN`).
    pub credentials: Option<(Box<str>, Secret)>,
    /// PEM of further CAs that the server's certificate may be of.
    pub ca: Option<Vec<u8>>,
    /// Whom mails are from.
    pub sender: EmailAddress,
    /// The name beside it; how mails call this service too.
    pub sender_name: Box<str>,
    /// Longest time that one attempt takes; 1 s to 5 min, default 30 s.
    pub timeout: Duration,
    /// Spoken where nobody asked for another.
    pub language: Language,
}

#[cfg(any(test, feature = "test-util"))]
impl MailSettings {
    /// A server that is not there, without protection.
    pub fn sample() -> Self {
        Self {
            server: "127.0.0.1".into(),
            port: 1,
            tls: MailTls::None,
            credentials: None,
            ca: None,
            sender: EmailAddress::parse("no-reply@example.test").unwrap(),
            sender_name: "Acme".into(),
            timeout: Duration::from_secs(5),
            language: Language::En,
        }
    }
}
