//! SMTP (RFC 5321) with lettre: one connection per mail.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as Protection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::timeout;

use super::MailMessage;
use super::settings::{MailSettings, MailTls};
use guarita_core::EmailAddress;

/// Why a mail was not accepted. The server's text is never kept, because it may contain the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server rejected this mail (5xx).
    #[error("the mail server rejected the mail with {0}")]
    Rejected(u16),
    /// The server rejected the credentials or the connection.
    #[error("the mail server refused the connection or login with {0}")]
    Unwelcome(u16),
    /// The server asked to try later (4xx).
    #[error("the mail server deferred the mail with {0}")]
    PutOff(u16),
    /// No response in time.
    #[error("the mail server did not respond in time")]
    Timeout,
    /// TLS failed or is not offered.
    #[error("TLS to the mail server failed: {0}")]
    Tls(String),
    /// The server cannot be reached, or the connection failed.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
}

/// An SMTP client.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
    domain: String,
    timeout: Duration,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Smtp").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Checks the settings, without connecting. An error describes what is wrong.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let name = settings.sender_name.to_string();
        if name.chars().any(char::is_control) {
            return Err("the sender's name has control characters".to_owned());
        }
        let address =
            address(&settings.sender).ok_or("the sender is not an address by RFC 5321")?;
        let domain = address.domain().to_owned();
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*settings.server)
                .port(settings.port)
                .hello_name(ClientId::Domain(domain.clone()))
                .timeout(Some(settings.timeout))
                .tls(protection(settings)?);
        if let Some((username, password)) = &settings.credentials {
            let credentials = Credentials::new(username.to_string(), password.expose().to_owned());
            builder = builder.credentials(credentials);
        }
        Ok(Self {
            transport: builder.build(),
            sender: Mailbox::new(Some(name), address),
            domain,
            timeout: settings.timeout,
        })
    }

    /// Sends a mail. `id` is the same at every attempt, so that duplicates can be detected.
    pub async fn send(
        &self,
        id: &str,
        recipient: &EmailAddress,
        message: &MailMessage,
    ) -> Result<(), MailError> {
        let recipient = address(recipient).ok_or(MailError::Rejected(553))?;
        let mail = lettre::Message::builder()
            .from(self.sender.clone())
            .to(Mailbox::new(None, recipient))
            .subject(message.subject)
            .message_id(Some(format!("<{id}@{}>", self.domain)))
            // RFC 3834: nobody's absence is to be told to us.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(MultiPart::alternative_plain_html(
                message.text.expose().to_owned(),
                message.html.expose().to_owned(),
            ))
            .map_err(|_| MailError::Rejected(554))?;
        match timeout(self.timeout, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(MailError::Timeout),
        }
    }

    /// Connects with TLS and credentials as configured, and sends no mail.
    pub async fn probe(&self) -> Result<(), MailError> {
        match timeout(self.timeout, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(MailError::Unreachable("it does not respond to NOOP".to_owned())),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(MailError::Timeout),
        }
    }
}

fn address(email: &EmailAddress) -> Option<Address> {
    email.expose().parse().ok()
}

fn protection(settings: &MailSettings) -> Result<Protection, String> {
    if settings.tls == MailTls::None {
        return Ok(Protection::None);
    }
    let mut parameters = TlsParameters::builder(settings.server.to_string());
    if let Some(pem) = &settings.ca {
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        for der in parsed
            .ok()
            .filter(|ca| !ca.is_empty())
            .ok_or("the CA has no valid certificates in PEM")?
        {
            let ca =
                Certificate::from_der(der.to_vec()).map_err(|error| innermost_cause(&error))?;
            parameters = parameters.add_root_certificate(ca);
        }
    }
    let parameters = parameters.build_rustls().map_err(|error| innermost_cause(&error))?;
    Ok(match settings.tls {
        MailTls::StartTls | MailTls::None => Protection::Required(parameters),
        MailTls::Implicit => Protection::Wrapper(parameters),
    })
}

fn failure(error: &lettre::transport::smtp::Error) -> MailError {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        // Authentication (RFC 4954 section 6) and TLS (RFC 3207): the operator's to mend.
        return match code {
            500..=538 if error.is_permanent() => MailError::Unwelcome(code),
            _ if error.is_permanent() => MailError::Rejected(code),
            _ => MailError::PutOff(code),
        };
    }
    if error.is_timeout() {
        return MailError::Timeout;
    }
    if error.is_tls() || is_of_tls(error) {
        MailError::Tls(innermost_cause(error))
    } else {
        MailError::Unreachable(innermost_cause(error))
    }
}

type Cause = dyn std::error::Error + Send + Sync;

/// Whether the TLS handshake failed, which lettre reports as a failed connection.
fn is_of_tls(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let within = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let own = within.map_or(inner.is::<rustls::Error>(), Cause::is::<rustls::Error>);
        if own {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The innermost cause: an error of the system or of TLS, never a text of the server.
fn innermost_cause(error: &lettre::transport::smtp::Error) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::Language;

    fn settings() -> MailSettings {
        MailSettings { sender_name: "Acme \"<x@y>, ü".into(), ..MailSettings::sample() }
    }

    #[test]
    fn a_ca_that_is_none_and_a_name_of_two_lines_are_refused() {
        let name = "Acme\r\nBcc: z@y".into();
        assert!(Smtp::new(&MailSettings { sender_name: name, ..settings() }).is_err());
        let of = |tls| MailSettings { ca: Some(b"no pem".to_vec()), tls, ..settings() };
        assert!(Smtp::new(&of(MailTls::StartTls)).is_err());
        assert!(Smtp::new(&of(MailTls::None)).is_ok());
        assert!(Smtp::new(&MailSettings { tls: MailTls::Implicit, ..settings() }).is_ok());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_without_an_address() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let smtp = Smtp::new(&MailSettings { port, ..settings() }).unwrap();
        let message =
            super::super::render(super::super::MailTemplate::Test, Language::En, "x", None);
        let ana = EmailAddress::parse("ana@example.test").unwrap();
        let failed = smtp.send("1", &ana, &message.unwrap()).await.unwrap_err();
        assert!(matches!(failed, MailError::Unreachable(_)), "{failed:?}");
        assert!(!failed.to_string().contains('@'), "{failed}");
        assert!(smtp.probe().await.is_err());
    }
}
