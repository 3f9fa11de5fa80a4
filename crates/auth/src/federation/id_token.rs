//! The ID token of a login.

use openidconnect::core::{CoreClient, CoreIdToken, CoreJwsSigningAlgorithm};
use openidconnect::{ClientId, Nonce};

use super::metadata::IssuerMetadata;
use crate::snapshot::provider::ProviderClient;
use guarita_core::Secret;

/// The accepted signature algorithms of ID tokens: neither HMAC nor `none`.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Verifies signature, issuer, audience, times and nonce of an ID token (OpenID Connect Core 1.0 section
/// 3.1.3.7); an error describes what is wrong.
pub(super) fn verify(
    metadata: &IssuerMetadata,
    client: &ProviderClient,
    token: &CoreIdToken,
    nonce: &Secret,
) -> Result<(), String> {
    let id = ClientId::new(client.id.to_string());
    let oidc = CoreClient::from_provider_metadata(metadata.clone(), id, None);
    let verifier = oidc.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let nonce = Nonce::new(nonce.expose().into());
    token.claims(&verifier, &nonce).map(|_| ()).map_err(|error| error.to_string())
}
