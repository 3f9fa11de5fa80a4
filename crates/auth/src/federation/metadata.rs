//! Fields of a provider's discovery document that the library does not read.

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, EndSessionUrl, LogoutProviderMetadata, ProviderMetadata,
};
use serde::{Deserialize, Serialize};

/// A provider's discovery document.
pub(super) type IssuerMetadata = ProviderMetadata<
    LogoutProviderMetadata<Issuer>,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Whether its authorization responses have `iss` (RFC 9207 section 3).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Issuer {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Issuer {}

/// Whether every authorization response has `iss`.
pub(super) fn says_issuer(metadata: &IssuerMetadata) -> bool {
    let more = &metadata.additional_metadata().additional_metadata;
    more.authorization_response_iss_parameter_supported
}

/// The end session endpoint, if there is one.
pub(super) fn end_of_session(metadata: &IssuerMetadata) -> Option<EndSessionUrl> {
    metadata.additional_metadata().end_session_endpoint.clone()
}
