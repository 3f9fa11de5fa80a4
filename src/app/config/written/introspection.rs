//! `[introspection]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Secret;

/// Who may ask about tokens at `/oauth2/introspect` (RFC 7662) and revoke them at `/oauth2/revoke`
/// (RFC 7009). Without any, nobody may.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Clients with a secret. `INTROSPECTION_CLIENTS` (`id:secret,id:secret`) wins.
    #[schemars(length(max = 1000))]
    pub clients: Option<Vec<IntrospectionClient>>,
    /// Subject common names of certificates that a listener with `client_auth` verified, each 1 to 255
    /// bytes. `INTROSPECTION_MTLS_ALLOWED_CNS` (`name,name`) wins.
    #[schemars(length(max = 1000))]
    pub mtls_allowed_cns: Option<Vec<String>>,
}

/// One client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionClient {
    /// Its name: 1 to 255 bytes, no colon.
    pub id: String,
    /// Its secret: 1 to 4096 bytes, better 32 or more.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// File that holds the value of `secret`.
    pub secret_file: Option<String>,
    /// Another secret that counts too, while one takes the place of the other.
    #[schemars(with = "Option<String>")]
    pub further_secret: Option<Secret>,
    /// File that holds the value of `further_secret`.
    pub further_secret_file: Option<String>,
}
