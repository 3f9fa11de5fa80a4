//! Public keys from PEM.

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::super::pem::{self, Label};
use super::VerifyingKey;
use crate::jose::key_fault::KeyFault;

/// rsaEncryption, RFC 8017 appendix A.1
const RSA: &str = "1.2.840.113549.1.1.1";
/// id-ecPublicKey, RFC 5480 section 2.1.1
const EC: &str = "1.2.840.10045.2.1";
/// secp256r1, RFC 5480 section 2.1.1.1
const P256: &str = "1.2.840.10045.3.1.7";
/// id-Ed25519, RFC 8410 section 3
const ED25519: &str = "1.3.101.112";

/// Parses SPKI, PKCS#1 or a certificate.
pub(super) fn read(text: &str) -> Result<VerifyingKey, KeyFault> {
    let (label, der) = pem::read(text)?;
    match label {
        Label::PublicKey => {
            let (rest, info) =
                SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeyFault::Unusable)?;
            if rest.is_empty() { from_info(&info) } else { Err(KeyFault::Unusable) }
        }
        Label::RsaPublicKey => rsa(&der),
        Label::Certificate => {
            let (rest, certificate) =
                x509_parser::parse_x509_certificate(&der).map_err(|_| KeyFault::Unusable)?;
            if rest.is_empty() {
                from_info(certificate.public_key())
            } else {
                Err(KeyFault::Unusable)
            }
        }
        Label::PrivateKey | Label::RsaPrivateKey | Label::EcPrivateKey => Err(KeyFault::NotPublic),
        Label::EcParameters => Err(KeyFault::Unusable),
    }
}

fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<VerifyingKey, KeyFault> {
    let key = info.subject_public_key.data.as_ref();
    match info.algorithm.algorithm.to_id_string().as_str() {
        RSA => rsa(key),
        EC => {
            let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            if curve.is_some_and(|oid| oid.to_id_string() == P256) {
                VerifyingKey::ec(key)
            } else {
                Err(KeyFault::Unusable)
            }
        }
        ED25519 => VerifyingKey::ed(key),
        _ => Err(KeyFault::Unusable),
    }
}

fn rsa(pkcs1: &[u8]) -> Result<VerifyingKey, KeyFault> {
    let key = RsaPublicKey::from_der(pkcs1).map_err(|rejected| rsa_fault(&rejected))?;
    VerifyingKey::rsa(&key)
}

/// Maps the library's rejection of an RSA key.
pub(super) fn rsa_fault(rejected: &KeyRejected) -> KeyFault {
    match rejected.to_string().as_str() {
        "TooSmall" | "TooLarge" => KeyFault::WeakRsa,
        _ => KeyFault::Unusable,
    }
}

/// 2048 to 8192 bits, exponent at least 65537. Both are big-endian without leading zeros.
pub(super) fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyFault> {
    let bits =
        modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    let strong = exponent.len() > 3 || exponent >= [1, 0, 1].as_slice() && exponent.len() == 3;
    if (2048..=8192).contains(&bits) && strong { Ok(()) } else { Err(KeyFault::WeakRsa) }
}
