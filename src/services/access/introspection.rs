//! Token introspection (RFC 7662) and revocation (RFC 7009).

use super::judge::{Verdict, apply_status};
use super::verification::{provider_of, stand_for, verify_foreign};
use super::verified::{Issuers, VerifiedToken};
use crate::live::Snapshot;
use crate::model::token_mark::RevokedMark;
use crate::model::{Principal, SessionId, Source, Timestamp};
use crate::services::federation::Linking;
use crate::services::session::{Registry, Unknowable};

/// A client's question, answered by the rules by which the judge answers a caller's request.
#[derive(Debug)]
pub struct Introspection {
    registry: Registry,
    linking: Linking,
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
    pub fn new(registry: Registry, linking: Linking) -> Self {
        Self { registry, linking }
    }

    /// The access token, ours or a provider's, if the judge would let it in.
    ///
    /// # Errors
    /// [`Unknowable`] where neither memory nor the store says.
    pub async fn introspect(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Active>, Unknowable> {
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
    /// [`Unknowable`] where a provider's keys or the account behind its token cannot be known.
    pub async fn ending_of(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Ending>, Unknowable> {
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
        snapshot: &Snapshot,
        verified: &VerifiedToken,
        now: Timestamp,
    ) -> Result<Option<Principal>, Unknowable> {
        let standing = |session| self.registry.status(session, now);
        let revoked = |marks| self.registry.is_token_revoked(None, marks);
        let verdict = apply_status(verified.proof(), &snapshot.required_factor, standing, revoked);
        Ok(match verdict.await? {
            Some(Verdict::Proven(principal)) => Some(principal),
            Some(
                Verdict::HalfProven(_)
                | Verdict::Anonymous { .. }
                | Verdict::Rejected
                | Verdict::Unknowable
                | Verdict::Unjudged,
            )
            | None => None,
        })
    }
}

fn issuers(snapshot: &Snapshot) -> Issuers<'_> {
    Issuers {
        keyring: &snapshot.keyring,
        expectations: &snapshot.expectations,
        providers: &snapshot.providers,
    }
}
