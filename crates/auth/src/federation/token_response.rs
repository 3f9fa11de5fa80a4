//! The exchange of a code, with the ID token as it was sent: [`guarita_core::jose`] verifies it.

use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, Client, EmptyAdditionalClaims, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    ExtraTokenFields, IdToken, OAuth2TokenResponse, RefreshToken, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse,
};
use serde::{Deserialize, Serialize};

use guarita_core::Secret;

/// A client of a provider that has been discovered.
pub(super) type CodeClient = Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    CodeResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A response of the token endpoint (OpenID Connect Core 1.0 section 3.1.3.3).
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct CodeResponse(StandardTokenResponse<UnverifiedIdToken, CoreTokenType>);

/// `id_token`, unread.
#[derive(Debug, Deserialize, Serialize)]
struct UnverifiedIdToken {
    #[serde(default, skip_serializing)]
    id_token: Option<Secret>,
}

impl ExtraTokenFields for UnverifiedIdToken {}

/// The tokens of a response.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The unverified ID token.
    pub(super) id_token: Secret,
    /// The access token that was issued with it.
    pub(super) access_token: Secret,
}

impl CodeResponse {
    /// The tokens; [`None`] without an ID token.
    pub(super) fn into_tokens(self) -> Option<Tokens> {
        let access_token = Secret::new(self.0.access_token().secret().as_str());
        let id_token = self.0.extra_fields().id_token.clone()?;
        Some(Tokens { id_token, access_token })
    }
}

impl OAuth2TokenResponse for CodeResponse {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        self.0.access_token()
    }

    fn token_type(&self) -> &CoreTokenType {
        self.0.token_type()
    }

    fn expires_in(&self) -> Option<Duration> {
        self.0.expires_in()
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.0.refresh_token()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.0.scopes()
    }
}

impl
    TokenResponse<
        EmptyAdditionalClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for CodeResponse
{
    /// The library does not read it.
    fn id_token(
        &self,
    ) -> Option<
        &IdToken<
            EmptyAdditionalClaims,
            CoreGenderClaim,
            CoreJweContentEncryptionAlgorithm,
            CoreJwsSigningAlgorithm,
        >,
    > {
        None
    }
}
