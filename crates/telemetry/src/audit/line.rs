//! Audit lines, formatted by hand for speed: every forwarded request writes one.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::event::Event;
use crate::redact::{MaskedSubject, MaskedUser};
use guarita_core::{Identity, Principal};

/// Maximum length of a text, in bytes; longer texts are truncated.
const MAX_TEXT: usize = 2048;

/// A forwarded request.
#[derive(Debug)]
pub struct RequestLine<'a> {
    /// `requestId`
    pub request_id: &'a str,
    /// `userId` (masked), `sub` (masked where it is an e-mail address or a CPF), `jti`, `sid`, `apiKeyId`, `source`, `app_roles`
    pub principal: Option<&'a Principal>,
    /// `method`
    pub method: &'a str,
    /// `path`, canonical and without query.
    pub path: &'a str,
    /// `status`
    pub status: u16,
    /// `durationMs`
    pub duration: Duration,
    /// `lastKnown`, if stale session state was used.
    pub last_known: bool,
}

/// Appends one JSON object and a newline.
pub(super) fn request(buffer: &mut String, line: &RequestLine<'_>, time: &str) {
    let mut object = Object::begin(buffer, time, "request");
    object.text("requestId", Some(line.request_id));
    if let Some(principal) = line.principal {
        object.0.push_str(principal.identity().record(caller));
        object.text("app_roles", principal.roles().header().to_str().ok());
    }
    object.text("method", Some(line.method));
    object.text("path", Some(line.path));
    object.number("status", line.status);
    object.milliseconds(line.duration);
    if line.last_known {
        object.number("lastKnown", true);
    }
    object.end();
}

/// The members about the caller; the same for all requests with the same token.
fn caller(identity: &Identity) -> Box<str> {
    let mut members = String::new();
    let mut object = Object(&mut members);
    object.plain("userId", identity.user().map(MaskedUser));
    object.text("sub", Some(&MaskedSubject(identity.subject().as_str()).to_string()));
    object.text("jti", identity.token_id());
    object.plain("sid", identity.session());
    object.plain("apiKeyId", identity.api_key());
    object.plain("source", Some(identity.source().as_str()));
    members.into()
}

/// Appends one JSON object and a newline.
pub(super) fn event(buffer: &mut String, event: &Event<'_>, time: &str) {
    let mut object = Object::begin(buffer, time, event.name.as_str());
    if event.name.is_error() {
        object.text("level", Some("error"));
    }
    object.text("requestId", event.request_id);
    object.plain("userId", event.user.map(MaskedUser));
    let subject = event.subject.map(|subject| MaskedSubject(subject).to_string());
    object.text("sub", subject.as_deref());
    object.plain("sid", event.session);
    object.plain("apiKeyId", event.api_key);
    object.plain("address", event.address);
    object.text("route", event.route);
    object.text("reason", event.reason);
    if let Some(duration) = event.duration {
        object.milliseconds(duration);
    }
    object.end();
}

struct Object<'a>(&'a mut String);

impl<'a> Object<'a> {
    fn begin(buffer: &'a mut String, time: &str, event: &str) -> Self {
        buffer.push_str(r#"{"channel":"audit","time":""#);
        buffer.push_str(time);
        buffer.push_str(r#"","event":""#);
        buffer.push_str(event);
        buffer.push('"');
        Self(buffer)
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    /// A text to be escaped.
    fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.name(name);
        self.0.push('"');
        escape(self.0, value);
        self.0.push('"');
    }

    /// A text without characters to escape.
    fn plain(&mut self, name: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.0, "\"{value}\"");
    }

    fn number(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.0, "{value}");
    }

    fn milliseconds(&mut self, duration: Duration) {
        let micros = duration.as_micros();
        self.number("durationMs", format_args!("{}.{:03}", micros / 1000, micros % 1000));
    }

    fn end(self) {
        self.0.push_str("}\n");
    }
}

fn escape(buffer: &mut String, text: &str) {
    let end = text.floor_char_boundary(MAX_TEXT);
    let text = text.get(..end).unwrap_or_default();
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\' && byte < 0x7f) {
        buffer.push_str(text);
        return;
    }
    for letter in text.chars() {
        match letter {
            '"' => buffer.push_str("\\\""),
            '\\' => buffer.push_str("\\\\"),
            letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => {
                let _ = write!(buffer, "\\u{:04x}", u32::from(letter));
            }
            letter => buffer.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::Name;
    use guarita_core::{Roles, SessionId, Source, Subject, UserId};

    #[test]
    fn a_request_line_has_the_members_of_the_contract() {
        let mut buffer = String::new();
        let identity = Identity::new(
            Subject::parse("alice").unwrap(),
            Some(UserId::new(1234)),
            SessionId::parse("01932c07-7f0c-7d5e-8a00-0123456789ab"),
            Roles::parse(["a", "b"]).unwrap(),
            Source::Bearer,
            Some("t"),
        );
        let principal = Principal::new(Arc::new(identity.unwrap()));
        let line = RequestLine {
            request_id: "r-1",
            principal: Some(&principal),
            method: "GET",
            path: "/orders/1",
            status: 200,
            duration: Duration::from_micros(1_050),
            last_known: false,
        };
        request(&mut buffer, &line, "2026-11-21T10:00:00Z");
        insta::assert_snapshot!(buffer.trim_end(), @r#"{"channel":"audit","time":"2026-11-21T10:00:00Z","event":"request","requestId":"r-1","userId":"***34","sub":"alice","jti":"t","sid":"01932c07-7f0c-7d5e-8a00-0123456789ab","source":"bearer","app_roles":"a,b","method":"GET","path":"/orders/1","status":200,"durationMs":1.050}"#);
        let mut buffer = String::new();
        request(&mut buffer, &RequestLine { last_known: true, ..line }, "now");
        assert!(buffer.ends_with(",\"durationMs\":1.050,\"lastKnown\":true}\n"), "{buffer}");
    }

    #[test]
    fn hostile_text_stays_one_line_of_json() {
        let hostile = "a\"b\\c\nd\r\u{0}\u{7f}\u{2028}é";
        let mut buffer = String::new();
        let mut failed = Event::new(Name::LoginFailed);
        failed.reason = Some(hostile);
        event(&mut buffer, &failed, "now");
        assert_eq!(buffer.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&buffer).unwrap();
        assert_eq!(read["reason"], hostile);
    }

    #[test]
    fn an_event_says_what_is_known_of_it() {
        let closed = Event {
            request_id: Some("r-1"),
            user: Some(UserId::new(1234)),
            session: SessionId::parse("01932c07-7f0c-7d5e-8a00-0123456789ab"),
            route: Some("/ws/{*rest}"),
            reason: Some("revoked"),
            duration: Some(Duration::from_millis(2_500)),
            ..Event::new(Name::WebSocketClosed)
        };
        let mut buffer = String::new();
        event(&mut buffer, &closed, "now");
        insta::assert_snapshot!(buffer.trim_end(), @r#"{"channel":"audit","time":"now","event":"ws.connection.closed","requestId":"r-1","userId":"***34","sid":"01932c07-7f0c-7d5e-8a00-0123456789ab","route":"/ws/{*rest}","reason":"revoked","durationMs":2500.000}"#);
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "é".repeat(5000);
        let mut buffer = String::new();
        let mut failed = Event::new(Name::LoginFailed);
        failed.reason = Some(&long);
        event(&mut buffer, &failed, "now");
        assert!(buffer.len() < MAX_TEXT + 200);
    }
}
