//! `[[providers]]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::Time;
use guarita_core::Secret;

/// An identity provider whose tokens are accepted: Okta, Entra, Supabase, Keycloak or any other that supports
/// OpenID Connect. Settings of how tokens are read are reloaded while Guarita runs; keys are fetched in the
/// background.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawProvider {
    /// The provider's name, unique: 1 to 64 lower-case letters, digits and hyphens.
    #[schemars(required)]
    pub name: Option<String>,
    /// `iss` of its tokens, compared exactly: 1 to 255 bytes. Discovery documents are requested below it.
    #[schemars(required)]
    pub issuer: Option<String>,
    /// `aud` of its tokens: one value, or a list of which one must match; each 1 to 255 bytes. Default with
    /// `preset = "supabase"`: `authenticated`.
    pub audience: Option<RawAudience>,
    /// Defaults for a kind of provider.
    pub preset: Option<RawProviderPreset>,
    /// With `preset = "supabase"`, the cookie in which the provider's library keeps the session: 1 to 255 visible
    /// characters. Default `sb-<first label of the issuer's host>-auth-token`.
    pub cookie_name: Option<String>,
    /// Whether the URL of its keys is taken from its discovery document. Default true, unless `jwks_uri`,
    /// `secret` or a preset sets the keys.
    pub discovery: Option<bool>,
    /// URL of its keys (a JWK Set): `https`, or `http` on a loopback host.
    pub jwks_uri: Option<String>,
    /// File of the CAs in PEM that its server certificate is verified with. Default: the system's CAs.
    pub ca: Option<String>,
    /// The secret that it signs with (HS256): 32 to 4096 bytes.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// File that holds the value of `secret`.
    pub secret_file: Option<String>,
    /// The `typ` that its tokens must have. Default: both are accepted.
    pub token_type: Option<RawTokenType>,
    /// Clock leeway: at most `60s`. Default `tokens.leeway`.
    pub leeway: Option<Time>,
    /// Claims that must have this value, or contain it if they are a list: `tid = "…"`. Dots lead into nested
    /// claims.
    pub required_claims: Option<BTreeMap<String, String>>,
    /// The claims that permanently identify a user, by which accounts are linked (`users`), in access tokens and ID
    /// tokens; the first that is a non-empty string is used. Default `sub`.
    #[schemars(length(min = 1, max = 8))]
    pub link_from: Option<Vec<String>>,
    /// The claim used as the subject. Default `sub`.
    pub subject_from: Option<String>,
    /// The claims that hold roles; the first that is present is used. Dots lead into nested claims:
    /// `realm_access.roles`. Default `app_roles`, `roles`, `groups`.
    #[schemars(length(max = 32))]
    pub roles_from: Option<Vec<String>>,
    /// Maps the provider's roles or groups to Guarita's roles.
    pub role_map: Option<BTreeMap<String, String>>,
    /// What happens to names that are not in `role_map`. Default `keep`; `Guarita.Admin` is never kept.
    pub unmapped_roles: Option<RawUnmappedRoles>,
    /// Whether its tokens belong to local accounts. Default `none`: the identity is that of the token.
    pub users: Option<RawProviderUsers>,
    /// How an account is found at the first token of a subject: by any of these. Default none; with
    /// `preset = "supabase"` `auth_user_id`.
    #[schemars(length(max = 3))]
    pub link_by: Option<Vec<RawLinkBy>>,
    /// The roles of accounts that are created (`users = "create"`). Default none.
    #[schemars(length(max = 256))]
    pub default_roles: Option<Vec<String>>,
    /// Guarita's client id at the provider: enables login with the provider. Needs `users` and a discovery document.
    /// Register the redirect URI `<public_url>/auth/oidc/<name>/callback`.
    pub client_id: Option<String>,
    /// The secret of that client: 1 to 4096 bytes. Omit it for a public client.
    #[schemars(with = "Option<String>")]
    pub client_secret: Option<Secret>,
    /// File that holds the value of `client_secret`.
    pub client_secret_file: Option<String>,
    /// The scopes requested at a login. Default `openid`, `profile`, `email`.
    #[schemars(length(max = 32))]
    pub scopes: Option<Vec<String>>,
    /// The provider's name on the sign-in page: 1 to 64 bytes. Default `name`.
    pub label: Option<String>,
    /// Whether signing out on the account page also signs out at the provider (OpenID Connect RP-Initiated
    /// Logout 1.0). Needs `client_id`; register `<public_url>/login` as post-logout redirect URI. Default false.
    pub logout: Option<bool>,
    /// Lifetime of a session that depends on a session at the provider: `1m` to `365d`. Default `90d`.
    pub session_ttl: Option<Time>,
    /// How often its keys are fetched: `1s` to `1d`. Default `5m`.
    pub keys_refresh: Option<Time>,
    /// Minimum time between two fetches, also when tokens name unknown keys: `100ms` to `1h`, at most
    /// `keys_refresh`. Default `30s`.
    pub keys_cooldown: Option<Time>,
    /// How long its keys stay valid while they cannot be fetched: `1s` to `30d`. Default `1d`.
    pub keys_max_age: Option<Time>,
}

/// One audience, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawAudience {
    /// One.
    One(String),
    /// Any of these.
    Several(#[schemars(length(max = 100))] Vec<String>),
}

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawProviderPreset {
    /// A Supabase project: `issuer` is `https://<project>.supabase.co/auth/v1`.
    Supabase,
}

/// Local accounts of a provider's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawProviderUsers {
    /// No local accounts.
    None,
    /// Accounts that are linked, or can be linked by `link_by`; other tokens are rejected.
    Linked,
    /// As `linked`; for other tokens an account is created.
    Create,
}

/// How an account is matched with a provider's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawLinkBy {
    /// The profile's `auth_user_id` equals the subject.
    AuthUserId,
    /// The same e-mail address, verified on both sides.
    Email,
    /// The claim `cpf` equals the account's CPF.
    Cpf,
}

/// The `typ` header of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RawTokenType {
    /// An access token by RFC 9068.
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// `JWT`, or no `typ`.
    #[serde(rename = "JWT")]
    Jwt,
}

/// Roles that are not in `role_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawUnmappedRoles {
    /// They are kept unchanged.
    Keep,
    /// They are dropped.
    Drop,
}
