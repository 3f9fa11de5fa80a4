//! TLS to upstream servers. Certificates are always verified, against a name that is never empty: with an empty
//! name pingora verifies nothing.

use std::sync::Arc;

use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::settings::{UpstreamServer, UpstreamTls};

/// The TLS material of an upstream.
#[derive(Clone)]
pub(super) struct TlsMaterial {
    pub(super) ca: Option<Arc<CaType>>,
    pub(super) identity: Option<Arc<CertKey>>,
    server_name: Option<Box<str>>,
}

impl TlsMaterial {
    /// Parses and checks the PEM; errors do not contain it.
    pub(super) fn read(tls: &UpstreamTls) -> Result<Self, &'static str> {
        let ca = match &tls.ca {
            Some(pem) => Some(Arc::from(wrap(certificates(pem)?).into_boxed_slice())),
            None => None,
        };
        let identity = match &tls.identity {
            Some((chain, key)) => Some(Arc::new(identity(chain, key.expose())?)),
            None => None,
        };
        if let Some(name) = &tls.server_name {
            ServerName::try_from(&**name).map_err(|_| "tls.server_name is not a host name")?;
        }
        Ok(Self { ca, identity, server_name: tls.server_name.clone() })
    }

    /// The name to verify.
    pub(super) fn name_of(&self, server: &UpstreamServer) -> Result<String, &'static str> {
        let name = self.server_name.as_deref().unwrap_or(&server.host);
        ServerName::try_from(name)
            .map_err(|_| "the server's host is not a name that can be verified")?;
        Ok(name.to_owned())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| "not PEM certificates")?;
    if certificates.is_empty() {
        return Err("no certificate in the PEM file");
    }
    // pingora panics on what it cannot parse.
    if certificates.iter().any(|der| x509_parser::parse_x509_certificate(der).is_err()) {
        return Err("a certificate cannot be parsed");
    }
    Ok(certificates)
}

fn wrap(certificates: Vec<Vec<u8>>) -> Vec<WrappedX509> {
    certificates.into_iter().map(|der| WrappedX509::new(der, parse_x509)).collect()
}

fn identity(chain: &[u8], key: &str) -> Result<CertKey, &'static str> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "the key is not a private key in PEM")?;
    let certificates = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "no TLS version in common with the cryptographic library")?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(certificates, key.clone_key())
        .map_err(|_| "the client certificate and its key do not match")?;
    Ok(CertKey::new(chain, key.secret_der().to_vec()))
}
