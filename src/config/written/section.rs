//! The small sections as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::Time;
use guarita_core::Secret;

/// The ops listener: metrics and health.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOps {
    /// IP address and port of `/metrics`, `/healthz` and `/readyz`. Default `127.0.0.1:9090`.
    /// Changing it needs a restart.
    pub address: Option<String>,
}

/// The database of accounts and sessions, the master key, and Redis. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawStore {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with the parameters `sslmode` (`disable`,
    /// `allow`, `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `sslcert` and `sslkey` (absolute
    /// paths); the host may be the directory of a socket, percent-encoded. Default `sqlite:<data_dir>/guarita.db`.
    #[schemars(with = "Option<String>")]
    pub database: Option<Secret>,
    /// File that holds the value of `database`.
    pub database_file: Option<String>,
    /// The key that encrypts the keys shared by several gateways; these are then kept in the database. At least 32
    /// bytes without white space. While it is being changed, two keys separated by white space, the new one first.
    /// `GUARITA_MASTER_KEY` takes precedence. Without it each gateway has its own keys, in `<data_dir>`.
    #[schemars(with = "Option<String>")]
    pub master_key: Option<Secret>,
    /// File that holds the value of `master_key`.
    pub master_key_file: Option<String>,
    /// How long the start waits for a database server that does not answer; 0s to 1h. Default `1m`.
    pub wait: Option<Time>,
    /// Redis, by which several gateways share rate limits and tickets: `redis://user:password@host:6379/0`,
    /// `redis-sentinel://host:26379,host2:26379/service/0`, `redis-cluster://host:6379,host2:6379`; with TLS
    /// `rediss…`. Default none.
    #[schemars(with = "Option<String>")]
    pub redis: Option<Secret>,
    /// File that holds the value of `redis`.
    pub redis_file: Option<String>,
    /// File of the CAs in PEM that Redis's certificate is verified with. Default: the system's CAs.
    pub redis_ca: Option<String>,
    /// Prefix of every key in Redis, followed by a colon; 1 to 64 letters, digits, `.`, `-` or `_`.
    /// Default `guarita`.
    pub redis_prefix: Option<String>,
    /// Time-out of a request to Redis; 10 ms to 10 s. Default 250 ms.
    pub redis_timeout: Option<Time>,
}

/// The names of the identity headers sent to upstreams. Two names must not differ only in case or in
/// `-` and `_`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIdentityHeaders {
    /// A set of names; the keys below override single names. Default `guarita`.
    pub preset: Option<RawPreset>,
    /// The subject. Default `sub`.
    pub subject: Option<String>,
    /// The roles, joined by commas. Default `app_roles`.
    pub roles: Option<String>,
    /// The numeric id of the local user row. Default `x-auth-uid`.
    pub user: Option<String>,
    /// The session id. Default `x-auth-sid`.
    pub session: Option<String>,
    /// The source of the credential. Default `x-auth-source`.
    pub source: Option<String>,
    /// The signed assertion, if `assertion.enabled`. Default `x-auth-assertion`.
    pub assertion: Option<String>,
}

/// Names as other gateways send them. A header that a preset does not name keeps Guarita's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawPreset {
    /// `sub`, `app_roles`.
    #[default]
    Guarita,
    /// `X-Forwarded-User`, `X-Forwarded-Groups`.
    ForwardedUser,
    /// As oauth2-proxy sends them to upstreams: the same as `forwarded-user`.
    Oauth2Proxy,
    /// `X-Auth-Request-User`, `X-Auth-Request-Groups`: as oauth2-proxy sends them in responses to `auth_request`.
    XAuthRequest,
    /// `Remote-User`, `Remote-Groups`.
    RemoteUser,
    /// As Authelia sends them: the same as `remote-user`.
    Authelia,
    /// `X-Pomerium-Claim-Sub`, `X-Pomerium-Claim-Groups`, `X-Pomerium-Claim-Sid`,
    /// `X-Pomerium-Jwt-Assertion`.
    Pomerium,
    /// `Cf-Access-Jwt-Assertion`.
    CloudflareAccess,
    /// `X-Goog-Authenticated-User-Id` with `accounts.google.com:` before the subject,
    /// `X-Goog-IAP-JWT-Assertion`.
    GoogleIap,
}

/// Second factors. Changing them needs a restart, except for `required_roles`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMfa {
    /// The key that encrypts the secrets of second factors; at least 32 characters. `TOTP_ENC_KEY` takes
    /// precedence. Without it no second factor can be enrolled.
    #[schemars(with = "Option<String>")]
    pub encryption_key: Option<Secret>,
    /// File that holds the value of `encryption_key`.
    pub encryption_key_file: Option<String>,
    /// Earlier keys; they still decrypt what was encrypted with them.
    #[schemars(with = "Option<Vec<String>>", length(max = 10))]
    pub previous_keys: Option<Vec<Secret>>,
    /// How long the counter of the last code is kept; 60 s to 1 h. Default 5 m. `TOTP_REPLAY_TTL` (in
    /// seconds) takes precedence.
    pub replay_ttl: Option<Time>,
    /// Users with any of these roles must have a second factor: until then their session can only enrol one.
    /// Default none.
    #[schemars(length(max = 256))]
    pub required_roles: Option<Vec<String>>,
    /// How long after a login a second factor can be enrolled without the password; 0 s to 24 h. Default
    /// 10 m.
    pub recent_login: Option<Time>,
}

/// The pages that Guarita shows to users. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPages {
    /// The name at the top of each page; 1 to 64 bytes. Default `Guarita`.
    pub name: Option<String>,
    /// File of a logo next to the name: PNG, JPEG, WebP or SVG, at most 256 KiB.
    pub logo: Option<String>,
    /// The colour of buttons and links, for example `#1b5e8c`.
    pub accent: Option<String>,
    /// The same in dark mode, for example `#8cc4ea`.
    pub accent_dark: Option<String>,
}

/// Browser sessions (session cookie). Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSessions {
    /// A session expires after this time without a request; 60 s to 30 d. Default 12 h.
    pub idle: Option<Time>,
    /// A session expires after this time in any case; 60 s to 365 d. Default 7 d.
    pub lifetime: Option<Time>,
}

/// The mail server. Without it no mail is sent: users can neither recover a password nor verify an address.
/// Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMail {
    /// Host name or address.
    pub server: Option<String>,
    /// Port. Default 587 with `starttls`, 465 with `tls`, 25 with `none`.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i64>,
    /// How the connection is protected. Default `starttls`. With `none`, credentials are sent to a
    /// loopback address only.
    pub tls: Option<RawMailTls>,
    /// File of further CAs in PEM that the server's certificate is verified with.
    pub ca: Option<String>,
    /// The user name for the server.
    pub username: Option<String>,
    /// The password for the server.
    #[schemars(with = "Option<String>")]
    pub password: Option<Secret>,
    /// File that holds the value of `password`.
    pub password_file: Option<String>,
    /// The sender's address.
    pub sender: Option<String>,
    /// The sender's name, and the name of the service in mails; 1 to 100 bytes. Default: the host of
    /// `public_url`.
    pub sender_name: Option<String>,
    /// Time-out of one attempt to send; 1 s to 5 m. Default 30 s.
    pub timeout: Option<Time>,
    /// The language of mails, unless the request asked for another. Default `en`.
    pub language: Option<RawMailLanguage>,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawMailTls {
    /// Not protected.
    None,
    /// STARTTLS, required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// The language of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RawMailLanguage {
    /// Brazilian Portuguese.
    #[serde(rename = "pt-BR")]
    PtBr,
    /// Spanish.
    #[serde(rename = "es")]
    Es,
    /// English.
    #[serde(rename = "en")]
    En,
}

/// Password recovery by mail. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRecovery {
    /// The URL of links; `?token=` is appended. Default `<public_url>/reset`. `PASSWORD_RESET_URL`
    /// takes precedence.
    pub url: Option<String>,
    /// How long a link is valid; 1 s to 1 h. Default 30 m. `RESET_TOKEN_TTL` (in seconds) takes precedence.
    pub ttl: Option<Time>,
}

/// Verification of e-mail addresses. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawVerification {
    /// The URL of links; `?token=` is appended. Default `<public_url>/verify-email`.
    /// `EMAIL_VERIFICATION_URL` takes precedence.
    pub url: Option<String>,
    /// How long a link is valid; 1 s to 1 h. Default 1 h. `EMAIL_VERIFICATION_TOKEN_TTL` (in seconds)
    /// takes precedence.
    pub ttl: Option<Time>,
    /// Rejects logins of accounts that are not verified, including those without an address.
    /// Default false. `AUTH_REQUIRE_VERIFIED_EMAIL` takes precedence.
    pub required: Option<bool>,
}

/// Handling of credentials.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCredentials {
    /// What happens after an invalid credential. Default `next`.
    pub on_invalid: Option<RawOnInvalid>,
    /// The key that services send as `x-service-api-key`; 1 to 4096 visible ASCII characters.
    /// `SERVICE_API_KEY` takes precedence. Without it no such key is accepted.
    #[schemars(with = "Option<String>")]
    pub service_api_key: Option<Secret>,
    /// File that holds the value of `service_api_key`.
    pub service_api_key_file: Option<String>,
    /// The roles of a request with this key. Default none.
    #[schemars(length(max = 256))]
    pub service_roles: Option<Vec<String>>,
}

/// What happens after an invalid credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawOnInvalid {
    /// The next one is tried.
    Next,
    /// The request is rejected.
    Reject,
}

/// The endpoints that Guarita serves itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEndpoints {
    /// Further paths of endpoints, alias to path, for example `"/api/login" = "/auth/login"`.
    /// `/api/auth/token` is always an alias of `/auth/token`.
    #[schemars(extend("maxProperties" = 1000))]
    pub aliases: Option<BTreeMap<String, String>>,
}

/// The audit files. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAudit {
    /// The directory of the daily files. Default `<data_dir>/audit`.
    pub directory: Option<String>,
    /// How long the files are kept; 180 d to 3650 d. Default 180 d.
    pub keep: Option<Time>,
}

/// The log on standard output. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLog {
    /// The level: `error`, `warn`, `info`, `debug`, `trace`, or a filter by module. Default `info`.
    pub level: Option<String>,
}

/// Graceful shutdown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDrain {
    /// How long connections are still accepted after SIGTERM, while `/readyz` already responds with 503: as long as the
    /// load balancer needs to notice it; 0 s to 5 min. Default 0 s. Changing it needs a restart.
    pub delay: Option<Time>,
    /// How long open requests may take to complete after SIGTERM and `delay`; 0 s to 1 h. Default 30 s. Changing it
    /// needs a restart.
    pub timeout: Option<Time>,
}

/// The process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawServer {
    /// Worker threads; 1 to 1024. Default: the number of cores that this process may use. Changing it
    /// needs a restart.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<i64>,
}
