//! The judge: the first candidate that holds is the principal.

use std::sync::Arc;

use super::opened::{OpenedSession, OpenedSessions};
use super::proof::Proof;
use super::verified::{VerifiedToken, VerifiedTokens};
use crate::live::{RequiredFactor, ServiceKey, Snapshot};
use crate::model::{Principal, SessionId, Source, Timestamp};
use crate::rules::request::{Candidates, Credential};
use crate::rules::token::{Expectations, Keyring};
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
    opened: OpenedSessions,
    tickets: Arc<Tickets>,
}

/// What the judge goes by; a part of the snapshot.
#[derive(Clone, Copy, Debug)]
struct Grounds<'a> {
    keyring: &'a Keyring,
    expectations: &'a Expectations,
    service_key: Option<&'a ServiceKey>,
    reject_invalid: bool,
    required_factor: &'a RequiredFactor,
    now: Timestamp,
}

impl Judge {
    /// A judge over the registry, the sessions of browsers and the tickets of WebSockets, with an empty
    /// cache of at most `capacity` verified tokens.
    pub fn new(
        registry: Arc<Registry>,
        opened: OpenedSessions,
        tickets: Arc<Tickets>,
        capacity: usize,
    ) -> Self {
        Self { registry, verified: VerifiedTokens::new(capacity), opened, tickets }
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

    /// Tries the candidates in order.
    pub async fn judge(
        &self,
        snapshot: &Snapshot,
        candidates: &Candidates<'_>,
        now: Timestamp,
    ) -> Verdict {
        if snapshot.open {
            return Verdict::Unjudged;
        }
        let grounds = Grounds {
            keyring: &snapshot.keyring,
            expectations: &snapshot.expectations,
            service_key: snapshot.service_key.as_ref(),
            reject_invalid: snapshot.reject_invalid,
            required_factor: &snapshot.required_factor,
            now,
        };
        let standing = |session| self.registry.standing(session, now);
        let open = |cookie| self.opened.open(cookie, now);
        // Whatever becomes of the request, its ticket is used up.
        let redeemed = candidates.ticket().and_then(|ticket| self.tickets.redeem(ticket, now));
        try_each(&self.verified, grounds, candidates.iter(), redeemed, standing, open).await
    }
}

/// Goes through the credentials until one holds, or until one decides otherwise.
async fn try_each<'a, Answer, Opening>(
    verified: &VerifiedTokens,
    grounds: Grounds<'_>,
    credentials: impl Iterator<Item = Credential<'a>>,
    mut redeemed: Option<Redeemed>,
    standing: impl Fn(SessionId) -> Answer,
    open: impl Fn(&'a str) -> Opening,
) -> Verdict
where
    Answer: Future<Output = Result<Standing, Unknowable>>,
    Opening: Future<Output = Result<Option<Arc<OpenedSession>>, Unknowable>>,
{
    let mut presented = false;
    for credential in credentials {
        presented = true;
        let proof = match credential {
            Credential::ApiKey(key) => match grounds.service_key.and_then(|it| it.identify(key)) {
                Some(identity) => return Verdict::Proven(Principal::new(Arc::clone(identity))),
                None => None,
            },
            Credential::Bearer(token) => {
                verify(verified, grounds, token, Source::Bearer).map(|token| token.proof())
            }
            // Boxed: most requests bring tokens, and its size would be paid on every one.
            Credential::Session(cookie) => match Box::pin(open(cookie)).await {
                Ok(session) => session.map(|session| session.proof()),
                Err(Unknowable) => return Verdict::Unknowable,
            },
            Credential::Ticket(_) => redeemed.take().map(|redeemed| Proof {
                identity: redeemed.identity,
                session: redeemed.session,
                as_of: redeemed.as_of,
                ends_at: redeemed.ends_at,
                ambient: false,
            }),
            Credential::Unusable => None,
        };
        if let Some(proof) = proof {
            let Ok(standing) = standing(proof.session).await else {
                return Verdict::Unknowable;
            };
            if let Some(verdict) = prove(proof, &standing, grounds.required_factor) {
                return verdict;
            }
        }
        if grounds.reject_invalid {
            return Verdict::Rejected;
        }
    }
    Verdict::Anonymous { presented }
}

/// The token out of the cache, else verified now and remembered. Why a bad one is bad goes to the
/// log only.
fn verify(
    verified: &VerifiedTokens,
    grounds: Grounds<'_>,
    token: &str,
    source: Source,
) -> Option<Arc<VerifiedToken>> {
    let Grounds { keyring, expectations, now, .. } = grounds;
    if let Some(known) = verified.find(token, keyring, expectations, now) {
        return Some(known);
    }
    let claims = match keyring.verify(token, expectations, now) {
        Ok(claims) => claims,
        Err(reason) => {
            tracing::debug!(reason = reason.as_str(), "a token was refused");
            return None;
        }
    };
    let fresh = Arc::new(VerifiedToken::new(claims, source, keyring, expectations).ok()?);
    verified.remember(token, Arc::clone(&fresh));
    Some(fresh)
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
    let Proof { identity, session: _, as_of, ends_at, ambient } = proof;
    if identity.user() != Some(user.user) {
        return None;
    }
    let principal = if as_of <= user.roles_changed_at || identity.roles().is_empty() {
        Principal::with_current_roles(identity, user.roles.clone())
    } else {
        Principal::new(identity)
    };
    let principal = principal.with_second_factor(second_factor).ending_at(ends_at);
    let principal = if ambient { principal } else { principal.deliberate() };
    let demanded = required_factor.is_demanded(&user.roles, user.second_factor_required);
    Some(if demanded && !principal.second_factor() {
        Verdict::HalfProven(principal)
    } else {
        Verdict::Proven(principal)
    })
}

#[cfg(test)]
mod tests;
