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
    /// `sqlite:PATH`. Default `sqlite:<data_dir>/guarita.db`. `postgres://` is not available yet:
    /// refused.
    #[schemars(with = "Option<String>")]
    pub database: Option<Secret>,
    /// File that holds the value of `database`.
    pub database_file: Option<String>,
    /// Redis, where several gateways share one state. Not available yet: refused unless empty.
    #[schemars(with = "Option<String>")]
    pub redis: Option<Secret>,
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
}

/// Names as other gateways send them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// `sub`, `app_roles`.
    #[default]
    Guarita,
    /// `X-Forwarded-User`, `X-Forwarded-Groups`.
    ForwardedUser,
    /// `X-Auth-Request-User`, `X-Auth-Request-Groups`.
    XAuthRequest,
    /// `Remote-User`, `Remote-Groups`.
    RemoteUser,
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

/// How credentials are taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// What a bad credential does. Default `next`.
    pub on_invalid: Option<OnInvalid>,
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
    /// How long open requests may last after SIGTERM; 0 s to 1 h. Default 30 s. Changing it needs a
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
