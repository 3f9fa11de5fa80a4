//! The claims of an access token. No claim that matters for a decision is optional.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Invalid;
use super::object::Members;
use crate::identity::MAX_ROLES;
use crate::{Roles, SessionId, Subject, Timestamp, UserId};

/// Maximum clock leeway.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);
/// Maximum length of `jti`, in bytes.
pub const MAX_TOKEN_ID_LENGTH: usize = 128;
/// The last second of the year 9999. Later times are rejected.
const LAST_SECOND: i64 = 253_402_300_799;

/// Claims that only tokens for another purpose have: logout tokens and security events (`events`),
/// ID tokens (the hashes of OIDC Core section 3.3.2.11), and sender-constrained tokens.
const FOREIGN_PURPOSES: [&str; 5] = ["events", "at_hash", "c_hash", "s_hash", "cnf"];
/// The claim `typ` of Keycloak's tokens for another purpose.
const FOREIGN_TYPES: [&str; 4] = ["ID", "Refresh", "Offline", "Logout"];
/// The claim `typ` of Keycloak's access tokens; older ones also have the `nonce` of the login.
const ACCESS_TYPE: &str = "Bearer";

/// The claims of a verified access token.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `iss`
    pub issuer: Box<str>,
    /// `sub`
    pub subject: Subject,
    /// `uid`
    pub user: Option<UserId>,
    /// `aud`, the expected value
    pub audience: Box<str>,
    /// `iat`
    pub issued_at: Timestamp,
    /// `nbf`; where it is missing, `iat`
    pub not_before: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`, 1 to 128 bytes without control characters
    pub token_id: Box<str>,
    /// `sid`
    pub session: SessionId,
    /// `app_roles`, else `roles`, else `groups`
    pub roles: Roles,
    /// When a second factor was verified: `auth_time`, with `mfa` in `amr` (RFC 8176).
    pub second_factor_at: Option<Timestamp>,
}

/// The requirements on a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectations {
    /// `iss`, exactly.
    pub issuer: Arc<str>,
    /// `aud` must contain one of these; if empty, no token is accepted.
    pub audiences: Vec<Arc<str>>,
    /// Clock leeway; at most 60 s are applied.
    pub leeway: Duration,
    /// Maximum length of a token, in bytes.
    pub max_length: usize,
}

impl Expectations {
    /// Checks the three times with the leeway (RFC 7519 sections 4.1.4 to 4.1.6).
    pub fn check_times(
        &self,
        issued_at: Timestamp,
        not_before: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Invalid> {
        let leeway = self.leeway.min(MAX_LEEWAY);
        let latest = now.plus(leeway);
        if expires_at <= now.minus(leeway) {
            Err(Invalid::Expired)
        } else if not_before > latest {
            Err(Invalid::NotYetValid)
        } else if issued_at > latest {
            Err(Invalid::IssuedInFuture)
        } else {
            Ok(())
        }
    }

    /// Whether the audience is one of the expected ones.
    pub fn accepts_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|expected| &**expected == audience)
    }
}

impl Claims {
    /// Reads and checks the payload of a token with a valid signature.
    pub(super) fn read(
        members: &Members,
        expected: &Expectations,
        now: Timestamp,
    ) -> Result<Self, Invalid> {
        check_purpose(members)?;
        let issuer = issuer(members, expected)?;
        let audience = audience(members, expected)?;
        let (issued_at, not_before, expires_at) = times(members, expected, now)?;
        Ok(Self {
            issuer: issuer.into(),
            subject: subject(text(members, "sub").ok_or(Invalid::Subject)?)?,
            user: user(members)?,
            audience: audience.into(),
            issued_at,
            not_before,
            expires_at,
            token_id: token_id(members)?.into(),
            session: session(members)?,
            roles: roles(members)?,
            second_factor_at: second_factor_at(members),
        })
    }
}

/// Rejects tokens for another purpose.
pub(super) fn check_purpose(members: &Members) -> Result<(), Invalid> {
    let of_purpose = FOREIGN_PURPOSES.iter().any(|name| members.contains_key(*name));
    let said = text(members, "typ");
    let of_type = said.is_some_and(|said| FOREIGN_TYPES.contains(&said));
    // The answer to one login (OIDC Core section 2): an ID token, whose audience may be that of access tokens.
    let of_login = members.contains_key("nonce") && said != Some(ACCESS_TYPE);
    if of_purpose || of_type || of_login { Err(Invalid::Purpose) } else { Ok(()) }
}

/// `iat`, `nbf` and `exp`, if they are valid now.
pub(super) fn times(
    members: &Members,
    expected: &Expectations,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp, Timestamp), Invalid> {
    let expires_at = time(members, "exp", Invalid::ExpiresAt)?.ok_or(Invalid::ExpiresAt)?;
    let issued_at = time(members, "iat", Invalid::IssuedAt)?.ok_or(Invalid::IssuedAt)?;
    let not_before = time(members, "nbf", Invalid::NotBefore)?.unwrap_or(issued_at);
    expected.check_times(issued_at, not_before, expires_at, now)?;
    Ok((issued_at, not_before, expires_at))
}

/// When a second factor was verified; requires both an `amr` array with `mfa` and a time.
fn second_factor_at(members: &Members) -> Option<Timestamp> {
    let methods = members.get("amr")?.as_array()?;
    let proven = methods.iter().any(|method| method.as_str() == Some("mfa"));
    let at = members.get("auth_time")?.as_i64()?;
    proven.then(|| Timestamp::from_seconds(at))
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

pub(super) fn issuer<'a>(
    members: &'a Members,
    expected: &Expectations,
) -> Result<&'a str, Invalid> {
    text(members, "iss").filter(|issuer| *issuer == &*expected.issuer).ok_or(Invalid::Issuer)
}

/// The expected audience in a string or an array of strings (RFC 7519 section 4.1.3).
pub(super) fn audience<'a>(
    members: &'a Members,
    expected: &Expectations,
) -> Result<&'a str, Invalid> {
    audiences(members)?
        .into_iter()
        .find(|audience| expected.accepts_audience(audience))
        .ok_or(Invalid::Audience)
}

/// All values of `aud`.
pub(super) fn audiences(members: &Members) -> Result<Vec<&str>, Invalid> {
    match members.get("aud").ok_or(Invalid::Audience)? {
        Value::String(one) => Ok(vec![one.as_str()]),
        Value::Array(many) => strings(many).ok_or(Invalid::Audience),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(Invalid::Audience)
        }
    }
}

pub(super) fn strings(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect()
}

/// A `NumericDate` from 0 to the end of the year 9999; fractions are truncated.
fn time(members: &Members, name: &str, malformed: Invalid) -> Result<Option<Timestamp>, Invalid> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(malformed) };
    let seconds = number.as_i64().or_else(|| number.as_f64().and_then(whole_seconds));
    match seconds {
        Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => {
            Ok(Some(Timestamp::from_seconds(seconds)))
        }
        Some(_) | None => Err(malformed),
    }
}

fn whole_seconds(seconds: f64) -> Option<i64> {
    // Infinity and NaN lie in no range.
    if !(0.0..=1e12).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked above")]
    Some(seconds.floor() as i64)
}

/// Also rejects white space at the ends: the header parser of an upstream would strip it, so that ` root` would
/// become `root`.
pub(super) fn subject(text: &str) -> Result<Subject, Invalid> {
    if text.trim() != text {
        return Err(Invalid::Subject);
    }
    Subject::parse(text).map_err(|_| Invalid::Subject)
}

fn session(members: &Members) -> Result<SessionId, Invalid> {
    text(members, "sid").and_then(SessionId::parse).ok_or(Invalid::Session)
}

fn token_id(members: &Members) -> Result<&str, Invalid> {
    text(members, "jti").filter(|id| is_token_id(id)).ok_or(Invalid::TokenId)
}

pub(super) fn is_token_id(id: &str) -> bool {
    (1..=MAX_TOKEN_ID_LENGTH).contains(&id.len()) && !id.chars().any(char::is_control)
}

fn user(members: &Members) -> Result<Option<UserId>, Invalid> {
    let Some(value) = members.get("uid") else { return Ok(None) };
    let id = value.as_i64().filter(|id| *id > 0).ok_or(Invalid::User)?;
    Ok(Some(UserId::new(id)))
}

/// The first of the three claims that is present is used, even if empty. A string is a single role, as some
/// providers send it; it is never split.
fn roles(members: &Members) -> Result<Roles, Invalid> {
    let present = ["app_roles", "roles", "groups"].into_iter().find_map(|name| members.get(name));
    let names = match present {
        None => return Ok(Roles::none()),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) if many.len() <= MAX_ROLES => {
            strings(many).ok_or(Invalid::Roles)?
        }
        Some(
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_),
        ) => {
            return Err(Invalid::Roles);
        }
    };
    Roles::parse(names).map_err(|_| Invalid::Roles)
}

#[cfg(test)]
mod tests;
