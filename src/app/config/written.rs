//! The configuration as it is written in the file, key by key. `guarita schema` prints these
//! descriptions. Bounds of numbers stand here and nowhere else; those of times and sizes, and all
//! that needs more than one key, are checked where the section is resolved.

use schemars::JsonSchema;
use serde::Deserialize;

mod assertion;
mod introspection;
mod limits;
mod provider;
mod rate_limits;
mod section;
mod token;
mod upstream;

pub use assertion::Assertion;
pub use introspection::{Introspection, IntrospectionClient};
pub use limits::Limits;
pub use provider::{
    Audience, LinkBy, Provider, ProviderPreset, ProviderUsers, TokenType, UnmappedRoles,
};
pub use rate_limits::{Bounds, RateLimits, SourceBounds};
pub use section::{
    Audit, Credentials, Drain, Endpoints, IdentityHeaders, Log, Mail, MailLanguage, MailTls, Mfa,
    OnInvalid, Ops, Pages, Preset, Recovery, Server, Sessions, Store, Verification,
};
pub use token::{Algorithm, Lockout, PasswordAlgorithm, Passwords, Rotation, RotationWord, Tokens};
pub use upstream::{HealthCheck, Upstream, UpstreamTls};

/// A length of time: a whole number followed by `ms`, `s`, `m`, `h` or `d`, as in `"250ms"`, `"5s"`,
/// `"60m"`, `"30d"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9]+(ms|s|m|h|d)$"))]
pub struct Time(pub String);

/// A size in bytes: a whole number, or one followed by `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// A number of bytes.
    Bytes(#[schemars(range(min = 0))] i64),
    /// A number with its unit, as in `"10MiB"`.
    Text(String),
}

/// The configuration of Guarita.
///
/// Relative paths of files (certificates, keys, secrets) start at the directory of this file.
/// Relative paths of data (`data_dir`, the SQLite database, `audit.directory`) start at the working
/// directory.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Who issues tokens. Default `local`. Changing it needs a restart.
    pub mode: Option<Mode>,
    /// Allows `mode = "off"`. Default false.
    pub allow_insecure: Option<bool>,
    /// Where callers reach this gateway: `https://host[:port]`, or `http://` on a loopback host. No
    /// path. Default `https://localhost:8443`. Changing it needs a restart.
    pub public_url: Option<String>,
    /// Where Guarita keeps its keys, the SQLite database and the audit files. Default `data`.
    /// Changing it needs a restart.
    pub data_dir: Option<String>,
    /// Addresses and networks (`10.0.0.0/8`) of proxies in front of this gateway whose
    /// `X-Forwarded-*` are believed. Default none.
    #[schemars(length(max = 1000))]
    pub trusted_proxies: Option<Vec<String>>,
    /// Where Guarita listens; at least one. Adding or removing an address needs a restart,
    /// certificates and client authentication change live.
    #[schemars(required, length(min = 1, max = 100))]
    pub listeners: Option<Vec<Listener>>,
    /// The address for operators: metrics and health.
    #[serde(default)]
    pub ops: Ops,
    /// Where accounts and sessions are kept.
    #[serde(default)]
    pub store: Store,
    /// The tokens that Guarita issues and accepts.
    #[serde(default)]
    pub tokens: Tokens,
    /// Rules and costs of passwords.
    #[serde(default)]
    pub passwords: Passwords,
    /// When an account is locked.
    #[serde(default)]
    pub lockout: Lockout,
    /// Second factors.
    #[serde(default)]
    pub mfa: Mfa,
    /// The pages that Guarita shows to people.
    #[serde(default)]
    pub pages: Pages,
    /// The sessions that browsers hold by a cookie.
    #[serde(default)]
    pub sessions: Sessions,
    /// The mail server.
    #[serde(default)]
    pub mail: Mail,
    /// Recovery of passwords by mail.
    #[serde(default)]
    pub recovery: Recovery,
    /// Verification of e-mail addresses.
    #[serde(default)]
    pub verification: Verification,
    /// The servers behind this gateway.
    #[schemars(length(max = 10_000))]
    pub upstreams: Option<Vec<Upstream>>,
    /// What is forwarded, where to, and for whom. The longest match wins; what matches no route is
    /// refused.
    #[schemars(length(max = 100_000))]
    pub routes: Option<Vec<Route>>,
    /// Issuers of others whose tokens count.
    #[schemars(length(max = 100))]
    pub providers: Option<Vec<Provider>>,
    /// The names of the headers that tell an upstream who is calling.
    #[serde(default)]
    pub identity_headers: IdentityHeaders,
    /// A signed statement of who is calling, for upstreams that want proof.
    #[serde(default)]
    pub assertion: Assertion,
    /// How credentials are taken.
    #[serde(default)]
    pub credentials: Credentials,
    /// Who may ask about tokens and revoke them.
    #[serde(default)]
    pub introspection: Introspection,
    /// The endpoints that Guarita serves itself.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Bounds of what callers may send.
    #[serde(default)]
    pub limits: Limits,
    /// How often somebody may try.
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// The audit files.
    #[serde(default)]
    pub audit: Audit,
    /// The log on standard output.
    #[serde(default)]
    pub log: Log,
    /// How the process ends.
    #[serde(default)]
    pub drain: Drain,
    /// The process.
    #[serde(default)]
    pub server: Server,
}

/// Who issues tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Guarita itself.
    Local,
    /// Only providers: nothing is issued here.
    External,
    /// Nobody, and nobody is judged: for development, on loopback only, with `allow_insecure = true`.
    Off,
}

/// One address to listen on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port, as in `0.0.0.0:8443` or `[::]:8443`.
    #[schemars(required)]
    pub address: Option<String>,
    /// TLS 1.2 and 1.3 with these certificates; plain HTTP without it.
    pub tls: Option<ListenerTls>,
    /// Whether callers are asked for a client certificate.
    pub client_auth: Option<ClientAuth>,
}

/// The certificates of a listener: one pair, or several told apart by SNI.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// File of the chain in PEM, leaf first.
    pub certificate: Option<String>,
    /// File of the private key in PEM.
    pub key: Option<String>,
    /// Several pairs; the first answers where SNI names none of the others.
    #[schemars(length(min = 1, max = 1000))]
    pub certificates: Option<Vec<CertificatePair>>,
}

/// A certificate and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificatePair {
    /// File of the chain in PEM, leaf first.
    #[schemars(required)]
    pub certificate: Option<String>,
    /// File of the private key in PEM.
    #[schemars(required)]
    pub key: Option<String>,
}

/// Client certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// Whether they are asked for.
    #[schemars(required)]
    pub mode: Option<ClientAuthMode>,
    /// File of the CAs in PEM that may have signed them.
    pub ca: Option<String>,
}

/// Whether client certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthMode {
    /// Not asked for.
    None,
    /// Asked for; an invalid one fails the handshake.
    Optional,
    /// Demanded.
    Required,
}

/// What is forwarded, where to, and for whom.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Hosts, as in `api.example.com` or `*.example.com`. Every host where it is left out.
    #[schemars(length(min = 1, max = 1000))]
    pub hosts: Option<Vec<String>>,
    /// The path, as in `/orders`, `/orders/{id}` or `/orders/{*rest}`.
    #[schemars(required)]
    pub path: Option<String>,
    /// Methods, in capitals. Every method that is forwarded where it is left out.
    #[schemars(length(min = 1, max = 20))]
    pub methods: Option<Vec<String>>,
    /// The name of an upstream.
    #[schemars(required)]
    pub upstream: Option<String>,
    /// Whether a credential is demanded. Default `authenticated`.
    pub access: Option<Access>,
    /// Who may pass; all that is written must hold.
    pub allow: Option<Allow>,
    /// Sends the caller's `Authorization`, API key and gateway cookies to the upstream. Default
    /// false.
    pub forward_credentials: Option<bool>,
    /// How a request under a session cookie, with a method that may change something, shows that the
    /// person meant it. Default `token`.
    pub csrf: Option<Protection>,
    /// Largest request body; 0 to 1 TiB. Default `limits.body_bytes`.
    pub max_body: Option<Size>,
    /// From the end of the request's head to the end of the answer; 1 ms to 24 h. Default none.
    pub timeout: Option<Time>,
    /// What becomes of callers while it cannot be known whether their session or key was revoked, as the database does
    /// not answer: `refuse`, or `serve_for` and a time of 1 s to 1 h, as in `serve_for 5m`. Default `refuse`.
    #[schemars(extend("pattern" = "^(refuse|serve_for [0-9]+(ms|s|m|h|d))$"))]
    pub on_unknown: Option<String>,
}

/// Whether a route demands a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nobody is asked who they are.
    Public,
    /// A credential that counts is demanded.
    Authenticated,
}

/// How a request under a session cookie shows that the person meant it. None may come from another
/// site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// By `X-CSRF-Token`, with the token that `GET /auth/csrf` gives.
    Token,
    /// By `Sec-Fetch-Site` or `Origin`, for upstreams with forms of their own; by the token where
    /// neither is sent.
    Origin,
}

/// Who may pass a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Any of these roles.
    #[schemars(length(min = 1, max = 256))]
    pub roles: Option<Vec<String>>,
    /// Any of these subject common names in a verified client certificate.
    #[schemars(length(min = 1, max = 1000))]
    pub client_cns: Option<Vec<String>>,
    /// Any of these sources of the credential.
    #[schemars(length(min = 1, max = 3))]
    pub sources: Option<Vec<Source>>,
    /// Any of these scopes (RFC 6749 section 3.3) of the credential. API keys have them.
    #[schemars(length(min = 1, max = 256))]
    pub scopes: Option<Vec<String>>,
    /// Whether a second factor is demanded of the session (RFC 9470). Default false.
    pub mfa: Option<bool>,
}

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `x-service-api-key`
    ApiKey,
    /// `Authorization: Bearer`
    Bearer,
    /// A session cookie.
    Session,
}
