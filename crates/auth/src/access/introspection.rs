//! Token introspection (RFC 7662) and revocation (RFC 7009).

use super::authenticate::{AuthenticationOutcome, apply_status};
use super::token_cache::{Issuers, VerifiedToken};
use super::verification::{provider_of, stand_for, verify_foreign};
use crate::federation::AccountLinker;
use crate::session::{SessionCache, StatusUnavailable};
use crate::snapshot::AuthSnapshot;
use guarita_core::revocation_key::RevokedMark;
use guarita_core::{Principal, SessionId, Source, Timestamp};

/// Introspection by the same rules as the authentication of requests.
#[derive(Debug)]
pub struct Introspection {
    registry: SessionCache,
    linking: AccountLinker,
}

/// An active token.
#[derive(Debug)]
pub struct Active {
    /// `iss`
    pub issuer: Box<str>,
    /// The expected value of `aud`.
    pub audience: Box<str>,
    /// `iat`
    pub issued_at: Timestamp,
    /// `nbf`
    pub not_before: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`
    pub token_id: Option<Box<str>>,
    /// The local session, or the provider's if there is no local one.
    pub session: Option<Box<str>>,
    /// When a second factor was verified; the time of issue if a provider states only that one was.
    pub second_factor_at: Option<Timestamp>,
    /// The identity, with the current roles.
    pub principal: Principal,
}

/// What must be ended to revoke a token.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// A local session.
    Session(SessionId),
    /// The revocation keys of a provider token.
    Tokens(RevokedMark),
}

impl Introspection {
    /// Creates it with the registry of this node and the accounts of provider tokens.
    pub fn new(registry: SessionCache, linking: AccountLinker) -> Self {
        Self { registry, linking }
    }

    /// The access token, of Guarita or a provider, if it is active.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond.
    pub async fn introspect(
        &self,
        snapshot: &AuthSnapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Active>, StatusUnavailable> {
        let (keyring, expected) = (&snapshot.keyring, &snapshot.expectations);
        let Some(provider) = provider_of(issuers(snapshot), token) else {
            let Ok(claims) = keyring.verify(token, expected, now) else { return Ok(None) };
            let verified =
                VerifiedToken::new(claims.clone(), Source::Bearer, keyring, expected, now);
            let Ok(verified) = verified else { return Ok(None) };
            let principal = self.finish(snapshot, &verified, now).await?;
            return Ok(principal.map(|principal| Active {
                issuer: claims.issuer,
                audience: claims.audience,
                issued_at: claims.issued_at,
                not_before: claims.not_before,
                expires_at: claims.expires_at,
                token_id: Some(claims.token_id),
                session: Some(claims.session.to_string().into()),
                second_factor_at: claims.second_factor_at,
                principal,
            }));
        };
        let Some(said) = verify_foreign(provider, token, now).await? else { return Ok(None) };
        let claims = said.0.clone();
        let stands = stand_for(&self.linking, provider, said, Source::Bearer, now).await?;
        let Some(verified) = stands else { return Ok(None) };
        let principal = self.finish(snapshot, &verified, now).await?;
        Ok(principal.map(|principal| {
            let own = principal.identity().session().map(|own| own.to_string().into());
            Active {
                issuer: provider.issuer().into(),
                audience: claims.audience,
                issued_at: claims.issued_at,
                not_before: claims.not_before,
                expires_at: claims.expires_at,
                token_id: claims.token_id,
                session: own.or(claims.session),
                second_factor_at: principal.second_factor().then_some(claims.issued_at),
                principal,
            }
        }))
    }

    /// What must be ended to revoke a verified access token, whether or not it is still active.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if a provider's keys or the account of its token are unavailable.
    pub async fn ending_of(
        &self,
        snapshot: &AuthSnapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Ending>, StatusUnavailable> {
        let Some(provider) = provider_of(issuers(snapshot), token) else {
            let claims = snapshot.keyring.verify(token, &snapshot.expectations, now).ok();
            return Ok(claims.map(|claims| Ending::Session(claims.session)));
        };
        let said = verify_foreign(provider, token, now).await?;
        let Some((claims, _)) = said else { return Ok(None) };
        let settings = provider.settings();
        let Some(accounts) = &settings.accounts else {
            return Ok(Some(Ending::Tokens(claims.marks(provider.issuer()).ending(now))));
        };
        // It begins the session where nobody came with the token before: what is not there cannot end.
        let admitted = self.linking.link(settings, accounts, &claims, now).await?;
        Ok(admitted.map(|admitted| Ending::Session(admitted.session)))
    }

    async fn finish(
        &self,
        snapshot: &AuthSnapshot,
        verified: &VerifiedToken,
        now: Timestamp,
    ) -> Result<Option<Principal>, StatusUnavailable> {
        let standing = |session| self.registry.status(session, now);
        let revoked = |marks| self.registry.is_token_revoked(None, marks);
        let verdict = apply_status(verified.proof(), &snapshot.required_factor, standing, revoked);
        Ok(match verdict.await? {
            Some(AuthenticationOutcome::Proven(principal)) => Some(principal),
            Some(
                AuthenticationOutcome::HalfProven(_)
                | AuthenticationOutcome::Anonymous { .. }
                | AuthenticationOutcome::Rejected
                | AuthenticationOutcome::Unknowable
                | AuthenticationOutcome::Unjudged,
            )
            | None => None,
        })
    }
}

fn issuers(snapshot: &AuthSnapshot) -> Issuers<'_> {
    Issuers {
        keyring: &snapshot.keyring,
        expectations: &snapshot.expectations,
        providers: &snapshot.providers,
    }
}
