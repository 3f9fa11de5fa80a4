//! Keys, each pinned to one algorithm.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeySize, PublicKey as RsaPublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::algorithm::{Algorithm, SignatureAlgorithm};
use super::jwk::{Jwk, secret_id};
use super::pem::{self, Label};
use crate::jose::key_fault::KeyFault;
use crate::{Secret, random};

mod foreign;
mod public;

/// A private key and its public half.
#[derive(Debug)]
pub struct SigningKey {
    algorithm: Algorithm,
    pub(super) encoding: EncodingKey,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Generates a key; the PEM (for HS256: the base64url secret) is to be stored with mode 0600.
    pub fn generate(algorithm: Algorithm) -> Result<Secret, KeyFault> {
        let fault = |_| KeyFault::Cryptography;
        let der = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(fault)?;
                pair.as_der().map_err(fault)?.as_ref().to_vec()
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(fault)?;
                pair.to_pkcs8v1().map_err(fault)?.as_ref().to_vec()
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(fault)?;
                pair.to_pkcs8v1().map_err(fault)?.as_ref().to_vec()
            }
            Algorithm::Hs256 => return Ok(random::token()?),
        };
        let der = zeroize::Zeroizing::new(der);
        Ok(Secret::new(pem::write_private_key(&der).as_str()))
    }

    /// Parses PKCS#8, PKCS#1 or SEC1 PEM (HS256: a secret of 32 to 4096 bytes, used as it is without final line
    /// breaks); `kid` is the RFC 7638 thumbprint.
    pub fn parse(algorithm: Algorithm, text: &Secret) -> Result<Self, KeyFault> {
        match algorithm {
            Algorithm::Rs256 => Self::rsa(text),
            Algorithm::Es256 => Self::ec(text),
            Algorithm::EdDsa => Self::ed(text),
            Algorithm::Hs256 => Self::hmac(text),
        }
    }

    /// The key id.
    pub fn id(&self) -> &str {
        self.verifying.id()
    }

    /// The algorithm that it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// A secret derived from the private key, so that all gateways with this key can decrypt each other's data. It
    /// reveals nothing about the key.
    pub fn seed(&self) -> Secret {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"guarita seed");
        Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, self.encoding.as_bytes())))
    }

    fn rsa(text: &Secret) -> Result<Self, KeyFault> {
        let pair = match private_section(text)? {
            (Label::PrivateKey, der) => RsaKeyPair::from_pkcs8(&der),
            (Label::RsaPrivateKey, der) => RsaKeyPair::from_der(&der),
            _ => return Err(KeyFault::Unusable),
        };
        let pair = pair.map_err(|rejected| public::rsa_fault(&rejected))?;
        let pkcs8 = pair.as_der().map_err(|_| KeyFault::Cryptography)?;
        // jsonwebtoken takes PKCS#1 only, and unwraps it from PKCS#8 only in PEM.
        let pem = pem::write_private_key(pkcs8.as_ref());
        let encoding =
            EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyFault::Cryptography)?;
        let verifying = VerifyingKey::rsa(pair.public_key())?;
        Ok(Self { algorithm: Algorithm::Rs256, encoding, verifying })
    }

    fn ec(text: &Secret) -> Result<Self, KeyFault> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = match private_section(text)? {
            (Label::PrivateKey, der) => EcdsaKeyPair::from_pkcs8(algorithm, &der),
            (Label::EcPrivateKey, der) => EcdsaKeyPair::from_private_key_der(algorithm, &der),
            _ => return Err(KeyFault::Unusable),
        };
        let pair = pair.map_err(|_| KeyFault::Unusable)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyFault::Cryptography)?;
        let encoding = EncodingKey::from_ec_der(pkcs8.as_ref());
        let verifying = VerifyingKey::ec(pair.public_key().as_ref())?;
        Ok(Self { algorithm: Algorithm::Es256, encoding, verifying })
    }

    fn ed(text: &Secret) -> Result<Self, KeyFault> {
        let (Label::PrivateKey, der) = private_section(text)? else {
            return Err(KeyFault::Unusable);
        };
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyFault::Unusable)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyFault::Cryptography)?;
        let encoding = EncodingKey::from_ed_der(pkcs8.as_ref());
        let verifying = VerifyingKey::ed(pair.public_key().as_ref())?;
        Ok(Self { algorithm: Algorithm::EdDsa, encoding, verifying })
    }

    fn hmac(text: &Secret) -> Result<Self, KeyFault> {
        let verifying = VerifyingKey::secret(text)?;
        let encoding = EncodingKey::from_secret(secret_bytes(text));
        Ok(Self { algorithm: Algorithm::Hs256, encoding, verifying })
    }
}

fn private_section(text: &Secret) -> Result<(Label, zeroize::Zeroizing<Vec<u8>>), KeyFault> {
    let (label, der) = pem::read(text.expose())?;
    match label {
        Label::PrivateKey | Label::RsaPrivateKey | Label::EcPrivateKey => Ok((label, der)),
        Label::PublicKey | Label::RsaPublicKey | Label::Certificate => Err(KeyFault::NotPrivate),
        Label::EcParameters => Err(KeyFault::Unusable),
    }
}

/// The bytes of a secret without line breaks at the end of the file.
fn secret_bytes(text: &Secret) -> &[u8] {
    text.expose().trim_end_matches(['\r', '\n']).as_bytes()
}

/// A key that verifies. (An HS256 secret could also sign; it is kept as a secret here.)
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    algorithm: SignatureAlgorithm,
    id: Arc<str>,
    jwk: Option<Jwk>,
    decoding: DecodingKey,
}

/// Compares ids, which are hashes of the keys.
impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.id == other.id
    }
}

impl VerifyingKey {
    /// Parses a public key of the algorithm in PEM (SPKI, PKCS#1 or a certificate). There is no
    /// public key for HS256; see [`VerifyingKey::secret`].
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, KeyFault> {
        let key = Self::detect(text)?;
        if key.algorithm == algorithm { Ok(key) } else { Err(KeyFault::Unusable) }
    }

    /// Parses a public key in PEM; its type determines the algorithm. Never HS256.
    pub fn detect(text: &str) -> Result<Self, KeyFault> {
        public::read(text)
    }

    /// Parses an HS256 secret: 32 to 4096 bytes, at least 8 of them distinct, and not PEM (so that a published key
    /// can never be used as a secret).
    pub fn secret(text: &Secret) -> Result<Self, KeyFault> {
        let bytes = secret_bytes(text);
        let distinct: std::collections::HashSet<_> = bytes.iter().collect();
        let armoured = text.expose().contains("-----BEGIN");
        if !(32..=4096).contains(&bytes.len()) || distinct.len() < 8 || armoured {
            return Err(KeyFault::WeakSecret);
        }
        Ok(Self {
            algorithm: SignatureAlgorithm::Hs256,
            id: secret_id(bytes).into(),
            jwk: None,
            decoding: DecodingKey::from_secret(bytes),
        })
    }

    /// Parses an entry of a provider's JWK Set (RFC 7517 section 4): a public key for signatures, with the algorithm
    /// that it names or the default of its type.
    pub(super) fn foreign(jwk: &serde_json::Value) -> Result<Self, KeyFault> {
        foreign::read(jwk)
    }

    /// The key id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The algorithm that it verifies.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) const fn jwk(&self) -> Option<&Jwk> {
        self.jwk.as_ref()
    }

    /// Whether the signature (base64url) of the message is valid.
    pub(super) fn verify(&self, message: &[u8], signature: &str) -> bool {
        let algorithm = self.algorithm.jose();
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm).unwrap_or(false)
    }

    fn rsa(key: &RsaPublicKey) -> Result<Self, KeyFault> {
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key);
        public::check_rsa(&n, &e)?;
        let decoding = DecodingKey::from_rsa_der(key.as_ref());
        let jwk = Jwk::Rsa { n: URL_SAFE_NO_PAD.encode(&n), e: URL_SAFE_NO_PAD.encode(&e) };
        Ok(Self::public(SignatureAlgorithm::Rs256, jwk, decoding))
    }

    fn ec(point: &[u8]) -> Result<Self, KeyFault> {
        // Says whether the point is on the curve.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyFault::Unusable)?;
        let Some((4, coordinates)) = point.split_first().map(|(form, rest)| (*form, rest)) else {
            return Err(KeyFault::Unusable);
        };
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyFault::Unusable)?;
        let jwk =
            Jwk::Ec { curve: "P-256", x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) };
        Ok(Self::public(SignatureAlgorithm::Es256, jwk, DecodingKey::from_ec_der(point)))
    }

    fn ed(bytes: &[u8]) -> Result<Self, KeyFault> {
        if bytes.len() != 32 {
            return Err(KeyFault::Unusable);
        }
        let jwk = Jwk::Ed { x: URL_SAFE_NO_PAD.encode(bytes) };
        Ok(Self::public(SignatureAlgorithm::EdDsa, jwk, DecodingKey::from_ed_der(bytes)))
    }

    fn public(algorithm: SignatureAlgorithm, jwk: Jwk, decoding: DecodingKey) -> Self {
        Self { algorithm, id: jwk.thumbprint().into(), jwk: Some(jwk), decoding }
    }
}

#[cfg(test)]
mod tests;
