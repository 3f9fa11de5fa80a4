//! `[[providers]]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Time;
use crate::model::Secret;

/// An issuer of others whose tokens count: Okta, Entra, Supabase, Keycloak, any that speaks OpenID
/// Connect. What only says how tokens are read changes live, keys are fetched in the background.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Unique among providers: 1 to 64 small letters, digits and hyphens.
    #[schemars(required)]
    pub name: Option<String>,
    /// `iss` of its tokens, exactly: 1 to 255 bytes. Its discovery document is looked for below it.
    #[schemars(required)]
    pub issuer: Option<String>,
    /// `aud` of its tokens: one, or a list any of which counts; each 1 to 255 bytes. With
    /// `preset = "supabase"` `authenticated`.
    pub audience: Option<Audience>,
    /// Defaults for one kind of provider.
    pub preset: Option<ProviderPreset>,
    /// The cookie in which its library keeps a session, with `preset = "supabase"`: 1 to 255 visible characters.
    /// Default `sb-<first label of the issuer's host>-auth-token`.
    pub cookie_name: Option<String>,
    /// Whether its discovery document says where its keys are. Default true, unless `jwks_uri`, `secret` or
    /// a preset says it.
    pub discovery: Option<bool>,
    /// Where its keys are (a JWK Set): `https`, or `http` on a loopback host.
    pub jwks_uri: Option<String>,
    /// File with the CAs that its server is verified by, in PEM. Default those of the system.
    pub ca: Option<String>,
    /// The secret that it signs with by HS256: 32 to 4096 bytes.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// File that holds the value of `secret`.
    pub secret_file: Option<String>,
    /// The `typ` that its tokens must have. Default both.
    pub token_type: Option<TokenType>,
    /// Clock leeway: at most `60s`. Default that of `tokens.leeway`.
    pub leeway: Option<Time>,
    /// Claims that must be there with this value, or have it in their list: `tid = "…"`. A path goes
    /// down with dots.
    pub required_claims: Option<BTreeMap<String, String>>,
    /// The claims that name a person for ever, whom an account is linked to (`users`), in access tokens and ID
    /// tokens; the first that is there as a text that is not empty counts. Default `sub`.
    #[schemars(length(min = 1, max = 8))]
    pub link_from: Option<Vec<String>>,
    /// The claim that names the subject. Default `sub`.
    pub subject_from: Option<String>,
    /// The claims that hold roles; the first one present counts. A path goes down with dots:
    /// `realm_access.roles`. Default `app_roles`, `roles`, `groups`.
    #[schemars(length(max = 32))]
    pub roles_from: Option<Vec<String>>,
    /// Its roles or groups to ours.
    pub role_map: Option<BTreeMap<String, String>>,
    /// What becomes of names that `role_map` does not have. Default `keep`; `Guarita.Admin` is never kept.
    pub unmapped_roles: Option<UnmappedRoles>,
    /// The accounts behind its tokens. Default `none`: the token alone says who it is.
    pub users: Option<ProviderUsers>,
    /// What an account is found by at the first token of a subject: any of these. Default none; with
    /// `preset = "supabase"` `auth_user_id`.
    #[schemars(length(max = 3))]
    pub link_by: Option<Vec<LinkBy>>,
    /// The roles of accounts that are made (`users = "create"`). Default none.
    #[schemars(length(max = 256))]
    pub default_roles: Option<Vec<String>>,
    /// Who Guarita is to it: people then log in there for here. Needs `users`, and a discovery document. Register
    /// `<public_url>/auth/oidc/<name>/callback`.
    pub client_id: Option<String>,
    /// The secret of that client: 1 to 4096 bytes. None for a public client.
    #[schemars(with = "Option<String>")]
    pub client_secret: Option<Secret>,
    /// File that holds the value of `client_secret`.
    pub client_secret_file: Option<String>,
    /// What is asked for at a login. Default `openid`, `profile`, `email`.
    #[schemars(length(max = 32))]
    pub scopes: Option<Vec<String>>,
    /// What people know it by, on the page to sign in: 1 to 64 bytes. Default its name.
    pub label: Option<String>,
    /// Whether who signs out on the account page is led to the provider to sign out there too (OpenID Connect
    /// RP-Initiated Logout 1.0). Needs `client_id`; register `<public_url>/login` for after it. Default false.
    pub logout: Option<bool>,
    /// How long a session lasts that hangs on one of the provider's: `1m` to `365d`. Default `90d`.
    pub session_ttl: Option<Time>,
    /// How often its keys are fetched: `1s` to `1d`. Default `5m`.
    pub keys_refresh: Option<Time>,
    /// Least time between two fetches, also when tokens name unknown keys: `100ms` to `1h`, at most
    /// `keys_refresh`. Default `30s`.
    pub keys_cooldown: Option<Time>,
    /// How long its keys count while they cannot be fetched: `1s` to `30d`. Default `1d`.
    pub keys_max_age: Option<Time>,
}

/// One, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Any of these.
    Several(#[schemars(length(max = 100))] Vec<String>),
}

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderPreset {
    /// A project of Supabase: `issuer` is `https://<project>.supabase.co/auth/v1`.
    Supabase,
}

/// The accounts behind the tokens of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderUsers {
    /// None.
    None,
    /// Those that are linked, or can be; others are refused.
    Linked,
    /// As `linked`; for others one is made.
    Create,
}

/// A fact that an account and a provider's subject have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkBy {
    /// The profile's `auth_user_id`, where it is the subject.
    AuthUserId,
    /// An e-mail address that both sides verified.
    Email,
    /// The claim `cpf`.
    Cpf,
}

/// `typ` of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TokenType {
    /// RFC 9068.
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// `JWT`, or none.
    #[serde(rename = "JWT")]
    Jwt,
}

/// Names of roles that the map does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnmappedRoles {
    /// They stay as they are.
    Keep,
    /// They are left out.
    Drop,
}
