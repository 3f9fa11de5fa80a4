//! The judge: the first candidate that holds is the principal.

use std::net::IpAddr;
use std::sync::Arc;

use super::opened::{OpenedSession, OpenedSessions};
use super::proof::Proof;
use super::verified::{Issuers, VerifiedToken, VerifiedTokens};
use crate::live::provider::Unverified;
use crate::live::{Provider, RequiredFactor, ServiceKey, Snapshot};
use crate::model::{Identity, Principal, SessionId, Source, Timestamp};
use crate::rules::request::{Candidates, Credential};
use crate::rules::token::{Invalid, unproven_issuer};
use crate::services::api_key;
use crate::services::federation::Linking;
use crate::services::session::{Redeemed, Registry, Standing, Tickets, Unknowable};

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
        Ok(match self.registry.standing(session, now).await? {
            Standing::Active { expires_at, .. } => Some(expires_at),
            Standing::Inactive => None,
        })
    }

    /// Tries the candidates in order. `client` says the caller's address, as limits and logs know it, where
    /// an API key is asked for it.
    pub async fn judge(
        &self,
        snapshot: &Snapshot,
        candidates: &Candidates<'_>,
        client: impl Fn() -> IpAddr,
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
        let standing = |session| self.registry.standing(session, now);
        let open = |cookie| self.opened.open(cookie, now);
        let identify = |key| self.api_keys.identify(key, client(), now);
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
        try_each(known, grounds, candidates.iter(), redeemed, standing, open, identify).await
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
async fn try_each<'a, Answer, Opening, Identifying>(
    known: Known<'_>,
    grounds: Grounds<'_>,
    credentials: impl Iterator<Item = Credential<'a>>,
    mut redeemed: Option<Redeemed>,
    standing: impl Fn(SessionId) -> Answer,
    open: impl Fn(&'a str) -> Opening,
    identify: impl Fn(&'a str) -> Identifying,
) -> Verdict
where
    Answer: Future<Output = Result<Standing, Unknowable>>,
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
            let verdict = match proof.session {
                Some(session) => match standing(session).await {
                    Ok(standing) => prove(proof, &standing, grounds.required_factor),
                    Err(Unknowable) => return Verdict::Unknowable,
                },
                None => Some(prove_alone(proof, grounds.required_factor)),
            };
            if let Some(verdict) = verdict {
                return verdict;
            }
        }
        if grounds.reject_invalid {
            return Verdict::Rejected;
        }
    }
    Verdict::Anonymous { presented }
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
    let fresh = Box::pin(verify(known.linking, grounds, token, source)).await?;
    Ok(fresh.map(|fresh| {
        let fresh = Arc::new(fresh);
        known.of(source).remember(token, Arc::clone(&fresh));
        fresh.proof()
    }))
}

/// Verifies a token by the keys of whom it says to be of. In a cookie only those of providers come whose
/// libraries have cookies. Why a bad one is bad goes to the log only.
async fn verify(
    linking: &Linking,
    grounds: Grounds<'_>,
    token: &str,
    source: Source,
) -> Result<Option<VerifiedToken>, Unknowable> {
    let Grounds { issuers, now, .. } = grounds;
    let of_cookie = source == Source::Session;
    match provider_of(issuers, token) {
        Some(provider) if !of_cookie || provider.settings().cookie_name.is_some() => {
            verify_foreign(linking, provider, token, source, now).await
        }
        None if !of_cookie => Ok(verify_own(issuers, token, source, now)),
        Some(_) | None => Ok(None),
    }
}

fn verify_own(
    issuers: Issuers<'_>,
    token: &str,
    source: Source,
    now: Timestamp,
) -> Option<VerifiedToken> {
    let Issuers { keyring, expectations, .. } = issuers;
    match keyring.verify(token, expectations, now) {
        Ok(claims) => VerifiedToken::new(claims, source, keyring, expectations).ok(),
        Err(reason) => {
            tracing::debug!(reason = reason.as_str(), "a token was refused");
            None
        }
    }
}

/// Who says of itself to have issued a token, if it is a provider. Its keys decide.
fn provider_of<'a>(issuers: Issuers<'a>, token: &str) -> Option<&'a Arc<Provider>> {
    if issuers.providers.is_empty() {
        return None;
    }
    let issuer = unproven_issuer(token, issuers.expectations.max_length)?;
    issuers.providers.of_issuer(&issuer)
}

/// By the provider's keys; where they lack the one that is named, once more by fresh ones.
async fn verify_foreign(
    linking: &Linking,
    provider: &Arc<Provider>,
    token: &str,
    source: Source,
    now: Timestamp,
) -> Result<Option<VerifiedToken>, Unknowable> {
    let before = provider.fingerprint();
    let mut told = provider.verify(token, now);
    let lacks_key =
        matches!(told, Err(Unverified::Unknowable | Unverified::Invalid(Invalid::UnknownKey)));
    if lacks_key && provider.renewed(before).await {
        told = provider.verify(token, now);
    }
    match told {
        Ok((claims, fingerprint)) => {
            let settings = provider.settings();
            let admitted = match &settings.accounts {
                None => None,
                Some(accounts) => match linking.admit(settings, accounts, &claims, now).await? {
                    Some(admitted) => Some(admitted),
                    None => return Ok(None),
                },
            };
            Ok(VerifiedToken::foreign(claims, admitted, source, provider, fingerprint).ok())
        }
        Err(Unverified::Unknowable) => Err(Unknowable),
        Err(Unverified::Invalid(reason)) => {
            let provider = &*provider.settings().name;
            tracing::debug!(provider, reason = reason.as_str(), "a provider's token was refused");
            Ok(None)
        }
    }
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
pub(super) fn prove(
    proof: Proof,
    standing: &Standing,
    required_factor: &RequiredFactor,
) -> Option<Verdict> {
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
