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
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::ProviderLinked;

/// Maximum number of concurrent database queries, so that a flood of tokens cannot occupy more connections.
const CONCURRENCY: usize = 4;
/// Maximum number of active sessions per account; the oldest are revoked.
const MAX_SESSIONS: i64 = 1_000;
/// How long an ended provider session is kept: longer than any of its tokens can be refreshed.
const KEEP_ENDED: Duration = Duration::from_secs(400 * 86_400);
/// Time-out of waiting for a query and its result.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// The local account of a provider token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// The account.
    pub user: UserId,
    /// Its name.
    pub username: Subject,
    /// The session.
    pub session: SessionId,
}

/// Finds and links the accounts of provider subjects, and opens their sessions. Clones share the limit of concurrent
/// queries.
#[derive(Clone, Debug)]
pub struct AccountLinker {
    store: Store,
    telemetry: Telemetry,
    turns: Arc<Semaphore>,
}

impl AccountLinker {
    /// Creates it with the store.
    pub fn new(store: Store, telemetry: Telemetry) -> Self {
        Self { store, telemetry, turns: Arc::new(Semaphore::new(CONCURRENCY)) }
    }

    /// The account of verified claims, with its session, which is opened by the first token. [`None`] if the
    /// account is unknown or disabled, or the session has ended.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if the database does not respond within 2 s.
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
            ProviderLinked { origin: None, user: user.id, session, how }.emit(&self.telemetry, now);
        }
        Ok(admitted)
    }
}

/// Looks up a session; the inner [`None`] if it has ended or belongs to another user.
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

/// The account of a subject: by its link, else by `link_by`. If it was linked now, also how.
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

/// Whether a token may open a session: not if all sessions of the account were revoked after it was issued, even if
/// it was not used before.
fn may_begin(user: &User, claims: &ProviderClaims) -> bool {
    user.sessions_revoked_at.is_none_or(|revoked_at| claims.issued_at > revoked_at)
}

/// Whether there is an account for which the token may open a session, or one can be created.
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

/// An existing account, by the first match of `link_by`.
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

/// A new account without a password, with the provider's subject as its name. [`None`] if the name is taken,
/// because then it belongs to somebody else.
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

/// Whether an account can be created with the subject as its name: the name is free, and is not an e-mail address
/// that could belong to somebody else.
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
