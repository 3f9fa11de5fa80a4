//! Verification of a provider's access tokens, and the claims that its ID tokens have too.
//!
//! They have fewer claims than Guarita's own: a `jti` or a session id may be missing, and roles have other names.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};

use super::claims::{self, Expectations};
use super::header::HeaderKind;
use super::key_set::KeySet;
use super::object::Members;
use super::signed::Signed;
use super::{Invalid, SignatureAlgorithm, VerifyingKey};
use crate::api_key::is_of_service;
use crate::revocation_key::Said;
use crate::{
    Cpf, EmailAddress, RevocationKeys, Role, Roles, Scopes, SessionId, Subject, Timestamp,
};

/// Maximum length of a provider's session id, in bytes.
pub const MAX_SESSION_LENGTH: usize = 255;
/// The role of administrators of this gateway; no provider can grant it unless it is mapped explicitly.
const ADMINISTRATOR: &str = "Guarita.Admin";

/// The path of a claim: its name, or the names of nested objects joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Creates the path.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// The claim, if present. A claim whose name itself has dots takes precedence.
    fn find<'a>(&self, members: &'a Members) -> Option<&'a Value> {
        if let Some(value) = members.get(&*self.0) {
            return Some(value);
        }
        let mut names = self.0.split('.');
        let first = members.get(names.next()?)?;
        names.try_fold(first, |value, name| {
            value.as_object().and_then(|it: &Map<_, _>| it.get(name))
        })
    }
}

/// The `typ` of a provider's access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 section 2.1).
    AccessToken,
    /// `JWT`, or no `typ`.
    Jwt,
}

/// The requirements on a provider's tokens, and the claims to read.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderExpectations {
    /// `iss`, `aud`, leeway and size.
    pub token: Expectations,
    /// `typ`; [`None`] accepts both.
    pub token_type: Option<TokenType>,
    /// Claims that must have this value, or contain it.
    pub required: Vec<(ClaimPath, Box<str>)>,
    /// The claims of the permanent subject: the first that is a non-empty string is used.
    pub link_from: Vec<ClaimPath>,
    /// The claim of the subject.
    pub subject_from: ClaimPath,
    /// The claims of roles: the first that is present is used, even if empty.
    pub roles_from: Vec<ClaimPath>,
    /// Maps the provider's roles to Guarita's.
    pub role_map: HashMap<Box<str>, Role>,
    /// Whether roles that are not in the map are kept.
    pub keep_unmapped: bool,
}

/// The claims of a verified provider token.
#[derive(Clone, Debug)]
pub struct ProviderClaims {
    /// The subject, from the configured claim.
    pub subject: Subject,
    /// The permanent subject, from the configured claims.
    pub provider_subject: Subject,
    /// `sub`
    pub sub: Subject,
    /// `email`, if `email_verified` is true.
    pub verified_email: Option<EmailAddress>,
    /// `cpf`, if it is valid.
    pub cpf: Option<Cpf>,
    /// The expected value of `aud`.
    pub audience: Box<str>,
    /// `iat`
    pub issued_at: Timestamp,
    /// `nbf`; where it is missing, `iat`
    pub not_before: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`, or Entra's `uti`; 1 to 128 bytes
    pub token_id: Option<Box<str>>,
    /// `sid` or `session_id`; 1 to 255 bytes
    pub session: Option<Box<str>>,
    /// Roles, mapped.
    pub roles: Roles,
    /// `scope` (RFC 9068 section 2.2.3), or `scp`.
    pub scopes: Scopes,
    /// Whether `amr` has `mfa` (RFC 8176), or `aal` is `aal2`.
    pub second_factor: bool,
}

impl ProviderClaims {
    /// The revocation keys of the token.
    pub fn marks(&self, issuer: &str) -> RevocationKeys {
        RevocationKeys::new(Said {
            issuer,
            token_id: self.token_id.as_deref(),
            session: self.session.as_deref(),
            subject: self.provider_subject.as_str(),
            also: [self.sub.as_str(), self.subject.as_str()],
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        })
    }

    /// The id of the local session that depends on the provider session: the same for all tokens of a user in it. A
    /// token without a session is a session of its own, by its `jti`, else by its time of issue.
    pub fn session_id(&self, issuer: &str) -> SessionId {
        let own;
        let (kind, name) = match (&self.session, &self.token_id) {
            (Some(session), _) => ("sid", &**session),
            (None, Some(token)) => ("jti", &**token),
            (None, None) => {
                let (from, to) = (self.issued_at.seconds(), self.expires_at.seconds());
                own = format!("{from} {to}");
                ("iat", own.as_str())
            }
        };
        let mut context = Context::new(&SHA256);
        // Whoever shares a browser, and so perhaps a `sid`, does not share a session.
        for text in [issuer, self.provider_subject.as_str(), kind, name] {
            context.update(text.as_bytes());
            context.update(b"\0");
        }
        let hash = context.finish();
        let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
        SessionId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// The keys that a provider's tokens are verified with.
#[derive(Clone, Copy, Debug)]
pub struct ProviderKeys<'a> {
    /// The published keys.
    pub published: &'a KeySet,
    /// The shared HS256 secret.
    pub secret: Option<&'a VerifyingKey>,
}

impl ProviderKeys<'_> {
    /// Verifies size, format, header, signature and claims, in this order.
    ///
    /// # Errors
    /// Why the token is invalid. [`Invalid::UnknownKey`] if fetching new keys may help.
    pub fn verify(
        &self,
        token: &str,
        expected: &ProviderExpectations,
        now: Timestamp,
    ) -> Result<ProviderClaims, Invalid> {
        let signed = Signed::parse(token, expected.token.max_length)?;
        check_type(signed.header.kind, expected.token_type)?;
        let key = match (signed.header.algorithm, self.secret) {
            // The provider's secret has no name: a `kid` beside it says nothing.
            (SignatureAlgorithm::Hs256, Some(secret)) => secret,
            (SignatureAlgorithm::Hs256, None) => return Err(Invalid::Algorithm),
            (_, _) => self.published.find(&signed.header)?,
        };
        read(&signed.payload(key)?, expected, now)
    }
}

/// `iss` of an unverified token, to select the issuer that verifies it.
pub fn unproven_issuer(token: &str, max_length: usize) -> Option<String> {
    let mut members = Signed::parse(token, max_length).ok()?.unproven_payload().ok()?;
    match members.remove("iss")? {
        Value::String(issuer) => Some(issuer),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn check_type(kind: HeaderKind, expected: Option<TokenType>) -> Result<(), Invalid> {
    match (expected, kind) {
        (None, _)
        | (Some(TokenType::AccessToken), HeaderKind::AccessToken)
        | (Some(TokenType::Jwt), HeaderKind::Jwt) => Ok(()),
        (Some(TokenType::AccessToken), HeaderKind::Jwt)
        | (Some(TokenType::Jwt), HeaderKind::AccessToken) => Err(Invalid::Type),
    }
}

fn read(
    members: &Members,
    expected: &ProviderExpectations,
    now: Timestamp,
) -> Result<ProviderClaims, Invalid> {
    claims::check_purpose(members)?;
    claims::issuer(members, &expected.token)?;
    let audience = claims::audience(members, &expected.token)?;
    collect(members, expected, audience, now)
}

/// Checks the times and the required claims, and reads the rest.
pub(super) fn collect(
    members: &Members,
    expected: &ProviderExpectations,
    audience: &str,
    now: Timestamp,
) -> Result<ProviderClaims, Invalid> {
    let (issued_at, not_before, expires_at) = claims::times(members, &expected.token, now)?;
    for (path, value) in &expected.required {
        let said = path.find(members).ok_or(Invalid::Required)?;
        if !says(said, value) {
            return Err(Invalid::Required);
        }
    }
    Ok(ProviderClaims {
        subject: subject(members, &expected.subject_from)?,
        provider_subject: lasting_subject(members, &expected.link_from)?,
        sub: subject(members, &ClaimPath::new("sub"))?,
        verified_email: verified_email(members),
        cpf: members.get("cpf").and_then(Value::as_str).and_then(|cpf| Cpf::parse(cpf).ok()),
        audience: audience.into(),
        issued_at,
        not_before,
        expires_at,
        token_id: token_id(members)?,
        session: session(members)?,
        roles: roles(members, expected)?,
        scopes: scopes(members)?,
        second_factor: second_factor(members),
    })
}

/// Whether a claim is this value, or an array that contains it.
fn says(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Bool(flag) => (if *flag { "true" } else { "false" }) == value,
        Value::Number(number) => number.to_string() == value,
        Value::Array(values) => values.iter().any(|one| one.as_str() == Some(value)),
        Value::Null | Value::Object(_) => false,
    }
}

fn subject(members: &Members, path: &ClaimPath) -> Result<Subject, Invalid> {
    named(path.find(members).and_then(Value::as_str))
}

/// The first of several claims that is a non-empty string: access tokens and ID tokens may use different ones.
fn lasting_subject(members: &Members, paths: &[ClaimPath]) -> Result<Subject, Invalid> {
    let mut texts = paths.iter().filter_map(|path| path.find(members)?.as_str());
    named(texts.find(|text| !text.is_empty()))
}

fn named(text: Option<&str>) -> Result<Subject, Invalid> {
    let text = text.ok_or(Invalid::Subject)?;
    if is_of_service(text) {
        return Err(Invalid::Subject);
    }
    claims::subject(text)
}

fn token_id(members: &Members) -> Result<Option<Box<str>>, Invalid> {
    match (members.get("jti"), members.get("uti")) {
        (None, None) => Ok(None),
        (Some(id), _) | (None, Some(id)) => {
            let id = id.as_str().filter(|id| claims::is_token_id(id)).ok_or(Invalid::TokenId)?;
            Ok(Some(id.into()))
        }
    }
}

fn session(members: &Members) -> Result<Option<Box<str>>, Invalid> {
    let Some(value) = members.get("sid").or_else(|| members.get("session_id")) else {
        return Ok(None);
    };
    let fits = |id: &&str| {
        (1..=MAX_SESSION_LENGTH).contains(&id.len()) && !id.chars().any(char::is_control)
    };
    let id = value.as_str().filter(fits).ok_or(Invalid::Session)?;
    Ok(Some(id.into()))
}

/// The mapped roles. A name that is not mapped and not a valid role is ignored: directories have groups with
/// spaces in their names.
fn roles(members: &Members, expected: &ProviderExpectations) -> Result<Roles, Invalid> {
    let present = expected.roles_from.iter().find_map(|path| path.find(members));
    let names = match present {
        None => return Ok(Roles::none()),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => claims::strings(many).ok_or(Invalid::Roles)?,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(Invalid::Roles);
        }
    };
    let unmapped = |name: &str| {
        let kept = expected.keep_unmapped && name != ADMINISTRATOR;
        kept.then(|| Role::parse(name).ok()).flatten()
    };
    let role = |name: &str| expected.role_map.get(name).cloned().or_else(|| unmapped(name));
    Roles::new(names.into_iter().filter_map(role).collect()).map_err(|_| Invalid::Roles)
}

/// Scopes as one text with spaces, or as a list, as sent by Okta.
fn scopes(members: &Members) -> Result<Scopes, Invalid> {
    let said = match members.get("scope").or_else(|| members.get("scp")) {
        None => return Ok(Scopes::none()),
        Some(Value::String(list)) => Scopes::parse(list.split(' ').filter(|it| !it.is_empty())),
        Some(Value::Array(many)) => Scopes::parse(claims::strings(many).ok_or(Invalid::Scopes)?),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(Invalid::Scopes);
        }
    };
    said.map_err(|_| Invalid::Scopes)
}

fn verified_email(members: &Members) -> Option<EmailAddress> {
    let verified = members.get("email_verified") == Some(&Value::Bool(true));
    let email = members.get("email").and_then(Value::as_str).filter(|_| verified)?;
    EmailAddress::parse(email).ok()
}

fn second_factor(members: &Members) -> bool {
    let among = |methods: &Vec<Value>| methods.iter().any(|one| one.as_str() == Some("mfa"));
    let amr = members.get("amr").and_then(Value::as_array).is_some_and(among);
    amr || members.get("aal").and_then(Value::as_str) == Some("aal2")
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
