//! Public keys from the JWK Sets of providers.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::Value;

use super::super::algorithm::SignatureAlgorithm;
use crate::jose::key_fault::KeyFault;
use {super::Jwk, super::VerifyingKey, super::public};

/// Parses a public key for signatures. Keys for encryption, symmetric keys and private keys are rejected.
pub(super) fn read(jwk: &Value) -> Result<VerifyingKey, KeyFault> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let meant = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let allowed = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
    });
    if !meant || !allowed {
        return Err(KeyFault::Unusable);
    }
    if jwk.get("d").is_some() || jwk.get("k").is_some() {
        return Err(KeyFault::NotPublic);
    }
    let named = match jwk.get("alg") {
        None => None,
        Some(name) => {
            Some(name.as_str().and_then(SignatureAlgorithm::parse).ok_or(KeyFault::Unusable)?)
        }
    };
    let bytes = |name: &str| {
        let text = text(name).ok_or(KeyFault::Unusable)?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyFault::Unusable)
    };
    match (text("kty"), text("crv")) {
        (Some("RSA"), _) => rsa(&bytes("n")?, &bytes("e")?, named),
        (Some("EC"), Some("P-256")) => {
            let point = point(&bytes("x")?, &bytes("y")?, 32)?;
            only(SignatureAlgorithm::Es256, named)?;
            VerifyingKey::ec(&point)
        }
        (Some("EC"), Some("P-384")) => {
            only(SignatureAlgorithm::Es384, named)?;
            p384(&bytes("x")?, &bytes("y")?)
        }
        (Some("OKP"), Some("Ed25519")) => {
            only(SignatureAlgorithm::EdDsa, named)?;
            VerifyingKey::ed(&bytes("x")?)
        }
        _ => Err(KeyFault::Unusable),
    }
}

fn only(algorithm: SignatureAlgorithm, named: Option<SignatureAlgorithm>) -> Result<(), KeyFault> {
    if named.is_none_or(|named| named == algorithm) { Ok(()) } else { Err(KeyFault::Unusable) }
}

fn rsa(
    modulus: &[u8],
    exponent: &[u8],
    named: Option<SignatureAlgorithm>,
) -> Result<VerifyingKey, KeyFault> {
    use SignatureAlgorithm::{
        EdDsa, Es256, Es384, Hs256, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
    };
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    public::check_rsa(modulus, exponent)?;
    // A larger exponent only makes verification slow.
    if exponent.len() > 4 {
        return Err(KeyFault::WeakRsa);
    }
    let algorithm = named.unwrap_or(Rs256);
    match algorithm {
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => {}
        Es256 | Es384 | EdDsa | Hs256 => return Err(KeyFault::Unusable),
    }
    let decoding = DecodingKey::from_rsa_raw_components(modulus, exponent);
    let jwk = Jwk::Rsa { n: URL_SAFE_NO_PAD.encode(modulus), e: URL_SAFE_NO_PAD.encode(exponent) };
    Ok(VerifyingKey::public(algorithm, jwk, decoding))
}

/// Strips leading zeros: some libraries include the sign byte of ASN.1.
fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

fn p384(x: &[u8], y: &[u8]) -> Result<VerifyingKey, KeyFault> {
    let point = point(x, y, 48)?;
    // Says whether the point is on the curve.
    ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point).map_err(|_| KeyFault::Unusable)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let jwk = Jwk::Ec { curve: "P-384", x, y };
    Ok(VerifyingKey::public(SignatureAlgorithm::Es384, jwk, DecodingKey::from_ec_der(&point)))
}

/// An uncompressed point (SEC 1 section 2.3.3). Coordinates have their full length (RFC 7518 section
/// 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Result<Vec<u8>, KeyFault> {
    if x.len() != length || y.len() != length {
        return Err(KeyFault::Unusable);
    }
    Ok([&[4], x, y].concat())
}
