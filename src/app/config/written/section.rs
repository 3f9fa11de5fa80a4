//! The small sections as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Time;
use crate::model::Secret;

/// The address for operators.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// IP address and port of `/metrics`, `/healthz` and `/readyz`. Default `127.0.0.1:9090`.
    /// Changing it needs a restart.
    pub address: Option<String>,
}

/// Where accounts and sessions are kept. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with the parameters `sslmode` (`disable`,
    /// `allow`, `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `sslcert` and `sslkey` (absolute
    /// paths); the host may be the directory of a socket, percent-encoded. Default `sqlite:<data_dir>/guarita.db`.
    #[schemars(with = "Option<String>")]
    pub database: Option<Secret>,
    /// File that holds the value of `database`.
    pub database_file: Option<String>,
    /// Seals the keys that several gateways must have alike; they are then in the database. At least 32
    /// bytes without white space. While it is changed two, the new one first, with white space between.
    /// `GUARITA_MASTER_KEY` wins. Without it each gateway has its own keys, in `<data_dir>`.
    #[schemars(with = "Option<String>")]
    pub master_key: Option<Secret>,
    /// File that holds the value of `master_key`.
    pub master_key_file: Option<String>,
    /// How long the start waits for a server that does not answer, 0s to 1h. Default `1m`.
    pub wait: Option<Time>,
    /// Redis, where several gateways share rates and tickets: `redis://user:password@host:6379/0`,
    /// `redis-sentinel://host:26379,host2:26379/service/0`, `redis-cluster://host:6379,host2:6379`; with TLS
    /// `rediss…`. Default none.
    #[schemars(with = "Option<String>")]
    pub redis: Option<Secret>,
    /// File that holds the value of `redis`.
    pub redis_file: Option<String>,
    /// File of the CAs in PEM that Redis' certificate may be of. Default those of the system.
    pub redis_ca: Option<String>,
    /// What every key in Redis begins with, before a colon; 1 to 64 letters, digits, `.`, `-` or `_`.
    /// Default `guarita`.
    pub redis_prefix: Option<String>,
    /// Longest wait for an answer of Redis; 10 ms to 10 s. Default 250 ms.
    pub redis_timeout: Option<Time>,
}

/// The names of the headers that tell an upstream who is calling. Two names may not differ only in
/// case or in `-` and `_`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityHeaders {
    /// The names that hold where a key below says nothing else. Default `guarita`.
    pub preset: Option<Preset>,
    /// The subject. Default `sub`.
    pub subject: Option<String>,
    /// The roles, joined by commas. Default `app_roles`.
    pub roles: Option<String>,
    /// The numeric id of the local user row. Default `x-auth-uid`.
    pub user: Option<String>,
    /// The session. Default `x-auth-sid`.
    pub session: Option<String>,
    /// The source of the credential. Default `x-auth-source`.
    pub source: Option<String>,
    /// The signed statement of all of it, where `assertion.enabled`. Default `x-auth-assertion`.
    pub assertion: Option<String>,
}

/// Names as other gateways send them. What one of them has no name for keeps ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// `sub`, `app_roles`.
    #[default]
    Guarita,
    /// `X-Forwarded-User`, `X-Forwarded-Groups`.
    ForwardedUser,
    /// As oauth2-proxy sends to its upstreams: the same as `forwarded-user`.
    Oauth2Proxy,
    /// `X-Auth-Request-User`, `X-Auth-Request-Groups`: as oauth2-proxy answers `auth_request`.
    XAuthRequest,
    /// `Remote-User`, `Remote-Groups`.
    RemoteUser,
    /// As Authelia sends: the same as `remote-user`.
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

/// Second factors. Changing them needs a restart, `required_roles` apart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mfa {
    /// Encrypts the secrets of second factors; at least 32 characters. `TOTP_ENC_KEY` wins. Without
    /// it none can be enrolled.
    #[schemars(with = "Option<String>")]
    pub encryption_key: Option<Secret>,
    /// File that holds the value of `encryption_key`.
    pub encryption_key_file: Option<String>,
    /// Earlier keys, which still open what they encrypted.
    #[schemars(with = "Option<Vec<String>>", length(max = 10))]
    pub previous_keys: Option<Vec<Secret>>,
    /// How long the last code's counter is kept; 60 s to 1 h. Default 5 m. `TOTP_REPLAY_TTL` (in
    /// seconds) wins.
    pub replay_ttl: Option<Time>,
    /// Whoever has any of these roles must prove a second factor: until then a session reaches its
    /// enrolment and nothing else. Default none.
    #[schemars(length(max = 256))]
    pub required_roles: Option<Vec<String>>,
    /// How long after a login a factor can be enrolled without the password; 0 s to 24 h. Default
    /// 10 m.
    pub recent_login: Option<Time>,
}

/// The pages that Guarita shows to people. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The name at the head of each page; 1 to 64 bytes. Default `Guarita`.
    pub name: Option<String>,
    /// File of a picture beside it: PNG, JPEG, WebP or SVG, at most 256 KiB.
    pub logo: Option<String>,
    /// The colour of buttons and links, as in `#1b5e8c`.
    pub accent: Option<String>,
    /// The same on a dark ground, as in `#8cc4ea`.
    pub accent_dark: Option<String>,
}

/// The sessions that browsers hold by a cookie. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Over after so long without a request; 60 s to 30 d. Default 12 h.
    pub idle: Option<Time>,
    /// Over after so long, however often it is used; 60 s to 365 d. Default 7 d.
    pub lifetime: Option<Time>,
}

/// The mail server. Without it no mail is sent: nobody can recover a password or prove an address.
/// Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Host name or address.
    pub server: Option<String>,
    /// Default 587 with `starttls`, 465 with `tls`, 25 with `none`.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i64>,
    /// How the connection is protected. Default `starttls`. With `none`, credentials go to a
    /// loopback address only.
    pub tls: Option<MailTls>,
    /// File of further CAs in PEM that the server's certificate may be of.
    pub ca: Option<String>,
    /// The user name at the server.
    pub username: Option<String>,
    /// The password at the server.
    #[schemars(with = "Option<String>")]
    pub password: Option<Secret>,
    /// File that holds the value of `password`.
    pub password_file: Option<String>,
    /// The address that mails are from.
    pub sender: Option<String>,
    /// The name beside it, and what mails call this service; 1 to 100 bytes. Default the host of
    /// `public_url`.
    pub sender_name: Option<String>,
    /// Longest time of one attempt to send; 1 s to 5 m. Default 30 s.
    pub timeout: Option<Time>,
    /// The language of mails where nobody asked for another. Default `en`.
    pub language: Option<MailLanguage>,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Not at all.
    None,
    /// By STARTTLS, demanded.
    StartTls,
    /// From the first byte on.
    Tls,
}

/// A language of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum MailLanguage {
    /// Portuguese of Brazil.
    #[serde(rename = "pt-BR")]
    PtBr,
    /// Spanish.
    #[serde(rename = "es")]
    Es,
    /// English.
    #[serde(rename = "en")]
    En,
}

/// Recovery of passwords by mail. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Where links lead; `?token=` is appended. Default `<public_url>/reset`. `PASSWORD_RESET_URL`
    /// wins.
    pub url: Option<String>,
    /// How long a link counts; 1 s to 1 h. Default 30 m. `RESET_TOKEN_TTL` (in seconds) wins.
    pub ttl: Option<Time>,
}

/// Verification of e-mail addresses. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Where links lead; `?token=` is appended. Default `<public_url>/verify-email`.
    /// `EMAIL_VERIFICATION_URL` wins.
    pub url: Option<String>,
    /// How long a link counts; 1 s to 1 h. Default 1 h. `EMAIL_VERIFICATION_TOKEN_TTL` (in seconds)
    /// wins.
    pub ttl: Option<Time>,
    /// Refuses logins of accounts that are not verified, those without an address among them.
    /// Default false. `AUTH_REQUIRE_VERIFIED_EMAIL` wins.
    pub required: Option<bool>,
}

/// How credentials are taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// What a bad credential does. Default `next`.
    pub on_invalid: Option<OnInvalid>,
    /// The key that a service sends as `x-service-api-key`; 1 to 4096 visible ASCII characters.
    /// `SERVICE_API_KEY` wins. Without it no such key counts.
    #[schemars(with = "Option<String>")]
    pub service_api_key: Option<Secret>,
    /// File that holds the value of `service_api_key`.
    pub service_api_key_file: Option<String>,
    /// The roles of whoever sends it. Default none.
    #[schemars(length(max = 256))]
    pub service_roles: Option<Vec<String>>,
}

/// What a bad credential does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// The next one is tried.
    Next,
    /// The request is refused.
    Reject,
}

/// The endpoints that Guarita serves itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Further paths of endpoints: alias to own path, as in `"/api/login" = "/auth/login"`.
    /// `/api/auth/token` is always one of `/auth/token`.
    #[schemars(extend("maxProperties" = 1000))]
    pub aliases: Option<BTreeMap<String, String>>,
}

/// The audit files. Changing them needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Where the daily files lie. Default `<data_dir>/audit`.
    pub directory: Option<String>,
    /// How long they are kept; 180 d to 3650 d. Default 180 d.
    pub keep: Option<Time>,
}

/// The log on standard output. Changing it needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter by module. Default `info`.
    pub level: Option<String>,
}

/// How the process ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long connections are still accepted after SIGTERM, while `/readyz` says 503 already: as long as the load
    /// balancer in front needs to learn it; 0 s to 5 min. Default 0 s. Changing it needs a restart.
    pub delay: Option<Time>,
    /// How long open requests may last after SIGTERM and `delay`; 0 s to 1 h. Default 30 s. Changing it needs a
    /// restart.
    pub timeout: Option<Time>,
}

/// The process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Threads that serve requests; 1 to 1024. Default the cores this process may use. Changing it
    /// needs a restart.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<i64>,
}
