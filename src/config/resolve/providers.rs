//! `[[providers]]`

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::written::{
    self, RawAudience, RawConfig, RawLinkBy, RawProviderPreset, RawProviderUsers, RawUnmappedRoles,
};
use super::upstreams::host_and_port;
use super::{ConfigResolver, section};
use guarita_auth::federation;
use guarita_auth::snapshot::provider::{
    Accounts, KeysAt, ProviderClient, ProviderSettings, Published,
};
use guarita_core::Role;
use guarita_core::jose::{ClaimPath, Expectations, ProviderExpectations, TokenType, VerifyingKey};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Longest name, in bytes.
const MAX_NAME: usize = 64;
/// Longest issuer, audience, claim or value, in bytes.
const MAX_TEXT: usize = 255;
/// Longest secret of a client, in bytes.
const MAX_CLIENT_SECRET: usize = 4096;
/// Longest URL, in bytes.
const MAX_URL: usize = 2048;
/// Most entries of a map.
const MAX_ENTRIES: usize = 10_000;

/// The providers, each with a unique name and issuer. Defaults are those of Guarita's `own` tokens.
pub(super) fn resolve(
    written: &RawConfig,
    own: &Expectations,
    reader: &mut ConfigResolver<'_>,
) -> Vec<ProviderSettings> {
    let all = written.providers.as_deref().unwrap_or_default();
    let mut names = HashSet::new();
    let mut issuers = HashSet::from([Arc::clone(&own.issuer)]);
    let mut providers = Vec::new();
    for (position, provider) in all.iter().enumerate() {
        let path = format!("providers[{position}]");
        let settings = ProviderContext { own, path: &path, provider }.resolve(reader);
        if !names.insert(settings.name.clone()) {
            reader.report.problem(&format!("{path}.name"), "is a duplicate");
        }
        if !issuers.insert(Arc::clone(&settings.expected.token.issuer)) {
            let what = "is the issuer of another provider, or Guarita's own (tokens.issuer)";
            reader.report.problem(&format!("{path}.issuer"), what);
        }
        providers.push(settings);
    }
    providers
}

/// A provider and its path.
struct ProviderContext<'a> {
    own: &'a Expectations,
    path: &'a str,
    provider: &'a written::RawProvider,
}

impl ProviderContext<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn resolve(&self, reader: &mut ConfigResolver<'_>) -> ProviderSettings {
        // That both are there was checked with the shape.
        let issuer = reader.text(&self.at("issuer"), self.provider.issuer.as_ref(), "", MAX_TEXT);
        let secret = self.secret(reader);
        let published = self.published(&issuer, secret.is_some(), reader);
        let for_access_tokens = published.as_ref().is_some_and(|it| it.for_access_tokens);
        if !for_access_tokens && secret.is_none() {
            let what = "has no keys (discovery, jwks_uri, or a secret)";
            reader.report.problem(self.path, what);
        }
        ProviderSettings {
            name: self.name(reader),
            expected: self.expected(&issuer, reader),
            secret,
            client: self.client(reader),
            accounts: self.accounts(reader),
            cookie_name: self.cookie_name(&issuer, reader),
            published,
        }
    }

    fn name(&self, reader: &mut ConfigResolver<'_>) -> Box<str> {
        let name = reader.text(&self.at("name"), self.provider.name.as_ref(), "", MAX_NAME);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.bytes().all(plain) {
            let what = "must be lower-case letters, digits and hyphens";
            reader.report.problem(&self.at("name"), what);
        }
        name
    }

    fn accounts(&self, reader: &mut ConfigResolver<'_>) -> Option<Accounts> {
        let of = self.provider;
        let bounds = 60 * SECOND..=365 * DAY;
        let ttl = reader.time(&self.at("session_ttl"), of.session_ttl.as_ref(), 90 * DAY, bounds);
        let roles = reader.roles(&self.at("default_roles"), of.default_roles.as_ref());
        let create = match of.users {
            None | Some(RawProviderUsers::None) => {
                let of_accounts = of.link_by.is_some() || of.link_from.is_some();
                if of_accounts || of.default_roles.is_some() || of.session_ttl.is_some() {
                    let what = "must be \"linked\" or \"create\" if link_by, link_from, default_roles \
                                or session_ttl is set";
                    reader.report.problem(&self.at("users"), what);
                }
                return None;
            }
            Some(RawProviderUsers::Linked) => None,
            Some(RawProviderUsers::Create) => Some(roles),
        };
        let supabase = of.preset == Some(RawProviderPreset::Supabase);
        let by = |fact| of.link_by.as_ref().is_some_and(|all| all.contains(&fact));
        Some(Accounts {
            by_auth_user: by(RawLinkBy::AuthUserId) || (of.link_by.is_none() && supabase),
            by_email: by(RawLinkBy::Email),
            by_cpf: by(RawLinkBy::Cpf),
            create,
            session_ttl: ttl,
        })
    }

    fn client(&self, reader: &mut ConfigResolver<'_>) -> Option<ProviderClient> {
        let of = self.provider;
        let (text, file) = (of.client_secret.as_ref(), of.client_secret_file.as_ref());
        let secret = reader.secret(&self.at("client_secret"), text, file);
        if let Some((secret, path)) = &secret
            && !(1..=MAX_CLIENT_SECRET).contains(&secret.expose().len())
        {
            reader.report.problem(path, "must be 1 to 4096 bytes");
        }
        let Some(id) = &of.client_id else {
            if secret.is_some() || of.scopes.is_some() || of.label.is_some() || of.logout.is_some()
            {
                reader.report.problem(self.path, "has no client_id");
            }
            return None;
        };
        if matches!(of.users, None | Some(RawProviderUsers::None)) {
            let what = "must be \"linked\" or \"create\": a session needs an account";
            reader.report.problem(&self.at("users"), what);
        }
        let path = self.at("scopes");
        let default = ["openid", "profile", "email"].map(Box::from).to_vec();
        let scopes = of.scopes.as_ref().map(|scopes| {
            scopes.iter().map(|scope| reader.text(&path, Some(scope), "", MAX_TEXT)).collect()
        });
        let name = of.name.as_deref().unwrap_or_default();
        Some(ProviderClient {
            id: reader.text(&self.at("client_id"), Some(id), "", MAX_TEXT),
            secret: secret.map(|(secret, _)| secret),
            scopes: scopes.unwrap_or(default),
            label: reader.text(&self.at("label"), of.label.as_ref(), name, MAX_NAME),
            logout: of.logout == Some(true),
        })
    }

    fn cookie_name(&self, issuer: &str, reader: &mut ConfigResolver<'_>) -> Option<Box<str>> {
        let written = self.provider.cookie_name.as_ref();
        if self.provider.preset != Some(RawProviderPreset::Supabase) {
            if written.is_some() {
                let what = "is used with preset = \"supabase\" only";
                reader.report.problem(&self.at("cookie_name"), what);
            }
            return None;
        }
        let host = issuer.split("://").last().unwrap_or_default();
        let project = host.split(['.', ':', '/']).next().unwrap_or_default();
        let default = format!("sb-{project}-auth-token");
        let name = reader.text(&self.at("cookie_name"), written, &default, MAX_TEXT);
        let simple = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.bytes().all(simple) {
            let what = "must be letters, digits, - _ and .";
            reader.report.problem(&self.at("cookie_name"), what);
        }
        Some(name)
    }

    fn expected(&self, issuer: &str, reader: &mut ConfigResolver<'_>) -> ProviderExpectations {
        let of = self.provider;
        let supabase = of.preset == Some(RawProviderPreset::Supabase);
        let roles: &[&str] = if supabase {
            &["app_metadata.app_roles", "app_metadata.roles", "app_metadata.role", "role"]
        } else {
            &["app_roles", "roles", "groups"]
        };
        let roles_from = match &of.roles_from {
            Some(names) => self.paths("roles_from", names, reader),
            None => roles.iter().copied().map(ClaimPath::new).collect(),
        };
        let subject =
            reader.text(&self.at("subject_from"), of.subject_from.as_ref(), "sub", MAX_TEXT);
        let bounds = Duration::ZERO..=60 * SECOND;
        ProviderExpectations {
            token: Expectations {
                issuer: issuer.into(),
                audiences: self.audiences(reader).iter().map(|it| (**it).into()).collect(),
                leeway: reader.time(
                    &self.at("leeway"),
                    of.leeway.as_ref(),
                    self.own.leeway,
                    bounds,
                ),
                max_length: self.own.max_length,
            },
            token_type: of.token_type.map(|it| match it {
                written::RawTokenType::AccessToken => TokenType::AccessToken,
                written::RawTokenType::Jwt => TokenType::Jwt,
            }),
            required: self.required_claims(reader),
            link_from: match &of.link_from {
                Some(names) => self.paths("link_from", names, reader),
                None => vec![ClaimPath::new("sub")],
            },
            subject_from: ClaimPath::new(&subject),
            roles_from,
            role_map: self.role_map(reader),
            keep_unmapped: of.unmapped_roles != Some(RawUnmappedRoles::Drop),
        }
    }

    fn audiences(&self, reader: &mut ConfigResolver<'_>) -> Vec<Box<str>> {
        let all = match (&self.provider.audience, self.provider.preset) {
            (Some(RawAudience::One(one)), _) => std::slice::from_ref(one),
            (Some(RawAudience::Several(several)), _) => several.as_slice(),
            (None, Some(RawProviderPreset::Supabase)) => return vec!["authenticated".into()],
            (None, None) => &[],
        };
        if all.is_empty() {
            let what = "has no audience: tokens for other audiences would be accepted";
            reader.report.problem(self.path, what);
        }
        let path = self.at("audience");
        all.iter().map(|one| reader.text(&path, Some(one), "", MAX_TEXT)).collect()
    }

    fn paths(
        &self,
        key: &str,
        names: &[String],
        reader: &mut ConfigResolver<'_>,
    ) -> Vec<ClaimPath> {
        let path = self.at(key);
        let mut paths = Vec::new();
        for name in names {
            paths.push(ClaimPath::new(&reader.text(&path, Some(name), "", MAX_TEXT)));
        }
        paths
    }

    fn required_claims(&self, reader: &mut ConfigResolver<'_>) -> Vec<(ClaimPath, Box<str>)> {
        let claims =
            self.entries("required_claims", self.provider.required_claims.as_ref(), reader);
        claims.map(|(name, value)| (ClaimPath::new(name), value.as_str().into())).collect()
    }

    fn role_map(&self, reader: &mut ConfigResolver<'_>) -> HashMap<Box<str>, Role> {
        let path = self.at("role_map");
        let mut map = HashMap::new();
        for (theirs, ours) in self.entries("role_map", self.provider.role_map.as_ref(), reader) {
            match Role::parse(ours) {
                Ok(role) => {
                    map.insert(theirs.as_str().into(), role);
                }
                Err(fault) => reader.report.problem(&path, format_args!("{theirs}: {fault}")),
            }
        }
        map
    }

    /// The entries of a map, within its bounds.
    fn entries<'a>(
        &self,
        key: &str,
        map: Option<&'a BTreeMap<String, String>>,
        reader: &mut ConfigResolver<'_>,
    ) -> impl Iterator<Item = (&'a String, &'a String)> + use<'a> {
        let path = self.at(key);
        if map.is_some_and(|map| map.len() > MAX_ENTRIES) {
            reader.report.problem(&path, format_args!("has more than {MAX_ENTRIES} entries"));
        }
        for text in map.iter().flat_map(|map| map.iter()).flat_map(|(name, value)| [name, value]) {
            reader.text(&path, Some(text), "", MAX_TEXT);
        }
        map.into_iter().flatten()
    }

    fn secret(&self, reader: &mut ConfigResolver<'_>) -> Option<VerifyingKey> {
        let (text, file) = (self.provider.secret.as_ref(), self.provider.secret_file.as_ref());
        let (secret, path) = reader.secret(&self.at("secret"), text, file)?;
        match VerifyingKey::secret(&secret) {
            Ok(key) => Some(key),
            Err(fault) => {
                reader.report.problem(&path, fault);
                None
            }
        }
    }

    fn published(
        &self,
        issuer: &str,
        has_secret: bool,
        reader: &mut ConfigResolver<'_>,
    ) -> Option<Published> {
        let of = self.provider;
        let at = self.keys_at(issuer, has_secret);
        let for_access_tokens = at.is_some();
        // ID tokens are never verified with the secret.
        let at = at.or_else(|| of.client_id.as_ref().map(|_| KeysAt::Discovery))?;
        let (url, key) = match &at {
            KeysAt::Discovery => (issuer, "issuer"),
            KeysAt::Url(url) => (&**url, if of.jwks_uri.is_some() { "jwks_uri" } else { "issuer" }),
        };
        if !url.is_empty() && !is_trustworthy(url) {
            let hint = "for example https://login.example.com/tenant; http only on a loopback host";
            reader.report.problem_with_hint(&self.at(key), "must be an https URL", hint);
        }
        let refresh =
            self.time("keys_refresh", of.keys_refresh.as_ref(), 300, SECOND..=DAY, reader);
        let bounds = Duration::from_millis(100)..=HOUR;
        let cooldown = self.time("keys_cooldown", of.keys_cooldown.as_ref(), 30, bounds, reader);
        if of.keys_cooldown.is_some() && cooldown > refresh {
            let what = "must be at most keys_refresh";
            reader.report.problem(&self.at("keys_cooldown"), what);
        }
        let day = DAY.as_secs();
        let max_age =
            self.time("keys_max_age", of.keys_max_age.as_ref(), day, SECOND..=30 * DAY, reader);
        let ca = of.ca.as_ref().and_then(|name| reader.file(&self.at("ca"), name));
        if ca.as_ref().is_some_and(|pem| !federation::are_authorities(pem)) {
            let what =
                format_args!("{} has no CA certificate", of.ca.as_deref().unwrap_or_default());
            let hint =
                "one or more certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE";
            reader.report.problem_with_hint(&self.at("ca"), what, hint);
        }
        let cooldown = cooldown.min(refresh);
        Some(Published { at, for_access_tokens, ca, refresh, cooldown, max_age })
    }

    fn keys_at(&self, issuer: &str, has_secret: bool) -> Option<KeysAt> {
        let of = self.provider;
        if let Some(url) = &of.jwks_uri {
            return Some(KeysAt::Url(url.as_str().into()));
        }
        match (of.discovery, of.preset) {
            (Some(false), _) => None,
            (Some(true), _) => Some(KeysAt::Discovery),
            (None, _) if has_secret => None,
            (None, Some(RawProviderPreset::Supabase)) => {
                Some(KeysAt::Url(format!("{issuer}/.well-known/jwks.json").into()))
            }
            (None, None) => Some(KeysAt::Discovery),
        }
    }

    fn time(
        &self,
        key: &str,
        written: Option<&crate::config::written::quantity::Time>,
        default: u64,
        bounds: std::ops::RangeInclusive<Duration>,
        reader: &mut ConfigResolver<'_>,
    ) -> Duration {
        reader.time(&self.at(key), written, Duration::from_secs(default), bounds)
    }
}

/// Whether it is an `https` URL, or on a loopback host, without user and fragment.
fn is_trustworthy(url: &str) -> bool {
    let secure = url.strip_prefix("https://");
    let Some(rest) = secure.or_else(|| url.strip_prefix("http://")) else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host_and_port(authority).map(|(host, _)| host);
    let visible = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    visible
        && url.len() <= MAX_URL
        && host.is_some_and(|host| secure.is_some() || section::is_loopback(host))
}
