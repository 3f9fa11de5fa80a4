//! Verification of a provider's access tokens and ID tokens.
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

/// Longest session id of a provider, in bytes.
pub const MAX_SESSION_LENGTH: usize = 255;
/// Whoever has it administers this gateway: no provider gives it unless the operator says so.
const ADMINISTRATOR: &str = "Guarita.Admin";

/// Where a claim is: its name, or the names on the way to it, joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// That path.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// The claim, if it is there. A claim whose whole name has dots comes first.
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

/// What `typ` a provider's access tokens have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 section 2.1).
    AccessToken,
    /// `JWT`, or none.
    Jwt,
}

/// What a provider's token must say, and where it says what.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderExpectations {
    /// `iss`, `aud`, leeway, size.
    pub token: Expectations,
    /// `typ`; both are taken where nothing is said.
    pub token_type: Option<TokenType>,
    /// Claims that must be there with this value, or with it among others.
    pub required: Vec<(ClaimPath, Box<str>)>,
    /// Who it is to accounts: the first that is there as a text that is not empty.
    pub link_from: Vec<ClaimPath>,
    /// Who it is.
    pub subject_from: ClaimPath,
    /// The first that is there decides, empty too.
    pub roles_from: Vec<ClaimPath>,
    /// Its names to ours.
    pub role_map: HashMap<Box<str>, Role>,
    /// Whether names that are not in the map stay as they are.
    pub keep_unmapped: bool,
}

/// What a verified token of a provider says.
#[derive(Clone, Debug)]
pub struct ProviderClaims {
    /// Who it is, by the claim that was asked for.
    pub subject: Subject,
    /// The name of this person at the provider, for ever, by the claims that were asked for.
    pub provider_subject: Subject,
    /// `sub`
    pub sub: Subject,
    /// `email`, where `email_verified` is true.
    pub verified_email: Option<EmailAddress>,
    /// `cpf`, where it is one.
    pub cpf: Option<Cpf>,
    /// That of `aud` which was expected.
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
    /// What a token that says this can be revoked by.
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

    /// The id of the session of ours that hangs on the provider's: the same for every token of one person in
    /// one. A token that names none is a session of its own, by its `jti`, else by when it was issued.
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

/// The keys by which a provider's tokens are verified.
#[derive(Clone, Copy, Debug)]
pub struct ProviderKeys<'a> {
    /// Those it publishes.
    pub published: &'a KeySet,
    /// The HS256 secret that it shares with us.
    pub secret: Option<&'a VerifyingKey>,
}

impl ProviderKeys<'_> {
    /// Verifies size, form, header, signature and claims, in this order.
    ///
    /// # Errors
    /// Why it is not believed. [`Invalid::UnknownKey`] where fresh keys may help.
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

/// `iss` of a token, whoever wrote it: good for choosing who shall verify it.
pub fn unproven_issuer(token: &str, max_length: usize) -> Option<String> {
    let mut members = Signed::parse(token, max_length).ok()?.unproven_payload().ok()?;
    match members.remove("iss")? {
        Value::String(issuer) => Some(issuer),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// What an ID token says whose signature, issuer, audience and nonce were verified; by the same names as
/// access tokens. `azp`, where there is one, must be the client (OpenID Connect Core 1.0 section
/// 3.1.3.7).
///
/// # Errors
/// Why it is not believed after all.
pub fn read_id_token(
    token: &str,
    expected: &ProviderExpectations,
    client: &str,
    now: Timestamp,
) -> Result<ProviderClaims, Invalid> {
    let members = Signed::parse(token, expected.token.max_length)?.unproven_payload()?;
    if members.get("azp").is_some_and(|azp| azp.as_str() != Some(client)) {
        return Err(Invalid::Audience);
    }
    collect(&members, expected, client, now)
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

fn collect(
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

/// Whether a claim is that value, or an array that has it.
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

/// Of several claims the first that names anybody: a provider says it by one name here and by another there.
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

/// What its names mean here. A name that can be no role of ours, and is mapped to none, is left out:
/// directories have groups with spaces in their names.
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

/// One text with spaces, or a list, as Okta writes it.
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
