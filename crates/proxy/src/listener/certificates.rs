//! The TLS configuration of a listener, built from PEM, and the properties of client certificates.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use guarita_core::{Secret, Timestamp};

/// Maximum number of alternative names read from a certificate.
const MAX_NAMES: usize = 1000;

/// The TLS settings of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// At least one; the first is the default if SNI matches none of the others.
    pub certificates: Vec<CertificatePem>,
    /// Whether clients are asked for a certificate.
    pub client: ClientCertificates,
}

/// A chain and its key, in PEM.
#[derive(Clone, Debug)]
pub struct CertificatePem {
    /// The chain, leaf first.
    pub chain: Vec<u8>,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: Secret,
    /// The source, for messages.
    pub origin: String,
}

/// Whether clients are asked for a certificate, and the CAs that it is verified with (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Clients are not asked for a certificate.
    None,
    /// Clients are asked for a certificate; an invalid one fails the handshake.
    Optional(Vec<u8>),
    /// A valid certificate is required.
    Required(Vec<u8>),
}

/// Why certificates are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate.
    #[error("a TLS listener needs a certificate")]
    None,
    /// The PEM of the chain has no certificate, or an invalid one.
    #[error("{0}: no valid certificate in PEM")]
    Chain(String),
    /// The PEM of the key has no private key, or one of an unknown type.
    #[error("{0}: its key is not a valid private key in PEM (PKCS#8, PKCS#1 or SEC1)")]
    Key(String),
    /// The key does not match the certificate.
    #[error("{0}: certificate and key do not match")]
    Mismatch(String),
    /// The CAs of client certificates are invalid.
    #[error("the CA of client certificates: no valid certificate in PEM")]
    ClientCa,
    /// An error of the TLS library.
    #[error("TLS: {0}")]
    Library(String),
}

/// The properties of a verified client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject's common name; [`None`] if there are several, or it has a control character.
    pub common_name: Option<Box<str>>,
    /// The subject's alternative names, prefixed with their kind: `dns:`, `uri:`, `email:`. At most 1000.
    pub sans: Vec<Box<str>>,
    /// SHA-256 of the DER (RFC 8705 section 3.1).
    pub thumbprint: [u8; 32],
}

/// The validity period of a certificate (RFC 5280 section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`
    pub from: Timestamp,
    /// `notAfter`
    pub until: Timestamp,
}

/// The TLS 1.2 and 1.3 configuration of a listener: certificates by SNI, HTTP/2 and HTTP/1.1 by ALPN. With client
/// certificates there is no session resumption, so that a changed CA takes effect at the next handshake.
pub fn server_config(tls: &ListenerTls) -> Result<Arc<ServerConfig>, CertificateError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let resolver = Arc::new(CertificatesByName::new(&tls.certificates)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(library)?;
    let verifier = match &tls.client {
        ClientCertificates::None => None,
        ClientCertificates::Optional(ca) => Some((ca, true)),
        ClientCertificates::Required(ca) => Some((ca, false)),
    };
    let Some((ca, optional)) = verifier else {
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(library)?;
        return Ok(finish(config));
    };
    let roots = Arc::new(client_roots(ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
    let verifier = verifier.clear_root_hint_subjects().build();
    let verifier = verifier.map_err(|_| CertificateError::ClientCa)?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(finish(config))
}

fn finish(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn library(error: rustls::Error) -> CertificateError {
    CertificateError::Library(error.to_string())
}

/// Checks that a chain and its key are valid and match.
pub fn check(certificate: &CertificatePem) -> Result<(), CertificateError> {
    certified_key(certificate).map(drop)
}

/// Checks that the PEM has at least one valid CA.
pub fn check_client_ca(pem: &[u8]) -> Result<(), CertificateError> {
    client_roots(pem).map(drop)
}

/// The validity of the leaf of a chain in PEM; [`None`] if it cannot be parsed.
pub fn validity(chain: &[u8]) -> Option<Validity> {
    let leaf = CertificateDer::pem_slice_iter(chain).next()?.ok()?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).ok()?;
    let validity = leaf.validity();
    Some(Validity {
        from: Timestamp::from_seconds(validity.not_before.timestamp()),
        until: Timestamp::from_seconds(validity.not_after.timestamp()),
    })
}

/// The properties of a certificate in DER. One that cannot be parsed has only a thumbprint.
pub fn facts(certificate: &CertificateDer<'_>) -> PeerCertificate {
    let thumbprint = Sha256::digest(certificate).into();
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return PeerCertificate { common_name: None, sans: Vec::new(), thumbprint };
    };
    PeerCertificate {
        common_name: common_name(&parsed),
        sans: alternative_names(&parsed),
        thumbprint,
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<Box<str>> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?;
    if names.next().is_some() {
        return None;
    }
    let name = name.as_str().ok()?;
    let fits = !name.is_empty() && !name.chars().any(char::is_control);
    fits.then(|| name.into())
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().take(MAX_NAMES);
    names.filter_map(alternative_name).collect()
}

fn alternative_name(name: &GeneralName<'_>) -> Option<Box<str>> {
    let (kind, text) = if let GeneralName::DNSName(text) = name {
        ("dns:", text)
    } else if let GeneralName::URI(text) = name {
        ("uri:", text)
    } else if let GeneralName::RFC822Name(text) = name {
        ("email:", text)
    } else {
        return None;
    };
    let fits = !text.is_empty() && !text.chars().any(char::is_control);
    fits.then(|| format!("{kind}{text}").into())
}

fn client_roots(pem: &[u8]) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| CertificateError::ClientCa)?;
        roots.add(certificate).map_err(|_| CertificateError::ClientCa)?;
    }
    if roots.is_empty() { Err(CertificateError::ClientCa) } else { Ok(roots) }
}

fn certified_key(pem: &CertificatePem) -> Result<CertifiedKey, CertificateError> {
    let unreadable = || CertificateError::Chain(pem.origin.clone());
    let chain = CertificateDer::pem_slice_iter(&pem.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unreadable())?;
    let leaf = chain.first().ok_or_else(unreadable)?;
    x509_parser::parse_x509_certificate(leaf).map_err(|_| unreadable())?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes())
        .map_err(|_| CertificateError::Key(pem.origin.clone()))?;
    let key = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|_| CertificateError::Key(pem.origin.clone()))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| CertificateError::Mismatch(pem.origin.clone()))?;
    Ok(certified)
}

/// Selects the certificate for an SNI: the exact name, then a wildcard for its first label, else the first
/// certificate.
#[derive(Debug)]
struct CertificatesByName {
    first: Arc<CertifiedKey>,
    /// DNS names of the certificates in lower case; wildcards begin with `*.`.
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl CertificatesByName {
    fn new(certificates: &[CertificatePem]) -> Result<Self, CertificateError> {
        let mut first = None;
        let mut by_name = HashMap::new();
        for pem in certificates {
            let certified = Arc::new(certified_key(pem)?);
            for name in certified.cert.first().map(facts).into_iter().flat_map(|facts| facts.sans) {
                let Some(name) = name.strip_prefix("dns:") else { continue };
                // The certificate that is named first keeps the name.
                by_name
                    .entry(name.to_ascii_lowercase().into())
                    .or_insert_with(|| Arc::clone(&certified));
            }
            first.get_or_insert(certified);
        }
        Ok(Self { first: first.ok_or(CertificateError::None)?, by_name })
    }

    fn find(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        server_name.and_then(|name| self.find_named(name)).unwrap_or(&self.first).clone()
    }

    fn find_named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.by_name
            .get(name.as_str())
            .or_else(|| wildcard().and_then(|name| self.by_name.get(name.as_str())))
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.find(hello.server_name()))
    }
}

#[cfg(test)]
mod tests;
