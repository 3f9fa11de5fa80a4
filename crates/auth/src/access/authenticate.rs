//! Authentication of a request: the first valid credential determines the principal.

use std::net::IpAddr;
use std::sync::Arc;

use super::cookie_cache::{OpenedSession, OpenedSessions};
use super::token_cache::{Issuers, VerifiedTokens};
use super::verification::verify;
use super::verified_credential::VerifiedCredential;
use crate::api_key;
use crate::federation::AccountLinker;
use crate::session::{
    Redeemed, SessionCache, SessionStatus, StaleReadPolicy, StatusUnavailable, WsTickets,
};
use crate::snapshot::AuthSnapshot;
use crate::snapshot::{RequiredFactor, ServiceKey};
use guarita_core::http::{Credential, Credentials};
use guarita_core::{ApiKeyId, Identity, Principal, RevocationKeys, SessionId, Source, Timestamp};

/// The result of authentication.
#[derive(Clone, Debug)]
pub enum AuthenticationOutcome {
    /// No valid credential.
    Anonymous {
        /// Whether any was presented (the challenge then says `invalid_token`).
        presented: bool,
    },
    /// An invalid credential, with `credentials.on_invalid = "reject"`: rejected on every route.
    Rejected,
    /// The caller is authenticated.
    Proven(Principal),
    /// The caller is authenticated, but without the required second factor: it can only enrol one.
    HalfProven(Principal),
    /// The credential cannot be checked at present: access is denied.
    Unknowable,
    /// `mode = "off"`: not authenticated.
    Unjudged,
}

/// Authenticates requests: verifies tokens and checks the session registry on every request.
#[derive(Debug)]
pub struct Authenticator {
    registry: Arc<SessionCache>,
    verified: VerifiedTokens,
    /// A separate cache, because the same token may also be sent as a bearer, which needs no CSRF protection.
    verified_cookies: VerifiedTokens,
    opened: OpenedSessions,
    api_keys: Arc<api_key::ApiKeyCache>,
    tickets: Arc<WsTickets>,
    linking: AccountLinker,
}

/// The parts of the snapshot that authentication needs.
#[derive(Clone, Copy, Debug)]
struct AuthenticationContext<'a> {
    issuers: Issuers<'a>,
    service_key: Option<&'a ServiceKey>,
    reject_invalid: bool,
    required_factor: &'a RequiredFactor,
    now: Timestamp,
}

impl Authenticator {
    /// Creates it with the registry, browser sessions, named keys, WebSocket tickets and provider accounts, and an empty
    /// cache of at most `capacity` verified tokens.
    pub fn new(
        registry: Arc<SessionCache>,
        opened: OpenedSessions,
        api_keys: Arc<api_key::ApiKeyCache>,
        tickets: Arc<WsTickets>,
        linking: AccountLinker,
        capacity: usize,
    ) -> Self {
        Self {
            registry,
            verified: VerifiedTokens::new(capacity),
            verified_cookies: VerifiedTokens::new(capacity / 4),
            opened,
            api_keys,
            tickets,
            linking,
        }
    }

    /// The current expiry of a session; [`None`] if it has ended.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond.
    pub async fn session_end(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StatusUnavailable> {
        Ok(match self.registry.status(session, now).await? {
            SessionStatus::Active { expires_at, .. } => Some(expires_at),
            SessionStatus::Inactive => None,
        })
    }

    /// Whether a provider token with these revocation keys is not revoked, and a named key is still valid.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond.
    pub async fn still_stands(
        &self,
        marks: Option<&Arc<RevocationKeys>>,
        api_key: Option<ApiKeyId>,
        now: Timestamp,
    ) -> Result<bool, StatusUnavailable> {
        if let Some(marks) = marks
            && self.registry.is_token_revoked(None, Arc::clone(marks)).await?
        {
            return Ok(false);
        }
        match api_key {
            Some(key) => self.api_keys.is_live(key, now).await,
            None => Ok(true),
        }
    }

    /// Tries the credentials in order. `client` returns the client address, which is needed for API keys. With `leave`,
    /// stale session state may be used.
    pub async fn authenticate(
        &self,
        snapshot: &AuthSnapshot,
        candidates: &Credentials<'_>,
        client: impl Fn() -> IpAddr,
        leave: Option<&StaleReadPolicy>,
        now: Timestamp,
    ) -> AuthenticationOutcome {
        if snapshot.open {
            return AuthenticationOutcome::Unjudged;
        }
        let grounds = AuthenticationContext {
            issuers: Issuers {
                keyring: &snapshot.keyring,
                expectations: &snapshot.expectations,
                providers: &snapshot.providers,
            },
            service_key: snapshot.service_key.as_ref(),
            reject_invalid: snapshot.reject_invalid,
            required_factor: &snapshot.required_factor,
            now,
        };
        let standing = |session| self.registry.status_or_stale(leave, session, now);
        let revoked = |marks| self.registry.is_token_revoked(leave, marks);
        let open = |cookie| self.opened.open(cookie, now);
        let identify = |key| self.api_keys.identify(leave, key, client(), now);
        let known = KnownTokens {
            bearers: &self.verified,
            cookies: &self.verified_cookies,
            linking: &self.linking,
        };
        // Whatever becomes of the request, its ticket is used up.
        let redeemed = match candidates.ticket() {
            // Boxed: hardly any request brings one, and its size would be paid on every one.
            Some(ticket) => match Box::pin(self.tickets.redeem(ticket, now)).await {
                Ok(redeemed) => redeemed,
                Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
            },
            None => None,
        };
        try_each(known, grounds, candidates.iter(), redeemed, (standing, revoked), open, identify)
            .await
    }
}

/// The caches of verified tokens by source, and the accounts of provider tokens.
#[derive(Clone, Copy)]
struct KnownTokens<'a> {
    bearers: &'a VerifiedTokens,
    cookies: &'a VerifiedTokens,
    linking: &'a AccountLinker,
}

impl<'a> KnownTokens<'a> {
    const fn of(self, source: Source) -> &'a VerifiedTokens {
        match source {
            Source::Session => self.cookies,
            Source::Bearer | Source::ApiKey => self.bearers,
        }
    }
}

/// Tries the credentials until one is valid or decides the result.
async fn try_each<'a, Answer, Revoked, Opening, Identifying>(
    known: KnownTokens<'_>,
    grounds: AuthenticationContext<'_>,
    credentials: impl Iterator<Item = Credential<'a>>,
    mut redeemed: Option<Redeemed>,
    (standing, revoked): (impl Fn(SessionId) -> Answer, impl Fn(Arc<RevocationKeys>) -> Revoked),
    open: impl Fn(&'a str) -> Opening,
    identify: impl Fn(&'a str) -> Identifying,
) -> AuthenticationOutcome
where
    Answer: Future<Output = Result<SessionStatus, StatusUnavailable>>,
    Revoked: Future<Output = Result<bool, StatusUnavailable>>,
    Opening: Future<Output = Result<Option<Arc<OpenedSession>>, StatusUnavailable>>,
    Identifying: Future<Output = Result<Option<Arc<Identity>>, StatusUnavailable>>,
{
    let mut presented = false;
    for credential in credentials {
        presented = true;
        let proof = match credential {
            Credential::ApiKey(key) => match grounds.service_key.and_then(|it| it.identify(key)) {
                Some(identity) => {
                    return AuthenticationOutcome::Proven(Principal::new(Arc::clone(identity)));
                }
                None => match identify(key).await {
                    Ok(Some(identity)) => {
                        return AuthenticationOutcome::Proven(Principal::new(identity));
                    }
                    Ok(None) => None,
                    Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
                },
            },
            Credential::Bearer(token) => {
                match proof_of(known, grounds, token, Source::Bearer).await {
                    Ok(proof) => proof,
                    Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
                }
            }
            Credential::ProviderCookie(token) => {
                match proof_of(known, grounds, token.expose(), Source::Session).await {
                    Ok(proof) => proof,
                    Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
                }
            }
            // Boxed: most requests bring tokens, and its size would be paid on every one.
            Credential::Session(cookie) => match Box::pin(open(cookie)).await {
                Ok(session) => session.map(|session| session.proof()),
                Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
            },
            Credential::Ticket(_) => redeemed.take().map(|redeemed| VerifiedCredential {
                identity: redeemed.identity,
                session: Some(redeemed.session),
                as_of: redeemed.as_of,
                ends_at: redeemed.ends_at,
                ambient: false,
            }),
            Credential::Unusable => None,
        };
        if let Some(proof) = proof {
            match apply_status(proof, grounds.required_factor, &standing, &revoked).await {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(StatusUnavailable) => return AuthenticationOutcome::Unknowable,
            }
        }
        if grounds.reject_invalid {
            return AuthenticationOutcome::Rejected;
        }
    }
    AuthenticationOutcome::Anonymous { presented }
}

/// The result for a verified credential, by its session and revocations; [`None`] if it is no longer valid.
pub(super) async fn apply_status<Answer, Revoked>(
    proof: VerifiedCredential,
    required_factor: &RequiredFactor,
    standing: impl Fn(SessionId) -> Answer,
    revoked: impl Fn(Arc<RevocationKeys>) -> Revoked,
) -> Result<Option<AuthenticationOutcome>, StatusUnavailable>
where
    Answer: Future<Output = Result<SessionStatus, StatusUnavailable>>,
    Revoked: Future<Output = Result<bool, StatusUnavailable>>,
{
    if let Some(marks) = proof.identity.marks()
        && revoked(Arc::clone(marks)).await?
    {
        return Ok(None);
    }
    match proof.session {
        Some(session) => Ok(prove(proof, &standing(session).await?, required_factor)),
        None => Ok(Some(prove_alone(proof, required_factor))),
    }
}

/// The verified credential of a token: cached, or verified now.
async fn proof_of(
    known: KnownTokens<'_>,
    grounds: AuthenticationContext<'_>,
    token: &str,
    source: Source,
) -> Result<Option<VerifiedCredential>, StatusUnavailable> {
    if let Some(found) = known.of(source).find(token, grounds.issuers, grounds.now) {
        return Ok(Some(found.proof()));
    }
    // Boxed: most tokens are known, and its size would be paid on every request.
    let fresh = verify(known.linking, grounds.issuers, token, source, grounds.now);
    let fresh = Box::pin(fresh).await?;
    Ok(fresh.map(|fresh| {
        let fresh = Arc::new(fresh);
        known.of(source).insert(token, Arc::clone(&fresh));
        fresh.proof()
    }))
}

/// The caller of a provider token without a local account or session.
fn prove_alone(
    proof: VerifiedCredential,
    required_factor: &RequiredFactor,
) -> AuthenticationOutcome {
    let principal = Principal::new(Arc::clone(&proof.identity));
    conclude(principal, &proof, required_factor, false)
}

/// The result for a known caller; `demanded` if a second factor is required independently of the roles.
fn conclude(
    principal: Principal,
    proof: &VerifiedCredential,
    required_factor: &RequiredFactor,
    demanded: bool,
) -> AuthenticationOutcome {
    let principal = principal.ending_at(proof.ends_at);
    let principal = if proof.ambient { principal } else { principal.deliberate() };
    let demanded = required_factor.is_demanded(principal.roles(), demanded);
    if demanded && !principal.second_factor() {
        AuthenticationOutcome::HalfProven(principal)
    } else {
        AuthenticationOutcome::Proven(principal)
    }
}

/// The caller, if the session is active and belongs to the user of the credential. A credential that is not newer
/// than the last change of roles has stale roles, and one without roles may have been issued before the second factor
/// was verified: then the roles in the database are used.
fn prove(
    proof: VerifiedCredential,
    standing: &SessionStatus,
    required_factor: &RequiredFactor,
) -> Option<AuthenticationOutcome> {
    let (user, second_factor) = match standing {
        SessionStatus::Active { user, second_factor, .. } => (user, *second_factor),
        SessionStatus::Inactive => return None,
    };
    let identity = &proof.identity;
    if identity.user() != Some(user.user) {
        return None;
    }
    // What a provider says of roles is not in our store.
    let stale = proof.as_of <= user.roles_changed_at && !identity.has_provider_roles();
    let identity = Arc::clone(identity);
    let principal = if stale || identity.roles().is_empty() {
        Principal::with_current_roles(identity, user.roles.clone())
    } else {
        Principal::new(identity)
    };
    let principal = principal.with_second_factor(second_factor);
    // Roles in the store may be granted beside those that a provider says.
    let demanded = required_factor.is_demanded(&user.roles, user.second_factor_required);
    Some(conclude(principal, &proof, required_factor, demanded))
}

#[cfg(test)]
mod tests;
