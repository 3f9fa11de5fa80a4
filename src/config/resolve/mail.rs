//! `[mail]`, `[recovery]` and `[verification]`

use std::net::IpAddr;
use std::time::Duration;

use super::ConfigResolver;
use super::upstreams::host_and_port;
use crate::config::written::quantity::Time;
use guarita_auth::mail::{LinkUse, Links};
use guarita_core::{EmailAddress, Language, Secret};
use guarita_mail::{MailSettings, MailTls, Smtp};
use {
    super::super::written, super::super::written::RawConfig,
    super::super::written::RawMailLanguage, super::super::written::RawMailTls,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Longest user name or password at the mail server, in bytes.
const MAX_CREDENTIAL: usize = 4096;
/// Longest URL of links, in bytes.
const MAX_URL: usize = 2048;

/// The mail server, if configured.
pub(super) fn resolve(
    written: &RawConfig,
    public_url: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<MailSettings> {
    let of = &written.mail;
    let Some(server) = &of.server else {
        without_server(written, reader);
        return None;
    };
    let tls = match of.tls {
        Some(RawMailTls::None) => MailTls::None,
        None | Some(RawMailTls::StartTls) => MailTls::StartTls,
        Some(RawMailTls::Tls) => MailTls::Implicit,
    };
    if !is_host(server) {
        let hint = "for example smtp.example.com or 127.0.0.1; the port is a separate key";
        reader.report.problem_with_hint("mail.server", "is not a host name or address", hint);
    }
    let credentials = credentials(of, reader);
    if tls == MailTls::None && credentials.is_some() && !is_loopback(server) {
        let what = "would send the password in clear text";
        reader.report.problem_with_hint("mail.tls", what, "\"starttls\" or \"tls\"");
    }
    let site = host_and_port(public_url.split_once("://").map_or(public_url, |(_, rest)| rest))
        .map_or("localhost", |(host, _)| host);
    let default_port = match tls {
        MailTls::None => 25,
        MailTls::StartTls => 587,
        MailTls::Implicit => 465,
    };
    let settings = MailSettings {
        server: server.as_str().into(),
        port: of.port.and_then(|port| port.try_into().ok()).unwrap_or(default_port),
        tls,
        credentials,
        ca: of.ca.as_ref().and_then(|name| reader.file("mail.ca", name)),
        sender: sender(of, reader)?,
        sender_name: reader.text("mail.sender_name", of.sender_name.as_ref(), site, 100),
        timeout: reader.time(
            "mail.timeout",
            of.timeout.as_ref(),
            30 * SECOND,
            SECOND..=300 * SECOND,
        ),
        language: match of.language {
            Some(RawMailLanguage::PtBr) => Language::PtBr,
            Some(RawMailLanguage::Es) => Language::Es,
            None | Some(RawMailLanguage::En) => Language::En,
        },
    };
    if let Err(what) = Smtp::new(&settings) {
        reader.report.problem("mail", what);
    }
    Some(settings)
}

fn without_server(written: &RawConfig, reader: &mut ConfigResolver<'_>) {
    let of = &written.mail;
    if of.sender.is_some() || of.username.is_some() || of.port.is_some() || of.tls.is_some() {
        reader.report.problem("mail.server", "is missing");
    }
}

fn sender(of: &written::RawMail, reader: &mut ConfigResolver<'_>) -> Option<EmailAddress> {
    let parsed = of.sender.as_deref().map(EmailAddress::parse);
    match parsed {
        Some(Ok(address)) => return Some(address),
        Some(Err(_)) => reader.report.problem("mail.sender", "is not an e-mail address"),
        None => reader.report.problem("mail.sender", "is missing"),
    }
    None
}

fn credentials(
    of: &written::RawMail,
    reader: &mut ConfigResolver<'_>,
) -> Option<(Box<str>, Secret)> {
    let password = reader.secret("mail.password", of.password.as_ref(), of.password_file.as_ref());
    match (&of.username, password) {
        (Some(username), Some((password, path))) => {
            let fits = |text: &str| {
                (1..=MAX_CREDENTIAL).contains(&text.len()) && !text.chars().any(char::is_control)
            };
            if !fits(username) || !fits(password.expose()) {
                let what = "must be 1 to 4096 bytes without control characters, like the user name";
                reader.report.problem(&path, what);
            }
            Some((username.as_str().into(), password))
        }
        (Some(_), None) => {
            reader.report.problem("mail.password", "is missing");
            None
        }
        (None, Some(_)) => {
            reader.report.problem("mail.username", "is missing");
            None
        }
        (None, None) => None,
    }
}

fn is_host(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    text.parse::<IpAddr>().is_ok() || ((1..=253).contains(&text.len()) && text.bytes().all(letter))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URLs and lifetimes of links.
pub(super) fn links(
    written: &RawConfig,
    public_url: &str,
    reader: &mut ConfigResolver<'_>,
) -> Links {
    let (reset, verification) = (&written.recovery, &written.verification);
    Links {
        reset: LinkUse {
            url: url("recovery.url", reset.url.as_ref(), public_url, "/reset", reader),
            ttl: ttl("recovery.ttl", reset.ttl.as_ref(), HOUR / 2, reader),
        },
        verification: LinkUse {
            url: url(
                "verification.url",
                verification.url.as_ref(),
                public_url,
                "/verify-email",
                reader,
            ),
            ttl: ttl("verification.ttl", verification.ttl.as_ref(), HOUR, reader),
        },
    }
}

fn ttl(
    path: &str,
    written: Option<&Time>,
    default: Duration,
    reader: &mut ConfigResolver<'_>,
) -> Duration {
    reader.time(path, written, default, SECOND..=HOUR)
}

fn url(
    path: &str,
    written: Option<&String>,
    public_url: &str,
    page: &str,
    reader: &mut ConfigResolver<'_>,
) -> Box<str> {
    let Some(text) = written else { return format!("{public_url}{page}").into() };
    if !is_link(text) {
        let what = "must be an http or https URL of at most 2048 bytes, without user or fragment";
        reader.report.problem(path, what);
    }
    text.as_str().into()
}

/// Whether it is a URL that a token can be appended to.
pub(crate) fn is_link(text: &str) -> bool {
    let Ok(link) = text.parse::<http::Uri>() else { return false };
    let web = matches!(link.scheme_str(), Some("http" | "https"));
    let plain = link.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    web && plain && text.len() <= MAX_URL && !text.contains('#')
}
