//! Completes a successful login: one transaction records it and opens a session.

use super::pending::PendingLogin;
use super::{LoginRejection, SessionKind, TokenError, Tokens, device, lockout};
use crate::grant::{RefreshRotation, TokenRequest};
use crate::login::logged_in::{IssuedCredential, LoggedIn};
use crate::login::request::LoginRequest;
use crate::snapshot::AuthSnapshot;
use guarita_core::jose::{opaque, session_cookie};
use guarita_core::{Roles, Secret, SessionId, Timestamp, UserId, random};
use guarita_kv::CapacityReached;
use guarita_store::{Counter, NewRefreshToken, NewSession, RecordedLogin, Transaction, User};
use {super::attempt::Login, super::attempt::TICKET_TTL};

/// Maximum length of the stored user agent, in bytes.
pub(super) const MAX_USER_AGENT: usize = 256;
/// Maximum number of active sessions per user; the oldest are revoked.
pub(super) const MAX_SESSIONS: i64 = 1_000;
/// Number of attempts per ticket.
const TICKET_ATTEMPTS: u32 = 5;

/// A session that was opened, before the access token is signed.
pub(super) struct EstablishedSession {
    pub(super) session: SessionId,
    refresh_token: Option<Secret>,
    pub(super) cookie: Option<Secret>,
    pub(super) displaced: Vec<SessionId>,
}

impl Login {
    /// Records the success and opens the session, or neither. If the account has a second factor that was not verified,
    /// only a ticket is created.
    pub(super) async fn finish(
        &self,
        mut transaction: Transaction,
        user: &User,
        held: PendingLogin,
        second_factor_at: Option<Timestamp>,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, LoginRejection>, TokenError> {
        let (verified, hash) = (&held.verified, &held.hash);
        let recorded = match &held.device {
            Some(device) => {
                let used = device::used(device, now);
                transaction.record_success_from(&used, verified, hash, now).await?
            }
            None => transaction.record_success(user.id, verified, hash, now).await?,
        };
        let Some(success) = recorded else {
            let device = held.device.as_ref().map(|device| device.digest.as_str());
            let counter = device.map_or(Counter::User(user.id), Counter::Device);
            return self.lost_race(transaction, counter, now).await.map(Err);
        };
        if success.has_factor && second_factor_at.is_none() {
            // What was recorded goes with it. A ticket may be kept in the same database, where one writes at a time.
            drop(transaction);
            return self.keep_pending(held, now).await.map(Err);
        }
        let RecordedLogin { roles, sessions, devices, .. } = success;
        let attempt = &held.visit;
        let opened =
            self.open(&mut transaction, user.id, attempt, sessions, second_factor_at, now).await?;
        let device = match (&held.device, attempt.opens) {
            (Some(_), _) => attempt.device.clone(),
            (None, SessionKind::Tokens | SessionKind::Cookie) => {
                Some(device::remember_device(&mut transaction, user.id, devices, now).await?)
            }
            (None, SessionKind::AccessToken) => None,
        };
        transaction.commit().await?;
        for session in &opened.displaced {
            self.registry.revoke(*session);
        }
        let (session, user_id) = (opened.session, user.id);
        let key = match opened.cookie {
            Some(cookie) => IssuedCredential::Cookie(cookie),
            // A signature may wait for its turn, and while a transaction is open nothing else is written.
            None => IssuedCredential::Tokens(
                self.sign(user, roles, opened, second_factor_at, snapshot, now).await?,
            ),
        };
        Ok(Ok(LoggedIn { session, user: user_id, key, device }))
    }

    async fn sign(
        &self,
        user: &User,
        roles: Roles,
        opened: EstablishedSession,
        second_factor_at: Option<Timestamp>,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Tokens, TokenError> {
        let expires_at = self.issuer.settings().access_ends(now, now);
        let request = TokenRequest {
            user,
            roles,
            session: opened.session,
            token_id: random::ordered_uuid().to_string(),
            issued_at: now,
            expires_at,
            second_factor_at,
        };
        let (access_token, half_proven) = self.issuer.issue(request, snapshot).await?;
        Ok(Tokens {
            access_token,
            refresh_token: opened.refresh_token,
            expires_in: now.until(expires_at),
            session: opened.session,
            user: user.id,
            half_proven,
        })
    }

    /// Stores the pending login until the second factor is verified.
    async fn keep_pending(
        &self,
        mut held: PendingLogin,
        now: Timestamp,
    ) -> Result<LoginRejection, TokenError> {
        if held.visit.opens == SessionKind::AccessToken {
            held.visit.opens = SessionKind::Tokens;
        }
        let ticket = random::token()?;
        Ok(match self.tickets.put(&ticket, held, TICKET_ATTEMPTS, TICKET_TTL, now).await {
            Ok(Ok(())) => LoginRejection::SecondFactorRequired { ticket },
            Ok(Err(CapacityReached)) => LoginRejection::Busy,
            Err(out_of_reach) => out_of_reach.into(),
        })
    }

    /// Whether the account was locked, disabled or got another password while the password was verified.
    pub(super) async fn lost_race(
        &self,
        mut transaction: Transaction,
        counter: Counter<'_>,
        now: Timestamp,
    ) -> Result<LoginRejection, TokenError> {
        let remaining = lockout::remaining(transaction.locked_until(counter).await?, now);
        Ok(remaining.map_or(LoginRejection::InvalidCredentials, |retry_after| {
            LoginRejection::Locked { retry_after }
        }))
    }

    /// Opens a session and revokes the oldest ones above the limit.
    pub(super) async fn open(
        &self,
        transaction: &mut Transaction,
        user: UserId,
        attempt: &LoginRequest,
        others: i64,
        second_factor_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<EstablishedSession, TokenError> {
        let settings = self.issuer.settings();
        let session = SessionId::new(random::ordered_uuid());
        let access_ends = settings.access_ends(now, now);
        let refresh_ends = settings.refresh_ends(now, now);
        let rotates = settings.refresh_rotation != RefreshRotation::Off;
        let (refreshable, cookie, expires_at) = match attempt.opens {
            SessionKind::Tokens if rotates => (true, None, access_ends.max(refresh_ends)),
            SessionKind::Tokens | SessionKind::AccessToken => (false, None, access_ends),
            SessionKind::Cookie => {
                let cookie = session_cookie::session_cookie(session, &random::token()?);
                (false, Some(cookie), self.settings.browser.ends(now, now))
            }
        };
        let new = NewSession {
            id: session,
            user,
            expires_at,
            address: attempt.address,
            user_agent: attempt.user_agent.as_deref().map(bounded),
            second_factor_at,
            cookie_digest: cookie.as_ref().map(|cookie| opaque::digest(cookie.expose())),
        };
        transaction.insert_session(&new, now).await?;
        let displaced = if others >= MAX_SESSIONS {
            transaction.revoke_oldest_sessions(user, MAX_SESSIONS, now).await?
        } else {
            Vec::new()
        };
        let mut refresh_token = None;
        if refreshable {
            let token = random::token()?;
            let new = NewRefreshToken {
                digest: &opaque::digest(token.expose()),
                session,
                family: &random::ordered_uuid().to_string(),
                expires_at: refresh_ends,
            };
            transaction.insert_refresh_token(&new, now).await?;
            refresh_token = Some(token);
        }
        Ok(EstablishedSession { session, refresh_token, cookie, displaced })
    }
}

/// The first 256 bytes, cut at a character boundary.
fn bounded(user_agent: &str) -> &str {
    let mut end = user_agent.len().min(MAX_USER_AGENT);
    while !user_agent.is_char_boundary(end) {
        end -= 1;
    }
    user_agent.get(..end).unwrap_or_default()
}
