//! The configuration as written in the file, key by key. `guarita schema` prints these
//! descriptions. Bounds of numbers are defined here only; those of times and sizes, and everything
//! that involves more than one key, are checked where the section is resolved.

use crate::config::written::quantity::{Size, Time};
use schemars::JsonSchema;
use serde::Deserialize;

pub mod quantity;
mod assertion;
mod introspection;
mod limits;
mod provider;
mod rate_limits;
mod section;
mod token;
mod upstream;

pub use assertion::RawAssertion;
pub use introspection::{RawIntrospection, RawIntrospectionClient};
pub use limits::RawLimits;
pub use provider::{
    RawAudience, RawLinkBy, RawProvider, RawProviderPreset, RawProviderUsers, RawTokenType,
    RawUnmappedRoles,
};
pub use rate_limits::{RawBounds, RawRateLimits, RawSourceBounds};
pub use section::{
    RawAudit, RawCredentials, RawDrain, RawEndpoints, RawIdentityHeaders, RawLog, RawMail,
    RawMailLanguage, RawMailTls, RawMfa, RawOnInvalid, RawOps, RawPages, RawPreset, RawRecovery,
    RawServer, RawSessions, RawStore, RawVerification,
};
pub use token::{
    RawAlgorithm, RawLockout, RawPasswordAlgorithm, RawPasswords, RawRotation, RawRotationWord,
    RawTokens,
};
pub use upstream::{RawHealthCheck, RawUpstream, RawUpstreamTls};

/// The configuration of Guarita.
///
/// Relative paths of files (certificates, keys, secrets) are resolved against the directory of this file.
/// Relative paths of data (`data_dir`, the SQLite database, `audit.directory`) are resolved against the
/// working directory.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Who issues tokens. Default `local`. Changing it needs a restart.
    pub mode: Option<RawMode>,
    /// Allows `mode = "off"`. Default false.
    pub allow_insecure: Option<bool>,
    /// The URL at which clients reach this gateway: `https://host[:port]`, or `http://` on a loopback host,
    /// without a path. Default `https://localhost:8443`. Changing it needs a restart.
    pub public_url: Option<String>,
    /// The directory of Guarita's keys, the SQLite database and the audit files. Default `data`.
    /// Changing it needs a restart.
    pub data_dir: Option<String>,
    /// Addresses and networks (`10.0.0.0/8`) of proxies in front of this gateway whose
    /// `X-Forwarded-*` headers are trusted. Default none.
    #[schemars(length(max = 1000))]
    pub trusted_proxies: Option<Vec<String>>,
    /// The addresses that Guarita listens on; at least one. Adding or removing an address needs a restart;
    /// certificates and client authentication are reloaded while it runs.
    #[schemars(required, length(min = 1, max = 100))]
    pub listeners: Option<Vec<RawListener>>,
    /// The ops listener: metrics and health.
    #[serde(default)]
    pub ops: RawOps,
    /// The database of accounts and sessions, and the master key.
    #[serde(default)]
    pub store: RawStore,
    /// The tokens that Guarita issues and accepts.
    #[serde(default)]
    pub tokens: RawTokens,
    /// Password policy and hashing.
    #[serde(default)]
    pub passwords: RawPasswords,
    /// Lockout of accounts after failed logins.
    #[serde(default)]
    pub lockout: RawLockout,
    /// Second factors.
    #[serde(default)]
    pub mfa: RawMfa,
    /// The pages that Guarita shows to users.
    #[serde(default)]
    pub pages: RawPages,
    /// Browser sessions (session cookie).
    #[serde(default)]
    pub sessions: RawSessions,
    /// The mail server.
    #[serde(default)]
    pub mail: RawMail,
    /// Password recovery by mail.
    #[serde(default)]
    pub recovery: RawRecovery,
    /// Verification of e-mail addresses.
    #[serde(default)]
    pub verification: RawVerification,
    /// The upstreams that requests are forwarded to.
    #[schemars(length(max = 10_000))]
    pub upstreams: Option<Vec<RawUpstream>>,
    /// The routes. The longest match wins; a request that matches no route is rejected.
    #[schemars(length(max = 100_000))]
    pub routes: Option<Vec<RawRoute>>,
    /// Identity providers whose tokens are accepted.
    #[schemars(length(max = 100))]
    pub providers: Option<Vec<RawProvider>>,
    /// The names of the identity headers sent to upstreams.
    #[serde(default)]
    pub identity_headers: RawIdentityHeaders,
    /// A signed JWT with the caller's identity, for upstreams that verify it.
    #[serde(default)]
    pub assertion: RawAssertion,
    /// Handling of credentials.
    #[serde(default)]
    pub credentials: RawCredentials,
    /// Token introspection and revocation for clients.
    #[serde(default)]
    pub introspection: RawIntrospection,
    /// The endpoints that Guarita serves itself.
    #[serde(default)]
    pub endpoints: RawEndpoints,
    /// Limits on requests and connections.
    #[serde(default)]
    pub limits: RawLimits,
    /// Rate limits of Guarita's own endpoints.
    #[serde(default)]
    pub rate_limits: RawRateLimits,
    /// The audit files.
    #[serde(default)]
    pub audit: RawAudit,
    /// The log on standard output.
    #[serde(default)]
    pub log: RawLog,
    /// Graceful shutdown.
    #[serde(default)]
    pub drain: RawDrain,
    /// The process.
    #[serde(default)]
    pub server: RawServer,
}

/// Who issues tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawMode {
    /// Guarita itself.
    Local,
    /// Only identity providers; Guarita issues no tokens.
    External,
    /// Nobody, and no request is authenticated: for development, on loopback only, with `allow_insecure = true`.
    Off,
}

/// One address to listen on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// IP address and port, for example `0.0.0.0:8443` or `[::]:8443`.
    #[schemars(required)]
    pub address: Option<String>,
    /// TLS 1.2 and 1.3 with these certificates; plain HTTP without it.
    pub tls: Option<RawListenerTls>,
    /// Whether clients are asked for a certificate.
    pub client_auth: Option<RawClientAuth>,
}

/// The certificates of a listener: one pair, or several selected by SNI.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListenerTls {
    /// File of the chain in PEM, leaf first.
    pub certificate: Option<String>,
    /// File of the private key in PEM.
    pub key: Option<String>,
    /// Several pairs; the first is the default if SNI matches none of the others.
    #[schemars(length(min = 1, max = 1000))]
    pub certificates: Option<Vec<RawCertificatePair>>,
}

/// A certificate and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCertificatePair {
    /// File of the chain in PEM, leaf first.
    #[schemars(required)]
    pub certificate: Option<String>,
    /// File of the private key in PEM.
    #[schemars(required)]
    pub key: Option<String>,
}

/// Client authentication by TLS certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawClientAuth {
    /// Whether clients are asked for a certificate.
    #[schemars(required)]
    pub mode: Option<RawClientAuthMode>,
    /// File of the CAs in PEM that client certificates are verified with.
    pub ca: Option<String>,
}

/// Whether client certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawClientAuthMode {
    /// Clients are not asked for a certificate.
    None,
    /// Clients are asked for a certificate; an invalid one fails the handshake.
    Optional,
    /// A valid certificate is required.
    Required,
}

/// One route: what it matches, the upstream, and who has access.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// Hosts, for example `api.example.com` or `*.example.com`. Default: every host.
    #[schemars(length(min = 1, max = 1000))]
    pub hosts: Option<Vec<String>>,
    /// The path, for example `/orders`, `/orders/{id}` or `/orders/{*rest}`.
    #[schemars(required)]
    pub path: Option<String>,
    /// Methods, in upper case. Default: every method that is forwarded.
    #[schemars(length(min = 1, max = 20))]
    pub methods: Option<Vec<String>>,
    /// The name of an upstream.
    #[schemars(required)]
    pub upstream: Option<String>,
    /// Whether a credential is required. Default `authenticated`.
    pub access: Option<RawAccess>,
    /// Who has access; all conditions must be met.
    pub allow: Option<RawAllow>,
    /// Sends the caller's `Authorization`, API key and gateway cookies to the upstream. Default
    /// false.
    pub forward_credentials: Option<bool>,
    /// CSRF protection of requests with a session cookie and a method that may change something. Default
    /// `token`.
    pub csrf: Option<RawProtection>,
    /// Largest request body; 0 to 1 TiB. Default `limits.body_bytes`.
    pub max_body: Option<Size>,
    /// Time from the end of the request's head to the end of the response; 1 ms to 24 h. Default none.
    pub timeout: Option<Time>,
    /// What happens to requests while the database does not answer, so that it is unknown whether the session or key
    /// was revoked: `refuse`, or `serve_for` with a time of 1 s to 1 h to go on with the last known state, for example
    /// `serve_for 5m`. Default `refuse`.
    #[schemars(extend("pattern" = "^(refuse|serve_for [0-9]+(ms|s|m|h|d))$"))]
    pub on_unknown: Option<String>,
}

/// Whether a route requires a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawAccess {
    /// No credential is required.
    Public,
    /// A valid credential is required.
    Authenticated,
}

/// CSRF protection of requests with a session cookie. Requests from another site are always rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawProtection {
    /// The request must have `X-CSRF-Token` with the token from `GET /auth/csrf`.
    Token,
    /// `Sec-Fetch-Site` or `Origin` is checked, for upstreams with forms of their own; the token if
    /// neither is sent.
    Origin,
}

/// Who has access to a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAllow {
    /// Any of these roles.
    #[schemars(length(min = 1, max = 256))]
    pub roles: Option<Vec<String>>,
    /// Any of these subject common names of a verified client certificate.
    #[schemars(length(min = 1, max = 1000))]
    pub client_cns: Option<Vec<String>>,
    /// Any of these sources of the credential.
    #[schemars(length(min = 1, max = 3))]
    pub sources: Option<Vec<RawSource>>,
    /// Any of these scopes (RFC 6749 section 3.3) of the credential. API keys have scopes.
    #[schemars(length(min = 1, max = 256))]
    pub scopes: Option<Vec<String>>,
    /// Whether the session must have a second factor (RFC 9470). Default false.
    pub mfa: Option<bool>,
}

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSource {
    /// `x-service-api-key`
    ApiKey,
    /// `Authorization: Bearer`
    Bearer,
    /// A session cookie.
    Session,
}
