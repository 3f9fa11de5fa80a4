//! Links provider subjects with local accounts, and provider sessions with local sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::session::StatusUnavailable;
use crate::snapshot::provider::{Accounts, ProviderSettings};
use guarita_core::jose::ProviderClaims;
use guarita_core::{EmailAddress, Secret, SessionId, Subject, Timestamp, UserId};
use guarita_store::users::NO_PASSWORD;
use guarita_store::{NewSession, NewUser, Store, StoreError, Transaction, User};
use guarita_telemetry::{Audit, Event, Name};

/// Questions to the store at once: whoever floods with tokens keeps no more of it busy.
const CONCURRENCY: usize = 4;
/// Live sessions per account; the oldest are revoked.
const MAX_SESSIONS: i64 = 1_000;
/// How long an ended session of a provider is remembered: longer than any refresh of it goes on.
const KEEP_ENDED: Duration = Duration::from_secs(400 * 86_400);
/// Longest wait for a turn and for the answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An account that a provider's token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// The account.
    pub user: UserId,
    /// Its name.
    pub username: Subject,
    /// The session.
    pub session: SessionId,
}

/// Finds accounts for provider's subjects, links them and begins their sessions. A clone shares its turns.
#[derive(Clone, Debug)]
pub struct AccountLinker {
    store: Store,
    audit: Audit,
    turns: Arc<Semaphore>,
}

impl AccountLinker {
    /// Over the store.
    pub fn new(store: Store, audit: Audit) -> Self {
        Self { store, audit, turns: Arc::new(Semaphore::new(CONCURRENCY)) }
    }

    /// The account of verified claims, with its session, which begins with the first token. `None` for
    /// an account that is unknown or disabled, and for a session that is over.
    ///
    /// # Errors
    /// [`StatusUnavailable`] where the store does not say within 2 s.
    pub async fn link(
        &self,
        settings: &ProviderSettings,
        accounts: &Accounts,
        claims: &ProviderClaims,
        now: Timestamp,
    ) -> Result<Option<LinkedAccount>, StatusUnavailable> {
        let answer = timeout(WAIT_TIMEOUT, async {
            let _turn = self.turns.acquire().await.map_err(|_| StatusUnavailable)?;
            self.find_or_begin(settings, accounts, claims, now).await.map_err(|fault| {
                tracing::error!(error = %fault, "looking up the account of a provider's token failed");
                StatusUnavailable
            })
        });
        answer.await.unwrap_or(Err(StatusUnavailable))
    }

    async fn find_or_begin(
        &self,
        settings: &ProviderSettings,
        accounts: &Accounts,
        claims: &ProviderClaims,
        now: Timestamp,
    ) -> Result<Option<LinkedAccount>, StoreError> {
        let issuer = &*settings.expected.token.issuer;
        let session = claims.session_id(issuer);
        if let Some(found) = find(&mut self.store.read().await?, session, now).await? {
            return Ok(found);
        }
        // Who is refused anyway does not keep the one writer busy.
        if !may_link(&mut self.store.read().await?, issuer, accounts, claims).await? {
            return Ok(None);
        }
        let mut transaction = self.store.begin_write().await?;
        let found = link(&mut transaction, issuer, accounts, claims, now).await?;
        let Some((user, linked)) = found.filter(|(user, _)| may_begin(user, claims)) else {
            return Ok(None);
        };
        // What names no session lives as long as the token.
        let of_token = claims.session.is_none();
        let ttl = now.plus(accounts.session_ttl);
        let new = NewSession {
            id: session,
            user: user.id,
            expires_at: if of_token { claims.expires_at } else { ttl },
            address: None,
            user_agent: None,
            second_factor_at: claims.second_factor.then_some(claims.issued_at),
            cookie_digest: None,
        };
        // Its row outlives it: the provider's next token must not begin it anew.
        let keep = if of_token { claims.expires_at } else { ttl.plus(KEEP_ENDED) };
        transaction.insert_provider_session(&new, issuer, keep, now).await?;
        // The feed tells this node too which of them ended.
        transaction.revoke_oldest_sessions(user.id, MAX_SESSIONS, now).await?;
        // It may have been there already, and be over.
        let admitted = find(&mut transaction, session, now).await?.flatten();
        transaction.commit().await?;
        if let Some(how) = linked {
            let reason = Some(how);
            let event = Event {
                user: Some(user.id),
                session: Some(session),
                reason,
                ..Event::new(Name::ProviderLinked)
            };
            self.audit.record(&event, now);
        }
        Ok(admitted)
    }
}

/// What the store says of a session; the inner `None` where it is over, or not its user's any more.
async fn find(
    transaction: &mut Transaction,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<Option<LinkedAccount>>, StoreError> {
    let Some(found) = transaction.find_session(session).await? else { return Ok(None) };
    if !found.is_live(now) {
        return Ok(Some(None));
    }
    let user = transaction.find_user(found.user).await?.filter(|user| user.active);
    let admitted =
        user.map(|user| LinkedAccount { user: user.id, username: user.username, session });
    Ok(Some(admitted))
}

/// The account of a subject: by its link, else by what the operator allows; and, where it was linked just
/// now, by what.
pub async fn link(
    transaction: &mut Transaction,
    issuer: &str,
    accounts: &Accounts,
    claims: &ProviderClaims,
    now: Timestamp,
) -> Result<Option<(User, Option<&'static str>)>, StoreError> {
    let subject = claims.provider_subject.as_str();
    if let Some(linked) = transaction.find_provider_link(issuer, subject).await? {
        let user = transaction.find_user(linked).await?;
        return Ok(user.filter(|user| user.active).map(|user| (user, None)));
    }
    let auth_user = Uuid::try_parse(subject).ok();
    let (id, how) = match known(transaction, issuer, accounts, claims, auth_user).await? {
        Some(found) => found,
        None => match create(transaction, accounts, claims, now).await? {
            Some(created) => (created, "created"),
            None => return Ok(None),
        },
    };
    let Some(user) = transaction.find_user(id).await?.filter(|user| user.active) else {
        return Ok(None);
    };
    transaction.insert_provider_link(issuer, subject, id, now).await?;
    // Where it is not what accounts are found by, anybody's subject could be written there.
    if let Some(auth_user) = auth_user.filter(|_| accounts.by_auth_user) {
        transaction.fill_auth_user(id, auth_user).await?;
    }
    Ok(Some((user, Some(how))))
}

/// Whether a token may begin a session. All of the account's were revoked since it was issued: that nobody came
/// with it before does not save it. What came before has a session, and is not asked here.
fn may_begin(user: &User, claims: &ProviderClaims) -> bool {
    user.sessions_revoked_at.is_none_or(|revoked_at| claims.issued_at > revoked_at)
}

/// Whether there is an account for which the token may begin a session, or one could be made.
async fn may_link(
    transaction: &mut Transaction,
    issuer: &str,
    accounts: &Accounts,
    claims: &ProviderClaims,
) -> Result<bool, StoreError> {
    let subject = claims.provider_subject.as_str();
    let id = match transaction.find_provider_link(issuer, subject).await? {
        Some(linked) => Some(linked),
        None => {
            let auth_user = Uuid::try_parse(subject).ok();
            let found = known(transaction, issuer, accounts, claims, auth_user).await?;
            found.map(|(id, _)| id)
        }
    };
    match id {
        Some(id) => {
            let user = transaction.find_user(id).await?;
            Ok(user.is_some_and(|user| user.active && may_begin(&user, claims)))
        }
        None => Ok(accounts.create.is_some() && is_free(transaction, claims).await?),
    }
}

/// An account that is there already, by the first fact that the operator trusts.
async fn known(
    transaction: &mut Transaction,
    issuer: &str,
    accounts: &Accounts,
    claims: &ProviderClaims,
    auth_user: Option<Uuid>,
) -> Result<Option<(UserId, &'static str)>, StoreError> {
    if let Some(id) = auth_user.filter(|_| accounts.by_auth_user)
        && let Some(user) = transaction.find_user_by_auth_user(id).await?
    {
        return Ok(Some((user, "auth_user_id")));
    }
    if let Some(email) = claims.verified_email.as_ref().filter(|_| accounts.by_email)
        && let Some(user) = transaction.find_user_by_email(email.expose()).await?
        // An address that was never proven here may be anybody's.
        && user.email_verified_at.is_some()
        // An address is given to somebody else when its owner leaves; the account is not.
        && !transaction.is_linked(user.id, issuer).await?
    {
        return Ok(Some((user.id, "email")));
    }
    if let Some(cpf) = claims.cpf.as_ref().filter(|_| accounts.by_cpf)
        && let Some(user) = transaction.find_user_by_cpf(cpf).await?
        && !transaction.is_linked(user, issuer).await?
    {
        return Ok(Some((user, "cpf")));
    }
    Ok(None)
}

/// A new account without a password, named as the provider names it. None where that name is taken: it
/// is somebody else's.
async fn create(
    transaction: &mut Transaction,
    accounts: &Accounts,
    claims: &ProviderClaims,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let Some(roles) = &accounts.create else { return Ok(None) };
    if !is_free(transaction, claims).await? {
        tracing::warn!("a provider's subject has a reserved name and is rejected");
        return Ok(None);
    }
    let email = match &claims.verified_email {
        Some(email) => {
            let taken = transaction.find_user_by_email(email.expose()).await?.is_some();
            Some(email).filter(|_| !taken)
        }
        None => None,
    };
    let new = NewUser {
        username: &claims.subject,
        email: email.map(EmailAddress::expose),
        password_hash: &Secret::new(NO_PASSWORD),
    };
    let Some(id) = transaction.insert_user(&new, now).await? else { return Ok(None) };
    for role in roles {
        transaction.insert_role(id, role).await?;
    }
    if email.is_some() {
        transaction.mark_verified(id, now).await?;
    }
    Ok(Some(id))
}

/// Whether an account may be made under the subject's name: nobody has it, and it is not an address that
/// could be another's.
async fn is_free(
    transaction: &mut Transaction,
    claims: &ProviderClaims,
) -> Result<bool, StoreError> {
    let name = claims.subject.as_str();
    if name.contains('@') {
        let fold = EmailAddress::fold;
        let own = claims.verified_email.as_ref().map(|email| fold(email.expose()));
        if own != Some(fold(name)) || transaction.find_user_by_email(name).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(transaction.find_user_by_username(name).await?.is_none())
}

#[cfg(test)]
#[path = "linking_tests.rs"]
mod tests;
