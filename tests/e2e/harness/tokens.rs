//! Tokens made by hand, honest and forged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::kept::kept;
use super::persona::Persona;

/// The gateway's RSA key in the tests, which therefore can sign what the gateway never would.
static SIGNING: LazyLock<Rsa> = LazyLock::new(Rsa::another);

pub fn signing_key() -> &'static Rsa {
    &SIGNING
}

/// How many keys this process has had.
static KEYS: AtomicUsize = AtomicUsize::new(0);

/// An RSA key of 2048 bits.
#[derive(Clone)]
pub struct Rsa(Arc<RsaKeyPair>);

impl Rsa {
    /// One that nobody else in this process has. Other processes have the same ones: to generate one takes
    /// longer than most tests.
    pub fn another() -> Self {
        let name = format!("rsa_{}.der", KEYS.fetch_add(1, Ordering::Relaxed));
        let file = kept(&name, |place| {
            let generated = Self(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
            std::fs::write(place, generated.private_der()).unwrap();
        });
        Self(Arc::new(RsaKeyPair::from_pkcs8(&std::fs::read(file).unwrap()).unwrap()))
    }

    fn private_der(&self) -> Vec<u8> {
        AsDer::<Pkcs8V1Der<'_>>::as_der(&*self.0).unwrap().as_ref().to_vec()
    }

    /// PKCS #8 in PEM.
    pub fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.private_der())
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn public_der(&self) -> Vec<u8> {
        let key = self.0.public_key();
        AsDer::<PublicKeyX509Der<'_>>::as_der(key).unwrap().as_ref().to_vec()
    }

    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// RSAPublicKey (PKCS #1) in DER.
    pub fn pkcs1_der(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub fn modulus(&self) -> Vec<u8> {
        self.0.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    pub fn jwk(&self) -> Value {
        let exponent = self.0.public_key().exponent();
        json!({
            "kty": "RSA",
            "n": encode(self.modulus()),
            "e": encode(exponent.big_endian_without_leading_zero()),
        })
    }

    pub fn sign(&self, padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A new P-256 key, as its PKCS #8 in PEM and the key itself.
pub fn elliptic_key() -> (String, EcdsaKeyPair) {
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
    (pem("PRIVATE KEY", document.as_ref()), key)
}

/// How a token is signed.
pub enum Signer<'a> {
    Rs256(&'a Rsa),
    Rsa(&'a Rsa, &'static dyn RsaEncoding),
    Es256(&'a EcdsaKeyPair),
    Hs256(&'a [u8]),
    /// These bytes instead of a signature.
    Bytes(&'a [u8]),
}

impl Signer<'_> {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rs256(key) => key.sign(&signature::RSA_PKCS1_SHA256, message),
            Self::Rsa(key, padding) => key.sign(*padding, message),
            Self::Es256(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// A compact token of exactly this header and payload text.
pub fn token(header: &str, payload: &str, signer: &Signer<'_>) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = signer.sign(message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// A genuine token, taken apart.
#[derive(Clone, Debug)]
pub struct Genuine {
    pub header: Value,
    pub claims: Value,
    pub text: String,
}

impl Genuine {
    /// The token that somebody holds.
    pub fn of(persona: &Persona) -> Self {
        let text = persona.token.clone().unwrap();
        let parts: Vec<_> = text.split('.').collect();
        let read = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
        let (header, claims) = (read(parts[0]), read(parts[1]));
        Self { header, claims, text }
    }

    /// Changes one claim; `null` removes it.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    /// Changes one header parameter; `null` removes it.
    pub fn parameter(mut self, name: &str, value: Value) -> Self {
        set(&mut self.header, name, value);
        self
    }

    /// Signed with the gateway's own RSA key.
    pub fn signed(&self) -> String {
        self.signed_by(&Signer::Rs256(signing_key()))
    }

    pub fn signed_by(&self, signer: &Signer<'_>) -> String {
        token(&self.header.to_string(), &self.claims.to_string(), signer)
    }

    /// Signed with the gateway's own RSA key, with one claim written as this text.
    pub fn with_raw_claim(&self, name: &str, text: &str) -> String {
        let placeholder = "@@raw@@";
        let claims = self.clone().claim(name, json!(placeholder)).claims.to_string();
        let claims = claims.replace(&format!("\"{placeholder}\""), text);
        token(&self.header.to_string(), &claims, &Signer::Rs256(signing_key()))
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let object = object.as_object_mut().unwrap();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.into(), value);
    }
}
