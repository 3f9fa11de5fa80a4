//! What must never be written down. Every secret that goes over a test's wires is remembered here,
//! and each gateway's output is searched for it when the test ends.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;

/// Members of JSON bodies that hold secrets.
const NAMES: [&str; 15] = [
    "password",
    "code",
    "accessToken",
    "access_token",
    "refreshToken",
    "refresh_token",
    "mfaToken",
    "token",
    "secret",
    "otpauthUri",
    "recoveryCodes",
    "cpf",
    "email",
    "email_corporativo",
    "ticket",
];
/// How every password of the tests begins.
const PASSWORDS: &str = "correct horse battery";

static SEEN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// The secrets of a JSON body; none where it is none.
pub fn secrets_of(body: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(body) = serde_json::from_slice(body) {
        collect(&body, false, &mut found);
    }
    found
}

fn collect(value: &Value, secret: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if secret && is_telling(text) => {
            found.insert(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, secret, found)),
        Value::Object(members) => {
            // The code of a refusal is no secret.
            let refusal = members.contains_key("requestId");
            for (name, value) in members {
                let secret = NAMES.contains(&name.as_str()) && !(refusal && name == "code");
                collect(value, secret, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether it would be found for no other reason.
fn is_telling(text: &str) -> bool {
    text.len() >= 6 && text.chars().collect::<BTreeSet<_>>().len() >= 4
}

/// Remembers the secrets of a body.
pub fn watch(body: &[u8]) {
    SEEN.lock().unwrap().append(&mut secrets_of(body));
}

/// Remembers one secret.
pub fn keep(secret: &str) {
    if is_telling(secret) {
        SEEN.lock().unwrap().insert(secret.to_owned());
    }
}

/// What the text gives away, if anything.
pub fn found_in(text: &str) -> Option<String> {
    if text.contains(PASSWORDS) {
        return Some("a password".into());
    }
    if let Some(found) = json_web_token(text).or_else(|| address(text)) {
        return Some(found);
    }
    let seen = SEEN.lock().unwrap();
    seen.iter().find(|secret| holds(text, secret)).cloned()
}

/// Six digits count where they stand alone: times have six behind a point.
fn holds(text: &str, secret: &str) -> bool {
    if !secret.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.contains(secret);
    }
    text.match_indices(secret).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + secret.len()..].chars().next();
        let joins = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

fn json_web_token(text: &str) -> Option<String> {
    let base64 = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let mut parts = text.match_indices("eyJ").map(|(start, _)| &text[start..]);
    let found = parts.find(|rest| {
        let end = rest.find(|letter| !base64(letter)).unwrap_or(rest.len());
        end > 16 && rest[end..].starts_with('.')
    })?;
    Some(found.chars().take(60).collect())
}

/// A whole address: `a***@b.test` is none.
fn address(text: &str) -> Option<String> {
    let found = text.match_indices('@').find(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let domain: String = text[at + 1..]
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || ".-".contains(*letter))
            .collect();
        before.is_some_and(|letter| letter.is_ascii_alphanumeric()) && domain.contains('.')
    });
    let (at, _) = found?;
    let begin = text[..at].char_indices().rev().take(20).last().map_or(at, |(begin, _)| begin);
    Some(text[begin..].chars().take(60).collect())
}

/// Fails the test where the text gives something away.
#[track_caller]
pub fn assert_silent(what: &str, text: &str) {
    let telling = text.lines().find_map(|line| Some((found_in(line)?, line)));
    assert!(telling.is_none(), "{what} gives away: {telling:?}");
}

/// All lines of the audit files in a directory of data.
pub fn audit_text(data: &Path) -> String {
    // Those of commands are in a directory of their own.
    let directories = ["audit", "audit/commands"].map(|name| std::fs::read_dir(data.join(name)));
    let read = |file: std::fs::DirEntry| std::fs::read_to_string(file.path()).unwrap_or_default();
    directories.into_iter().flatten().flat_map(Iterator::flatten).map(read).collect()
}

/// The metrics, if the gateway still tells them.
pub fn metrics_text(ops: SocketAddr) -> String {
    let ask = || {
        let time = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&ops, time)?;
        stream.set_read_timeout(Some(time))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    ask().unwrap_or_default()
}
