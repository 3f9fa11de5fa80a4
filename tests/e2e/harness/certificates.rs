//! Certificates, made at run time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A CA.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A chain and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
}

/// What a client certificate says.
#[derive(Clone, Debug)]
pub struct Client {
    pub name: DistinguishedName,
    pub alternatives: Vec<SanType>,
    /// Seconds from now.
    pub valid_from: i64,
    /// Seconds from now.
    pub valid_until: i64,
}

impl Client {
    pub fn named(common_name: &str) -> Self {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, common_name);
        Self { name, alternatives: Vec::new(), valid_from: -3600, valid_until: 86_400 }
    }

    pub fn with(mut self, kind: DnType, value: impl Into<DnValue>) -> Self {
        self.name.push(kind, value);
        self
    }

    pub fn alternative(mut self, name: SanType) -> Self {
        self.alternatives.push(name);
        self
    }

    pub fn valid(mut self, from: i64, until: i64) -> Self {
        (self.valid_from, self.valid_until) = (from, until);
        self
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self(Arc::new(Inner { issuer, pem: certificate.pem() }))
    }

    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// A server certificate for these names, and for 127.0.0.1.
    pub fn server(&self, names: &[&str]) -> Identity {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
        params.subject_alt_names.extend(addresses.map(|ip| SanType::IpAddress(IpAddr::V4(ip))));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    pub fn client(&self, client: &Client) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = client.name.clone();
        params.subject_alt_names.clone_from(&client.alternatives);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = i64::try_from(now()).unwrap();
        let at = |offset: i64| {
            rcgen::date_time_ymd(1970, 1, 1)
                + Duration::from_secs(u64::try_from(now + offset).unwrap())
        };
        (params.not_before, params.not_after) = (at(client.valid_from), at(client.valid_until));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0.issuer).unwrap();
        Identity { chain_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

impl Identity {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain_pem.as_bytes()).map(Result::unwrap).collect()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap()
    }
}

/// The only TLS implementation that the tests use.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "a test has no clock to be handed")]
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
