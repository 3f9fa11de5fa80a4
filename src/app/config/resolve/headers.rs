//! `[identity_headers]`

use http::HeaderName;

use super::super::written::{Preset, Written};
use super::Reader;
use crate::rules::request::IdentityHeaders;

/// Names that mean something else on the way to an upstream, folded (`_` to `-`).
const FORBIDDEN: [&str; 39] = [
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-none-match",
    "keep-alive",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-auth-assertion",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-service-api-key",
    "x-http-method-override",
];

/// Longest name, in bytes.
const MAX_LENGTH: usize = 64;

/// The names, with the preset's where none is written.
pub(super) fn resolve(written: &Written, reader: &mut Reader<'_>) -> IdentityHeaders {
    let written = &written.identity_headers;
    let mut names = preset(written.preset.unwrap_or_default());
    let mut taken: Vec<(String, &str)> = Vec::new();
    let facts = [
        ("subject", &written.subject, &mut names.subject),
        ("roles", &written.roles, &mut names.roles),
        ("user", &written.user, &mut names.user),
        ("session", &written.session, &mut names.session),
        ("source", &written.source, &mut names.source),
    ];
    for (key, text, name) in facts {
        let path = format!("identity_headers.{key}");
        if let Some(text) = text {
            match parse(text) {
                Ok(parsed) => *name = parsed,
                Err(what) => {
                    reader.report.problem(&path, what);
                    continue;
                }
            }
        }
        let folded = fold(name.as_str());
        if let Some((_, other)) = taken.iter().find(|(known, _)| *known == folded) {
            let what = format_args!("cannot be told from the name of {other}");
            let hint = "case, - and _ make no difference";
            reader.report.problem_with_hint(&path, what, hint);
        }
        taken.push((folded, key));
    }
    names
}

fn preset(preset: Preset) -> IdentityHeaders {
    let (subject, roles) = match preset {
        Preset::Guarita => return IdentityHeaders::default(),
        Preset::ForwardedUser => ("x-forwarded-user", "x-forwarded-groups"),
        Preset::XAuthRequest => ("x-auth-request-user", "x-auth-request-groups"),
        Preset::RemoteUser => ("remote-user", "remote-groups"),
    };
    IdentityHeaders {
        subject: HeaderName::from_static(subject),
        roles: HeaderName::from_static(roles),
        ..IdentityHeaders::default()
    }
}

fn parse(text: &str) -> Result<HeaderName, &'static str> {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.len() > MAX_LENGTH || !text.bytes().all(simple) {
        return Err("must be 1 to 64 letters, digits, - and _");
    }
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "must be 1 to 64 letters, digits, - and _")?;
    if FORBIDDEN.contains(&fold(name.as_str()).as_str()) {
        return Err("is a name that means something else to an upstream");
    }
    Ok(name)
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}
