//! Authentication of a request: the first valid credential determines the principal.

use std::net::IpAddr;
use std::sync::Arc;

use super::opened::{OpenedSession, OpenedSessions};
use super::proof::Proof;
use super::verification::verify;
use super::verified::{Issuers, VerifiedTokens};
use crate::live::{RequiredFactor, ServiceKey, Snapshot};
use crate::model::{ApiKeyId, Identity, Principal, SessionId, Source, Timestamp, TokenMarks};
use crate::rules::request::{Candidates, Credential};
use crate::services::api_key;
use crate::services::federation::Linking;
use crate::services::session::{Leave, Redeemed, Registry, Standing, Tickets, Unknowable};

/// What the judge found.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// No credential that counts.
    Anonymous {
        /// Whether any was presented (the challenge then says `invalid_token`).
        presented: bool,
    },
    /// A bad credential, where `credentials.on_invalid = "reject"`: refused on every route.
    Rejected,
    /// The caller is proven.
    Proven(Principal),
    /// The caller is proven but for the second factor that is demanded of it: it may enrol one, and
    /// nothing else.
    HalfProven(Principal),
    /// Neither memory nor store can say: nobody passes.
    Unknowable,
    /// `mode = "off"`: nobody was asked.
    Unjudged,
}

/// Verifies tokens and asks the session registry on every request.
#[derive(Debug)]
pub struct Judge {
    registry: Arc<Registry>,
    verified: VerifiedTokens,
    /// Apart: the same token may have come as a bearer, which is never sent by accident.
    verified_cookies: VerifiedTokens,
    opened: OpenedSessions,
    api_keys: Arc<api_key::Registry>,
    tickets: Arc<Tickets>,
    linking: Linking,
}

/// What the judge goes by; a part of the snapshot.
#[derive(Clone, Copy, Debug)]
struct Grounds<'a> {
    issuers: Issuers<'a>,
    service_key: Option<&'a ServiceKey>,
    reject_invalid: bool,
    required_factor: &'a RequiredFactor,
    now: Timestamp,
}

impl Judge {
    /// A judge over the registry, the sessions of browsers, the named keys, the tickets of WebSockets and the
    /// accounts of providers' people, with an empty cache of at most `capacity` verified tokens.
    pub fn new(
        registry: Arc<Registry>,
        opened: OpenedSessions,
        api_keys: Arc<api_key::Registry>,
        tickets: Arc<Tickets>,
        linking: Linking,
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

    /// Until when a session is in force, as it stands now; `None` where it is over.
    ///
    /// # Errors
    /// [`Unknowable`] where neither memory nor the store can say.
    pub async fn session_end(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unknowable> {
        Ok(match self.registry.status(session, now).await? {
            Standing::Active { expires_at, .. } => Some(expires_at),
            Standing::Inactive => None,
        })
    }

    /// Whether a provider's token with these marks is not revoked, and a named key counts, as they stand now.
    ///
    /// # Errors
    /// [`Unknowable`] where neither memory nor the store can say.
    pub async fn still_stands(
        &self,
        marks: Option<&Arc<TokenMarks>>,
        api_key: Option<ApiKeyId>,
        now: Timestamp,
    ) -> Result<bool, Unknowable> {
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

    /// Tries the candidates in order. `client` says the caller's address, as limits and logs know it, where
    /// an API key is asked for it. With a leave, what cannot be known may be as it was last known.
    pub async fn authenticate(
        &self,
        snapshot: &Snapshot,
        candidates: &Candidates<'_>,
        client: impl Fn() -> IpAddr,
        leave: Option<&Leave>,
        now: Timestamp,
    ) -> Verdict {
        if snapshot.open {
            return Verdict::Unjudged;
        }
        let grounds = Grounds {
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
        let known = Known {
            bearers: &self.verified,
            cookies: &self.verified_cookies,
            linking: &self.linking,
        };
        // Whatever becomes of the request, its ticket is used up.
        let redeemed = match candidates.ticket() {
            // Boxed: hardly any request brings one, and its size would be paid on every one.
            Some(ticket) => match Box::pin(self.tickets.redeem(ticket, now)).await {
                Ok(redeemed) => redeemed,
                Err(Unknowable) => return Verdict::Unknowable,
            },
            None => None,
        };
        try_each(known, grounds, candidates.iter(), redeemed, (standing, revoked), open, identify)
            .await
    }
}

/// Tokens that were verified before, by where they came from, and the accounts behind those of
/// providers.
#[derive(Clone, Copy)]
struct Known<'a> {
    bearers: &'a VerifiedTokens,
    cookies: &'a VerifiedTokens,
    linking: &'a Linking,
}

impl<'a> Known<'a> {
    const fn of(self, source: Source) -> &'a VerifiedTokens {
        match source {
            Source::Session => self.cookies,
            Source::Bearer | Source::ApiKey => self.bearers,
        }
    }
}

/// Goes through the credentials until one holds, or until one decides otherwise.
async fn try_each<'a, Answer, Revoked, Opening, Identifying>(
    known: Known<'_>,
    grounds: Grounds<'_>,
    credentials: impl Iterator<Item = Credential<'a>>,
    mut redeemed: Option<Redeemed>,
    (standing, revoked): (impl Fn(SessionId) -> Answer, impl Fn(Arc<TokenMarks>) -> Revoked),
    open: impl Fn(&'a str) -> Opening,
    identify: impl Fn(&'a str) -> Identifying,
) -> Verdict
where
    Answer: Future<Output = Result<Standing, Unknowable>>,
    Revoked: Future<Output = Result<bool, Unknowable>>,
    Opening: Future<Output = Result<Option<Arc<OpenedSession>>, Unknowable>>,
    Identifying: Future<Output = Result<Option<Arc<Identity>>, Unknowable>>,
{
    let mut presented = false;
    for credential in credentials {
        presented = true;
        let proof = match credential {
            Credential::ApiKey(key) => match grounds.service_key.and_then(|it| it.identify(key)) {
                Some(identity) => return Verdict::Proven(Principal::new(Arc::clone(identity))),
                None => match identify(key).await {
                    Ok(Some(identity)) => return Verdict::Proven(Principal::new(identity)),
                    Ok(None) => None,
                    Err(Unknowable) => return Verdict::Unknowable,
                },
            },
            Credential::Bearer(token) => {
                match proof_of(known, grounds, token, Source::Bearer).await {
                    Ok(proof) => proof,
                    Err(Unknowable) => return Verdict::Unknowable,
                }
            }
            Credential::ProviderCookie(token) => {
                match proof_of(known, grounds, token.expose(), Source::Session).await {
                    Ok(proof) => proof,
                    Err(Unknowable) => return Verdict::Unknowable,
                }
            }
            // Boxed: most requests bring tokens, and its size would be paid on every one.
            Credential::Session(cookie) => match Box::pin(open(cookie)).await {
                Ok(session) => session.map(|session| session.proof()),
                Err(Unknowable) => return Verdict::Unknowable,
            },
            Credential::Ticket(_) => redeemed.take().map(|redeemed| Proof {
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
                Err(Unknowable) => return Verdict::Unknowable,
            }
        }
        if grounds.reject_invalid {
            return Verdict::Rejected;
        }
    }
    Verdict::Anonymous { presented }
}

/// What a proof comes to now, by how its session stands and what was revoked; `None` where it counts no more.
pub(super) async fn apply_status<Answer, Revoked>(
    proof: Proof,
    required_factor: &RequiredFactor,
    standing: impl Fn(SessionId) -> Answer,
    revoked: impl Fn(Arc<TokenMarks>) -> Revoked,
) -> Result<Option<Verdict>, Unknowable>
where
    Answer: Future<Output = Result<Standing, Unknowable>>,
    Revoked: Future<Output = Result<bool, Unknowable>>,
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

/// What a token proves: out of the cache, else verified now and remembered.
async fn proof_of(
    known: Known<'_>,
    grounds: Grounds<'_>,
    token: &str,
    source: Source,
) -> Result<Option<Proof>, Unknowable> {
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

/// The caller whom a provider's token names: its session is not ours, and no account is.
fn prove_alone(proof: Proof, required_factor: &RequiredFactor) -> Verdict {
    let principal = Principal::new(Arc::clone(&proof.identity));
    conclude(principal, &proof, required_factor, false)
}

/// The verdict on a caller who is known; `demanded` where a second factor is, whatever it says of roles.
fn conclude(
    principal: Principal,
    proof: &Proof,
    required_factor: &RequiredFactor,
    demanded: bool,
) -> Verdict {
    let principal = principal.ending_at(proof.ends_at);
    let principal = if proof.ambient { principal } else { principal.deliberate() };
    let demanded = required_factor.is_demanded(principal.roles(), demanded);
    if demanded && !principal.second_factor() {
        Verdict::HalfProven(principal)
    } else {
        Verdict::Proven(principal)
    }
}

/// The caller, if the session is active and its user is the one the credential names. One that
/// is not younger than the last change of roles carries stale ones, and one without any may have
/// been issued before the second factor: those in the store count.
fn prove(proof: Proof, standing: &Standing, required_factor: &RequiredFactor) -> Option<Verdict> {
    let (user, second_factor) = match standing {
        Standing::Active { user, second_factor, .. } => (user, *second_factor),
        Standing::Inactive => return None,
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
