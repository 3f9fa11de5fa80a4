//! The settings of mail.

use std::time::Duration;

use guarita_core::{EmailAddress, Language, Secret};

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Not protected; credentials are then sent to a loopback address only.
    None,
    /// STARTTLS (RFC 3207), required.
    StartTls,
    /// TLS from the first byte (RFC 8314).
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
    /// PEM of further CAs that the server's certificate is verified with.
    pub ca: Option<Vec<u8>>,
    /// The sender's address.
    pub sender: EmailAddress,
    /// The sender's name, also the name of the service in mails.
    pub sender_name: Box<str>,
    /// Time-out of one attempt; 1 s to 5 min, default 30 s.
    pub timeout: Duration,
    /// The default language.
    pub language: Language,
}

#[cfg(any(test, feature = "test-util"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
impl MailSettings {
    /// Settings of an unprotected server that does not exist.
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
