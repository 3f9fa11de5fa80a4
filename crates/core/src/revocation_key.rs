//! Revocation keys of provider tokens. A token is revoked by its claims, not by its bytes, because the same token
//! can be encoded in several ways.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How long the revocation of a session or subject is kept: longer than any token is in use.
pub const KEEP: Duration = Duration::from_secs(400 * 86_400);
/// More than the longest time that a token is accepted after its `exp`.
const MARGIN: Duration = Duration::from_secs(120);
/// Longest claim value, in bytes.
pub const MAX_VALUE: usize = 255;

/// A kind of claim that tokens are revoked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// `jti`: one token.
    Token,
    /// `sid` or `session_id`: all tokens of a session, whenever they were issued.
    Session,
    /// `sub`, or the claim that the provider's `link_from` or `subject_from` names: all tokens issued before.
    Subject,
    /// Subject and times, used if there is no `jti`.
    Times,
}

impl MarkKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "jti",
            Self::Session => "sid",
            Self::Subject => "sub",
            Self::Times => "times",
        }
    }
}

/// SHA-256 of an issuer, a kind of claim and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RevocationKey([u8; 32]);

impl RevocationKey {
    /// The key of one claim value of an issuer.
    pub fn of(issuer: &str, kind: MarkKind, value: &str) -> Self {
        let mut context = Context::new(&SHA256);
        for text in [issuer, kind.as_str(), value] {
            context.update(text.as_bytes());
            context.update(b"\0");
        }
        Self(context.finish().as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The text in the database: base64url without padding.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Parses the text in the database.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl From<RevocationKey> for String {
    fn from(mark: RevocationKey) -> Self {
        mark.text()
    }
}

/// Not a text written by [`RevocationKey::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid revocation key")]
pub struct InvalidMark;

impl TryFrom<String> for RevocationKey {
    type Error = InvalidMark;

    fn try_from(text: String) -> Result<Self, InvalidMark> {
        Self::parse(&text).ok_or(InvalidMark)
    }
}

/// A revoked key: its tokens are no longer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedMark {
    /// The revocation key.
    pub mark: RevocationKey,
    /// When it was revoked; relevant for subjects only.
    pub revoked_at: Timestamp,
    /// When the revocation can be forgotten, because no such token is valid any longer.
    pub keep_until: Timestamp,
}

impl RevokedMark {
    /// Revoked now, kept for 400 days.
    pub fn now(mark: RevocationKey, now: Timestamp) -> Self {
        Self { mark, revoked_at: now, keep_until: now.plus(KEEP) }
    }

    /// Merges two revocations of a key: the later revocation time and the later expiry.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self {
            revoked_at: self.revoked_at.max(other.revoked_at),
            keep_until: self.keep_until.max(other.keep_until),
            ..self
        }
    }
}

/// All revocation keys of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationKeys {
    /// The session, if the token names one.
    session: Option<RevocationKey>,
    /// The token itself.
    token: RevocationKey,
    /// The permanent subject first, then other names of the subject that differ from it.
    subjects: Vec<RevocationKey>,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// The claims that revocation keys are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `jti`
    pub token_id: Option<&'a str>,
    /// `sid`
    pub session: Option<&'a str>,
    /// The permanent subject.
    pub subject: &'a str,
    /// Other names of the subject.
    pub also: [&'a str; 2],
    /// `iat`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
}

impl RevocationKeys {
    /// The revocation keys of a token with these claims.
    pub fn new(said: Said<'_>) -> Self {
        let Said { issuer, subject, issued_at, expires_at, .. } = said;
        let of = |kind, value: &str| RevocationKey::of(issuer, kind, value);
        let times = || format!("{} {} {subject}", issued_at.seconds(), expires_at.seconds());
        let mut subjects = vec![of(MarkKind::Subject, subject)];
        for mark in said.also.map(|name| of(MarkKind::Subject, name)) {
            if !subjects.contains(&mark) {
                subjects.push(mark);
            }
        }
        Self {
            session: said.session.map(|session| of(MarkKind::Session, session)),
            token: match said.token_id {
                Some(id) => of(MarkKind::Token, id),
                None => of(MarkKind::Times, &times()),
            },
            subjects,
            issued_at,
            expires_at,
        }
    }

    /// Iterates over all keys.
    pub fn iter(&self) -> impl Iterator<Item = &RevocationKey> {
        self.session.iter().chain([&self.token]).chain(&self.subjects)
    }

    /// Whether the token is revoked; `find` looks up a key among the revoked ones.
    pub fn are_revoked(&self, find: impl Fn(&RevocationKey) -> Option<RevokedMark>) -> bool {
        self.session.iter().chain([&self.token]).any(|mark| find(mark).is_some())
            || self
                .subjects
                .iter()
                .filter_map(find)
                .any(|revoked| self.issued_at <= revoked.revoked_at)
    }

    /// The revocation that ends the token's session now, or only the token if it names no session.
    pub fn ending(&self, now: Timestamp) -> RevokedMark {
        match self.session {
            Some(session) => RevokedMark::now(session, now),
            None => RevokedMark {
                mark: self.token,
                revoked_at: now,
                keep_until: self.expires_at.plus(MARGIN),
            },
        }
    }

    /// Tokens of the subject that were issued up to this time are revoked when all are ended; includes this token.
    pub fn latest(&self, now: Timestamp) -> Timestamp {
        now.max(self.issued_at)
    }

    /// The revocation that ends all tokens of the subject issued up to now, including this token, whose issuer's clock
    /// may be ahead.
    pub fn ending_all(&self, now: Timestamp) -> Option<RevokedMark> {
        let revoked_at = self.latest(now);
        let ending =
            |subject: &RevocationKey| RevokedMark { revoked_at, ..RevokedMark::now(*subject, now) };
        self.subjects.first().map(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn said() -> Said<'static> {
        Said {
            issuer: "i",
            token_id: Some("t"),
            session: Some("s"),
            subject: "u",
            also: ["u-0", "ada"],
            issued_at: NOW,
            expires_at: NOW.plus(Duration::from_secs(600)),
        }
    }

    fn ends(revoked: RevokedMark, said: Said<'_>) -> bool {
        RevocationKeys::new(said).are_revoked(|mark| (*mark == revoked.mark).then_some(revoked))
    }

    #[test]
    fn a_token_is_revoked_by_each_thing_that_it_says_and_by_no_other() {
        let (late, early) = (NOW.plus(Duration::from_secs(1)), NOW.minus(Duration::from_secs(1)));
        for (issuer, kind, value, at, revoked) in [
            ("i", MarkKind::Token, "t", early, true),
            ("i", MarkKind::Session, "s", early, true),
            ("i", MarkKind::Subject, "u", NOW, true),
            ("i", MarkKind::Subject, "u", late, true),
            ("i", MarkKind::Subject, "u", early, false),
            ("i", MarkKind::Subject, "ada", NOW, true),
            ("i", MarkKind::Subject, "u-0", NOW, true),
            ("j", MarkKind::Session, "s", NOW, false),
            ("i", MarkKind::Session, "t", NOW, false),
            ("i", MarkKind::Token, "s", NOW, false),
            ("i", MarkKind::Token, "u", NOW, false),
        ] {
            let mark = RevokedMark::now(RevocationKey::of(issuer, kind, value), at);
            assert_eq!(ends(mark, said()), revoked, "{issuer} {kind:?} {value}");
        }
    }

    #[test]
    fn what_ends_a_token_ends_its_session_or_else_itself_alone() {
        let of = |said| RevocationKeys::new(said).ending(NOW);
        let other = |session| Said { token_id: Some("t2"), session, ..said() };
        let whole = of(said());
        assert!(ends(whole, said()) && ends(whole, other(Some("s"))));
        assert!(!ends(whole, other(Some("s2"))));
        let alone = of(Said { session: None, ..said() });
        assert!(ends(alone, said()) && !ends(alone, other(Some("s"))));
        assert!(alone.keep_until > said().expires_at && alone.keep_until < whole.keep_until);
        // Without a `jti` it is known by its subject and its times.
        let bare = Said { session: None, token_id: None, ..said() };
        let later = Said { issued_at: NOW.plus(Duration::from_secs(1)), ..bare };
        assert!(ends(of(bare), bare));
        for other in [later, Said { subject: "v", ..bare }] {
            assert!(!ends(of(bare), other));
        }
    }

    #[test]
    fn a_subject_s_tokens_end_up_to_a_moment() {
        let all = RevocationKeys::new(said()).ending_all(NOW).unwrap();
        let later = Said { issued_at: NOW.plus(Duration::from_secs(1)), ..said() };
        assert!(ends(all, said()) && !ends(all, later));
        let again = RevokedMark::now(all.mark, later.issued_at);
        assert_eq!(all.joined(again), again);
        assert_eq!(again.joined(all), again);
    }

    #[test]
    fn a_token_that_ends_all_of_its_subject_is_one_of_them_whatever_its_clock_says() {
        let ahead = |seconds| Said { issued_at: NOW.plus(Duration::from_secs(seconds)), ..said() };
        let all = RevocationKeys::new(ahead(20)).ending_all(NOW).unwrap();
        assert!(ends(all, ahead(20)) && ends(all, said()) && !ends(all, ahead(21)));
        assert_eq!(all.keep_until, RevokedMark::now(all.mark, NOW).keep_until);
    }

    #[test]
    fn a_mark_has_one_spelling() {
        let mark = RevocationKey::of("i", MarkKind::Token, "t");
        assert_eq!(RevocationKey::parse(&mark.text()), Some(mark));
        for text in ["", "AAAA", &format!("{}A", mark.text())] {
            assert_eq!(RevocationKey::parse(text), None);
        }
        assert_ne!(
            RevocationKey::of("i", MarkKind::Token, "t"),
            RevocationKey::of("ijti", MarkKind::Token, "t")
        );
    }
}
