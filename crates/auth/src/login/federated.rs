//! Completes a login with a provider: opens a browser session for the linked account.

use std::net::IpAddr;

use super::attempt::Login;
use super::establish::MAX_SESSIONS;
use super::{Identifier, SessionKind, TokenError};
use crate::federation::link;
use crate::login::request::LoginRequest;
use crate::snapshot::provider::{Accounts, ProviderSettings};
use guarita_core::jose::ProviderClaims;
use guarita_core::{Secret, SessionId, Timestamp, UserId};

/// A session opened by a login with a provider.
#[derive(Debug)]
pub struct FederatedSession {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The session cookie.
    pub cookie: Secret,
    /// How the account was linked, if it was linked now.
    pub linked: Option<&'static str>,
}

impl Login {
    /// Links the account if it is not linked yet, and opens a session, in one transaction. [`None`] if there is no
    /// usable account: the provider's user is unknown here, or disabled.
    ///
    /// Roles stated by the provider apply as long as the session lasts; if it states none, the account's roles apply.
    pub async fn open_federated_session(
        &self,
        provider: &ProviderSettings,
        accounts: &Accounts,
        claims: &ProviderClaims,
        visit: (Option<IpAddr>, Option<String>),
        now: Timestamp,
    ) -> Result<Option<FederatedSession>, TokenError> {
        let issuer = &*provider.expected.token.issuer;
        let mut transaction = self.store.begin_write().await?;
        let Some((user, linked)) = link(&mut transaction, issuer, accounts, claims, now).await?
        else {
            return Ok(None);
        };
        let (address, user_agent) = visit;
        let attempt = LoginRequest {
            identifier: Identifier::Username(String::new()),
            password: Secret::new(""),
            opens: SessionKind::Cookie,
            device: None,
            address,
            user_agent,
        };
        let second_factor_at = claims.second_factor.then_some(now);
        let opened = self
            .open(&mut transaction, user.id, &attempt, MAX_SESSIONS, second_factor_at, now)
            .await?;
        let Some(cookie) = opened.cookie else { return Ok(None) };
        transaction.set_session_issuer(opened.session, issuer).await?;
        if !claims.roles.is_empty() {
            transaction.set_session_roles(opened.session, &claims.roles).await?;
        }
        transaction.commit().await?;
        for session in opened.displaced {
            self.registry.revoke(session);
        }
        Ok(Some(FederatedSession { user: user.id, session: opened.session, cookie, linked }))
    }
}
