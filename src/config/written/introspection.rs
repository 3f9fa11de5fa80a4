//! `[introspection]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use guarita_core::Secret;

/// Clients of `/oauth2/introspect` (RFC 7662) and `/oauth2/revoke` (RFC 7009). Without any client both
/// are closed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIntrospection {
    /// Clients with a secret. `INTROSPECTION_CLIENTS` (`id:secret,id:secret`) takes precedence.
    #[schemars(length(max = 1000))]
    pub clients: Option<Vec<RawIntrospectionClient>>,
    /// Subject common names of client certificates that a listener with `client_auth` verified, each 1 to 255
    /// bytes. `INTROSPECTION_MTLS_ALLOWED_CNS` (`name,name`) takes precedence.
    #[schemars(length(max = 1000))]
    pub mtls_allowed_cns: Option<Vec<String>>,
}

/// One client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIntrospectionClient {
    /// The client's id: 1 to 255 bytes, no colon.
    pub id: String,
    /// The client's secret: 1 to 4096 bytes; 32 or more are recommended.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// File that holds the value of `secret`.
    pub secret_file: Option<String>,
    /// A second secret that is also valid, for rotation.
    #[schemars(with = "Option<String>")]
    pub further_secret: Option<Secret>,
    /// File that holds the value of `further_secret`.
    pub further_secret_file: Option<String>,
}
