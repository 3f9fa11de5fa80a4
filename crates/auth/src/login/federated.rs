//! Completes a login with a provider: opens a browser session for the linked account.

use std::net::IpAddr;

use super::attempt::{Login, LoginRequest};
use super::establish::MAX_SESSIONS;
use super::{Identifier, SessionKind, TokenError};
use crate::federation::link;
use crate::snapshot::provider::{Accounts, ProviderSettings};
use guarita_core::jose::ProviderClaims;
use guarita_core::{Secret, SessionId, Timestamp, UserId};

/// A session that a provider's word opened.
#[derive(Debug)]
pub struct FederatedSession {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
    /// What opens it.
    pub cookie: Secret,
    /// By what the account was linked, where it was just now.
    pub linked: Option<&'static str>,
}

impl Login {
    /// Links the account where it has no link yet, and opens a session, in one transaction. `None` where no
    /// account may be used: the provider's person is unknown here, or disabled.
    ///
    /// What the provider says of roles counts as long as the session does; where it says nothing, the account's
    /// roles do.
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
