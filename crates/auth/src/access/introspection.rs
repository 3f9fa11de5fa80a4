//! Token introspection (RFC 7662) and revocation (RFC 7009).

use super::authenticate::{AuthenticationOutcome, apply_status};
use super::token_cache::{Issuers, VerifiedToken};
use super::verification::{provider_of, stand_for, verify_foreign};
use crate::federation::AccountLinker;
use crate::session::{SessionCache, StatusUnavailable};
use crate::snapshot::AuthSnapshot;
use guarita_core::revocation_key::RevokedMark;
use guarita_core::{Principal, SessionId, Source, Timestamp};

/// A client's question, answered by the rules by which the judge answers a caller's request.
#[derive(Debug)]
pub struct Introspection {
    registry: SessionCache,
    linking: AccountLinker,
}

/// A token that would be let in now.
#[derive(Debug)]
pub struct Active {
    /// `iss`
    pub issuer: Box<str>,
    /// That of `aud` which was expected.
    pub audience: Box<str>,
    /// `iat`
    pub issued_at: Timestamp,
    /// `nbf`
    pub not_before: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`
    pub token_id: Option<Box<str>>,
    /// Our session, or the provider's where it hangs on none of ours.
    pub session: Option<Box<str>>,
    /// When a second factor was proven; the time of issue where a provider says only that one was.
    pub second_factor_at: Option<Timestamp>,
    /// Whose it is, with the roles in force.
    pub principal: Principal,
}

/// What is to be ended, so that a token counts no more.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// A session of ours.
    Session(SessionId),
    /// What a provider's token says.
    Tokens(RevokedMark),
}

impl Introspection {
    /// Over the registry of this node, and the accounts behind providers' tokens.
    pub fn new(registry: SessionCache, linking: AccountLinker) -> Self {
        Self { registry, linking }
    }

    /// The access token, ours or a provider's, if the judge would let it in.
    ///
    /// # Errors
    /// [`StatusUnavailable`] where neither memory nor the store says.
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

    /// What ends an access token that holds, whether or not it still counts.
    ///
    /// # Errors
    /// [`StatusUnavailable`] where a provider's keys or the account behind its token cannot be known.
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
