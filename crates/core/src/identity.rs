//! The identity of an authenticated caller: subject, roles, session, and the source of the credential.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use super::{ApiKeyId, RevocationKeys, Scopes, SessionId, UserId};

/// Maximum number of roles of an identity.
pub const MAX_ROLES: usize = 256;
/// Up to this number, roles are searched linearly.
const FEW_ROLES: usize = 8;
/// Maximum length of the name of a role, in bytes.
pub const MAX_ROLE_LENGTH: usize = 128;
/// Maximum length of a subject, in bytes (OIDC Core section 2 allows 255).
pub const MAX_SUBJECT_LENGTH: usize = 255;

/// A value that cannot be part of an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// Empty, longer than 255 bytes, or with a control character.
    #[error("the subject is empty, longer than 255 bytes or has a control character")]
    Subject,
    /// Empty, longer than 128 bytes, or with a comma, a space or a control character.
    #[error(
        "a role is empty, longer than 128 bytes or has a comma, a space or a control character"
    )]
    Role,
    /// More than 256 roles.
    #[error("more than 256 roles")]
    TooManyRoles,
}

/// The subject of a token (`sub`), valid as a header value: 1 to 255 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Checks the bounds.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentity> {
        let fits = (1..=MAX_SUBJECT_LENGTH).contains(&text.len());
        if !fits || text.chars().any(char::is_control) {
            return Err(InvalidIdentity::Subject);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of one role: 1 to 128 bytes without comma, white space or control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Arc<str>);

impl Role {
    /// Checks the bounds.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentity> {
        let fits = (1..=MAX_ROLE_LENGTH).contains(&text.len());
        let clean = text
            .chars()
            .all(|letter| letter != ',' && !letter.is_whitespace() && !letter.is_control());
        if fits && clean { Ok(Self(text.into())) } else { Err(InvalidIdentity::Role) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Roles: sorted, unique, written joined by commas without spaces. The header value is created once,
/// here.
#[derive(Clone, Debug)]
pub struct Roles {
    names: Arc<[Role]>,
    header: HeaderValue,
}

impl Roles {
    /// No roles.
    pub fn none() -> Self {
        Self { names: Arc::new([]), header: HeaderValue::from_static("") }
    }

    /// Sorts the roles, removes duplicates and joins them. More than 256 are an error.
    pub fn new(mut names: Vec<Role>) -> Result<Self, InvalidIdentity> {
        names.sort_unstable();
        names.dedup();
        if names.len() > MAX_ROLES {
            return Err(InvalidIdentity::TooManyRoles);
        }
        let joined = names.iter().map(Role::as_str).collect::<Vec<_>>().join(",");
        let header = HeaderValue::try_from(joined).map_err(|_| InvalidIdentity::Role)?;
        Ok(Self { names: names.into(), header })
    }

    /// Parses each name; one invalid name is an error.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidIdentity> {
        Self::new(names.into_iter().map(Role::parse).collect::<Result<_, _>>()?)
    }

    /// Whether the role is among them.
    pub fn contains(&self, role: &Role) -> bool {
        if self.names.len() > FEW_ROLES {
            return self.names.binary_search(role).is_ok();
        }
        // The joined names are at hand: they are sent with the request. No name has a comma.
        let mut names = self.header.as_bytes().split(|octet| *octet == b',');
        names.any(|name| name == role.as_str().as_bytes())
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(Role::as_str)
    }

    /// Whether there are no roles.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names joined by commas, as a header value.
    pub const fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl PartialEq for Roles {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

/// Where an accepted credential came from (`x-auth-source`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A service API key.
    ApiKey,
    /// `Authorization: Bearer`.
    Bearer,
    /// A session cookie.
    Session,
}

impl Source {
    /// The name in headers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Bearer => "bearer",
            Self::Session => "session",
        }
    }
}

fn in_full(value: impl fmt::Display) -> String {
    value.to_string()
}

/// Header values that share one allocation: they are sent together, once per request.
fn side_by_side<const N: usize>(texts: [&[u8]; N]) -> Result<[HeaderValue; N], InvalidIdentity> {
    let whole = Bytes::from(texts.concat());
    let mut begin = 0;
    let mut values = texts.map(|_| HeaderValue::from_static(""));
    for (value, text) in values.iter_mut().zip(texts) {
        let end = begin + text.len();
        *value = HeaderValue::from_maybe_shared(whole.slice(begin..end))
            .map_err(|_| InvalidIdentity::Subject)?;
        begin = end;
    }
    Ok(values)
}

/// The verified identity of a caller, with the values of the identity headers. Created once per token and
/// shared by all requests that present it.
#[derive(Debug)]
pub struct Identity {
    subject: Subject,
    user: Option<UserId>,
    session: Option<SessionId>,
    roles: Roles,
    source: Source,
    token_id: Option<Box<str>>,
    subject_header: HeaderValue,
    user_header: Option<HeaderValue>,
    session_header: Option<HeaderValue>,
    second_factor: bool,
    of_provider: bool,
    provider_roles: bool,
    scopes: Scopes,
    api_key: Option<ApiKeyId>,
    marks: Option<Arc<RevocationKeys>>,
    record: OnceLock<Box<str>>,
}

impl Identity {
    /// Creates the identity and its header values.
    pub fn new(
        subject: Subject,
        user: Option<UserId>,
        session: Option<SessionId>,
        roles: Roles,
        source: Source,
        token_id: Option<&str>,
    ) -> Result<Self, InvalidIdentity> {
        let (user_text, session_text) = (user.map(in_full), session.map(in_full));
        let texts = [
            subject.as_str().as_bytes(),
            user_text.as_deref().unwrap_or_default().as_bytes(),
            session_text.as_deref().unwrap_or_default().as_bytes(),
            roles.header.as_bytes(),
        ];
        let [subject_header, user_header, session_header, roles_header] = side_by_side(texts)?;
        Ok(Self {
            subject_header,
            user_header: user.map(|_| user_header),
            session_header: session.map(|_| session_header),
            roles: Roles { header: roles_header, ..roles },
            subject,
            user,
            session,
            source,
            token_id: token_id.map(Into::into),
            second_factor: false,
            of_provider: false,
            provider_roles: false,
            scopes: Scopes::none(),
            api_key: None,
            marks: None,
            record: OnceLock::new(),
        })
    }

    /// Sets whether the credential states that a second factor was verified.
    #[must_use]
    pub fn with_second_factor(self, second_factor: bool) -> Self {
        Self { second_factor, ..self }
    }

    /// The same identity with the current roles and second factor.
    ///
    /// # Errors
    /// As [`Identity::new`]; cannot occur for an identity that was created.
    pub fn restated(&self, roles: Roles, second_factor: bool) -> Result<Self, InvalidIdentity> {
        let (subject, token_id) = (self.subject.clone(), self.token_id());
        let again = Self::new(subject, self.user, self.session, roles, self.source, token_id)?;
        Ok(Self {
            second_factor,
            of_provider: self.of_provider,
            provider_roles: self.provider_roles,
            scopes: self.scopes.clone(),
            api_key: self.api_key,
            marks: self.marks.clone(),
            ..again
        })
    }

    /// Marks the credential as issued by a provider.
    #[must_use]
    pub fn of_provider(self) -> Self {
        Self { of_provider: true, ..self }
    }

    /// Marks the roles as stated by a provider, so that those in the database do not replace them.
    #[must_use]
    pub fn with_provider_roles(self) -> Self {
        Self { provider_roles: true, ..self }
    }

    /// Whether the roles are those stated by a provider.
    pub const fn has_provider_roles(&self) -> bool {
        self.provider_roles
    }

    /// Whether a provider issued the credential.
    pub const fn is_of_provider(&self) -> bool {
        self.of_provider
    }

    /// Sets the scopes of the credential; the default is none.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// Sets the named API key that was presented.
    #[must_use]
    pub fn with_api_key(self, key: ApiKeyId) -> Self {
        Self { api_key: Some(key), ..self }
    }

    /// Sets the revocation keys of the provider token that was presented.
    #[must_use]
    pub fn with_marks(self, marks: Arc<RevocationKeys>) -> Self {
        Self { marks: Some(marks), ..self }
    }

    /// The subject.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }
    /// The local user, if there is one.
    pub const fn user(&self) -> Option<UserId> {
        self.user
    }
    /// The session, if there is one.
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }
    /// The roles as stated by the credential; see [`super::Principal::roles`] for the current ones.
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }
    /// Where the credential came from.
    pub const fn source(&self) -> Source {
        self.source
    }
    /// Whether the credential states that a second factor was verified; see
    /// [`super::Principal::second_factor`] for the current state.
    pub const fn second_factor(&self) -> bool {
        self.second_factor
    }
    /// The scopes of the credential.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }
    /// The named API key, if one was presented.
    pub const fn api_key(&self) -> Option<ApiKeyId> {
        self.api_key
    }
    /// The revocation keys of the credential, if a provider issued it.
    pub const fn marks(&self) -> Option<&Arc<RevocationKeys>> {
        self.marks.as_ref()
    }
    /// The token's `jti`, if there is one.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }
    /// The text recorded for each request of this identity: created by the first and cached.
    pub fn record(&self, make: impl FnOnce(&Self) -> Box<str>) -> &str {
        self.record.get_or_init(|| make(self))
    }
    /// The value of `sub`.
    pub const fn subject_header(&self) -> &HeaderValue {
        &self.subject_header
    }
    /// The value of `x-auth-uid`.
    pub const fn user_header(&self) -> Option<&HeaderValue> {
        self.user_header.as_ref()
    }
    /// The value of `x-auth-sid`.
    pub const fn session_header(&self) -> Option<&HeaderValue> {
        self.session_header.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_sorted_unique_and_joined_without_spaces() {
        let roles = Roles::parse(["b", "a", "b", "C"]).unwrap();
        assert_eq!(roles.header(), "C,a,b");
        assert!(roles.contains(&Role::parse("a").unwrap()));
        assert!(!roles.contains(&Role::parse("c").unwrap()));
        assert!(!Roles::none().contains(&Role::parse("c").unwrap()));
    }

    #[test]
    fn a_role_cannot_smuggle_another() {
        for name in ["", "a,admin", "a admin", "a\radmin", "a\u{0}", &"a".repeat(129)] {
            assert_eq!(Role::parse(name), Err(InvalidIdentity::Role), "{name:?}");
        }
    }

    #[test]
    fn a_subject_cannot_break_a_header() {
        for subject in ["", "a\r\nb: c", "a\u{7f}", &"a".repeat(256)] {
            assert!(Subject::parse(subject).is_err(), "{subject:?}");
        }
        assert!(Subject::parse("joão@example.test").is_ok());
    }
}
