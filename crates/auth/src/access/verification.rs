//! Selects the issuer of a token and verifies it with that issuer's keys.

use std::sync::Arc;

use super::token_cache::{Issuers, VerifiedToken};
use crate::federation::AccountLinker;
use crate::session::StatusUnavailable;
use crate::snapshot::Provider;
use crate::snapshot::provider::Unverified;
use guarita_core::jose::{ProviderClaims, unproven_issuer};
use guarita_core::{Source, Timestamp};

/// Verifies a token with the keys of its issuer. In cookies, only tokens of providers whose libraries use cookies
/// are accepted. The reason of a rejection is only logged.
pub(super) async fn verify(
    linking: &AccountLinker,
    issuers: Issuers<'_>,
    token: &str,
    source: Source,
    now: Timestamp,
) -> Result<Option<VerifiedToken>, StatusUnavailable> {
    let of_cookie = source == Source::Session;
    match provider_of(issuers, token) {
        Some(provider) if !of_cookie || provider.settings().cookie_name.is_some() => {
            let Some(said) = verify_foreign(provider, token, now).await? else { return Ok(None) };
            stand_for(linking, provider, said, source, now).await
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
        Ok(claims) => VerifiedToken::new(claims, source, keyring, expectations, now).ok(),
        Err(reason) => {
            tracing::debug!(reason = reason.as_str(), "token rejected");
            None
        }
    }
}

/// The provider that is named as the issuer of an unverified token, if any. Its keys decide.
pub(super) fn provider_of<'a>(issuers: Issuers<'a>, token: &str) -> Option<&'a Arc<Provider>> {
    if issuers.providers.is_empty() {
        return None;
    }
    let issuer = unproven_issuer(token, issuers.expectations.max_length)?;
    issuers.providers.of_issuer(&issuer)
}

/// Verifies a token with the provider's keys; the reason of a rejection is logged. Returns the claims and the fingerprint of the keys.
pub(super) async fn verify_foreign(
    provider: &Provider,
    token: &str,
    now: Timestamp,
) -> Result<Option<(ProviderClaims, u64)>, StatusUnavailable> {
    match provider.verify_access_token(token, now).await {
        Ok(said) => Ok(Some(said)),
        Err(Unverified::Unknowable) => Err(StatusUnavailable),
        Err(Unverified::Invalid(reason)) => {
            let provider = &*provider.settings().name;
            tracing::debug!(provider, reason = reason.as_str(), "provider token rejected");
            Ok(None)
        }
    }
}

/// The local identity of a provider token; [`None`] if an account is required and there is none.
pub(super) async fn stand_for(
    linking: &AccountLinker,
    provider: &Arc<Provider>,
    (claims, fingerprint): (ProviderClaims, u64),
    source: Source,
    now: Timestamp,
) -> Result<Option<VerifiedToken>, StatusUnavailable> {
    let settings = provider.settings();
    let admitted = match &settings.accounts {
        None => None,
        Some(accounts) => match linking.link(settings, accounts, &claims, now).await? {
            Some(admitted) => Some(admitted),
            None => return Ok(None),
        },
    };
    Ok(VerifiedToken::foreign(claims, admitted, source, provider, fingerprint).ok())
}
