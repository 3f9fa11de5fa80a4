//! The resolved configuration: typed, validated, with the contents of all files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use guarita_auth::mail::Links;
use guarita_auth::snapshot::provider;
use guarita_auth::snapshot::rate_limits::RateLimits;
use guarita_auth::snapshot::{IntrospectionClients, ServiceKey};
use guarita_auth::{account, grant, keys, login};
use guarita_core::http::IdentityHeaders;
use guarita_core::jose::{Algorithm, Expectations};
use guarita_core::route::{Matcher, Policy};
use guarita_core::{Role, Secret};
use guarita_kv as ephemeral;
use guarita_mail as mail;
use guarita_proxy::snapshot::Limits;
use guarita_proxy::upstream;
use guarita_store as store;
use guarita_web::pages;

/// Files by path, each with the SHA-256 of its content; [`None`] if it could not be read.
pub type Files = BTreeMap<PathBuf, Option<[u8; 32]>>;

/// Who issues tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Guarita itself, and providers.
    Local,
    /// Providers only.
    External,
    /// No authentication; needs `allow_insecure = true` and loopback listeners.
    Off,
}

/// The resolved configuration, after environment, defaults and checks.
#[derive(Clone, Debug)]
pub struct Config {
    /// `mode`
    pub mode: Mode,
    /// `public_url`, without a trailing slash.
    pub public_url: Box<str>,
    /// `data_dir`
    pub data_dir: PathBuf,
    /// `[[listeners]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[ops] address`
    pub ops: SocketAddr,
    /// `[store]`
    pub store: store::StoreSettings,
    /// `store.master_key`: one valid key, or two while it is being changed.
    pub master_key: Option<Secret>,
    /// `store.redis` and the related keys; the database if several gateways may share it.
    pub ephemeral: ephemeral::KvSettings,
    /// `[tokens]`: issuing.
    pub tokens: grant::TokenSettings,
    /// `tokens.algorithm`
    pub algorithm: Algorithm,
    /// `tokens.signing_key`, `tokens.verifying_keys`, already read.
    pub keys: keys::ConfiguredKeys,
    /// `tokens.publish_ahead`: how long a new key is published before it signs; default 15 min.
    pub publish_ahead: Duration,
    /// `tokens.rotate_every`: how often keys are rotated automatically.
    pub rotate_every: Option<Duration>,
    /// The requirements on Guarita's own tokens. `tokens.leeway` is 0 to 60 s, default 30 s; `tokens.max_length`
    /// 1 KiB to 64 KiB, default 16 KiB.
    pub expectations: Expectations,
    /// `[passwords]`, `[lockout]`
    pub login: login::LoginSettings,
    /// `[pages]`
    pub pages: pages::PageSettings,
    /// `[mfa]`
    pub mfa: login::FactorSettings,
    /// `mfa.required_roles`
    pub required_roles: Vec<Role>,
    /// `[mail]`; without it no mail is sent.
    pub mail: Option<mail::MailSettings>,
    /// `[recovery]`, `[verification]`
    pub links: Links,
    /// `[passwords] min_score`, `breached_file`
    pub policy: account::PolicySettings,
    /// `[[upstreams]]`
    pub upstreams: Vec<upstream::UpstreamSettings>,
    /// `[[routes]]`
    pub routes: Vec<Route>,
    /// `[identity_headers]`
    pub identity_headers: IdentityHeaders,
    /// `[assertion]`, if enabled.
    pub assertion: Option<Assertion>,
    /// `credentials.service_api_key`, with its roles.
    pub service_key: Option<ServiceKey>,
    /// `[introspection]`
    pub introspection: IntrospectionClients,
    /// `[[providers]]`
    pub providers: Vec<provider::ProviderSettings>,
    /// `credentials.on_invalid = "reject"`
    pub reject_invalid: bool,
    /// `trusted_proxies`
    pub trusted_proxies: Vec<IpNet>,
    /// `[endpoints] aliases`: alias path to own path; `/api/auth/token` is always present.
    pub aliases: Vec<(Box<str>, Box<str>)>,
    /// `[limits]`
    pub limits: Limits,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[audit] directory` (default `<data_dir>/audit`) and `keep` (at least 180 d).
    pub audit: AuditSettings,
    /// `[log] level`: a `tracing` filter, default `info`.
    pub log_filter: String,
    /// `[drain] delay`: how long connections are still accepted after SIGTERM; default none.
    pub drain_delay: Duration,
    /// `[drain] timeout`: how long open requests may take to complete after SIGTERM; default 30 s.
    pub drain_timeout: Duration,
    /// Worker threads; default: the number of cores that this process may use.
    pub threads: usize,
    /// All files that were read, to be watched.
    pub files: Files,
    /// The configuration file itself.
    pub file: PathBuf,
    /// The locations of keys, for problems that are detected only when the snapshot is built.
    pub places: SourceLocations,
    /// Warnings for the operator, one line each with the location.
    pub warnings: Vec<String>,
}

impl Config {
    /// The settings for the administration of keys.
    pub fn keys_settings(&self) -> keys::KeySettings {
        let assertion = self.assertion.as_ref();
        keys::KeySettings {
            algorithm: self.algorithm,
            publish_ahead: self.publish_ahead,
            assertion_publish_ahead: assertion
                .map_or(Assertion::PUBLISH_AHEAD, |assertion| assertion.publish_ahead),
            given: self.keys.signing.is_some(),
        }
    }

    /// A warning if no mail can be sent.
    pub const fn without_mail(&self) -> Option<&'static str> {
        match (&self.mail, self.login.require_verified_email) {
            (Some(_), _) => None,
            (None, false) => Some(
                "mail.server is not set: no mail is sent, so users can neither recover a password \
                 nor verify an address",
            ),
            (None, true) => Some(
                "mail.server is not set, but verification.required is: only an operator can verify \
                 an account (guarita user verify)",
            ),
        }
    }
}

/// `file:line: key` of settings that are checked when the snapshot is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLocations {
    /// `tokens.signing_key`, or its file, or `tokens`.
    pub signing: String,
    /// One for each of [`Config::keys`]' verifying keys.
    pub verifying: Vec<String>,
    /// `[assertion]`
    pub assertion: String,
    /// One for each of [`Config::listeners`].
    pub listeners: Vec<String>,
    /// One for each of [`Config::upstreams`].
    pub upstreams: Vec<String>,
}

/// `[assertion]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// How long a new key is published before it signs; 0 s to 24 h, default 10 min.
    pub publish_ahead: Duration,
    /// One for each of [`Config::upstreams`]: 1 to 255 bytes, default its name.
    pub audiences: Vec<Arc<str>>,
}

impl Assertion {
    /// The default.
    pub const PUBLISH_AHEAD: Duration = Duration::from_secs(600);
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The directory of the daily files.
    pub directory: PathBuf,
    /// How long the files are kept; at least 180 days.
    pub keep: Duration,
}

/// `[[listeners]]`
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address.
    pub address: SocketAddr,
    /// Certificates; the first is the default if SNI matches none; empty for plain HTTP.
    pub certificates: Vec<Certificate>,
    /// Client certificates.
    pub client_auth: ClientAuth,
}

/// A chain and its key, in PEM, with their source for messages.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM of the chain, leaf first.
    pub chain: Vec<u8>,
    /// PEM of the private key.
    pub key: Secret,
    /// The file of the chain.
    pub file: PathBuf,
}

/// `client_auth`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients are not asked for a certificate.
    None,
    /// Clients are asked for a certificate; an invalid one fails the handshake. PEM of the CAs.
    Optional(Vec<u8>),
    /// A valid certificate is required. PEM of the CAs.
    Required(Vec<u8>),
}

/// `[[routes]]`
#[derive(Clone, Debug)]
pub struct Route {
    /// Hosts, path, methods.
    pub matcher: Matcher,
    /// The access policy.
    pub policy: Policy,
    /// The name of the upstream, which exists.
    pub upstream: Box<str>,
    /// `forward_credentials`
    pub forward_credentials: bool,
    /// `max_body` in bytes.
    pub max_body: Option<u64>,
    /// `timeout`: from the head to the end of the response.
    pub timeout: Option<Duration>,
    /// The line in the file, for messages about overlaps.
    pub line: usize,
}
