//! `[identity_headers]`

use http::HeaderName;

use super::super::written::{RawConfig, RawPreset};
use super::ConfigResolver;
use guarita_core::http::IdentityHeaders;

/// Names with another meaning, folded (`_` to `-`).
const FORBIDDEN: [&str; 38] = [
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

/// The configured names; the preset is the default.
pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> IdentityHeaders {
    let assertion = written.assertion.enabled == Some(true);
    let written = &written.identity_headers;
    let mut names = preset(written.preset.unwrap_or_default());
    if written.preset == Some(RawPreset::CloudflareAccess) && !assertion {
        let what = "names only the assertion header, and assertion.enabled is not true";
        reader.report.warning("identity_headers.preset", what);
    }
    if written.subject.is_some() {
        // What stands before it goes with the preset's own name.
        names.subject_prefix = "";
    }
    let mut taken: Vec<(String, &str)> = Vec::new();
    let facts = [
        ("subject", &written.subject, &mut names.subject),
        ("roles", &written.roles, &mut names.roles),
        ("user", &written.user, &mut names.user),
        ("session", &written.session, &mut names.session),
        ("source", &written.source, &mut names.source),
        ("assertion", &written.assertion, &mut names.assertion),
    ];
    for (key, text, name) in facts {
        let path = format!("identity_headers.{key}");
        if let Some(text) = text {
            match parse(key, text) {
                Ok(parsed) => *name = parsed,
                Err(what) => {
                    reader.report.problem(&path, what);
                    continue;
                }
            }
        }
        let folded = fold(name.as_str());
        if let Some((_, other)) = taken.iter().find(|(known, _)| *known == folded) {
            let what = format_args!("cannot be distinguished from the name of {other}");
            let hint = "case is ignored, and - equals _";
            reader.report.problem_with_hint(&path, what, hint);
        }
        taken.push((folded, key));
    }
    names
}

/// The names of a preset. Headers for e-mail addresses and user names are not included, because identities do not have
/// them.
fn preset(preset: RawPreset) -> IdentityHeaders {
    let ours = IdentityHeaders::default();
    let name = HeaderName::from_static;
    match preset {
        RawPreset::Guarita => ours,
        RawPreset::ForwardedUser | RawPreset::Oauth2Proxy => IdentityHeaders {
            subject: name("x-forwarded-user"),
            roles: name("x-forwarded-groups"),
            ..ours
        },
        RawPreset::XAuthRequest => IdentityHeaders {
            subject: name("x-auth-request-user"),
            roles: name("x-auth-request-groups"),
            ..ours
        },
        RawPreset::RemoteUser | RawPreset::Authelia => {
            IdentityHeaders { subject: name("remote-user"), roles: name("remote-groups"), ..ours }
        }
        RawPreset::Pomerium => IdentityHeaders {
            subject: name("x-pomerium-claim-sub"),
            roles: name("x-pomerium-claim-groups"),
            session: name("x-pomerium-claim-sid"),
            assertion: name("x-pomerium-jwt-assertion"),
            ..ours
        },
        RawPreset::CloudflareAccess => {
            IdentityHeaders { assertion: name("cf-access-jwt-assertion"), ..ours }
        }
        RawPreset::GoogleIap => IdentityHeaders {
            subject: name("x-goog-authenticated-user-id"),
            subject_prefix: "accounts.google.com:",
            assertion: name("x-goog-iap-jwt-assertion"),
            ..ours
        },
    }
}

fn parse(key: &str, text: &str) -> Result<HeaderName, &'static str> {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.len() > MAX_LENGTH || !text.bytes().all(simple) {
        return Err("must be 1 to 64 letters, digits, - and _");
    }
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "must be 1 to 64 letters, digits, - and _")?;
    let folded = fold(name.as_str());
    let of_assertion = folded == "x-auth-assertion" && key != "assertion";
    if of_assertion || FORBIDDEN.contains(&folded.as_str()) {
        return Err("is the name of a header with another meaning");
    }
    Ok(name)
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}
