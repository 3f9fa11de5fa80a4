//! Builds the snapshot from a configuration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::restart_only;
use crate::config::Problems;
use crate::config::values;
use crate::config::values::{Config, Mode};
use guarita_auth::keys;
use guarita_auth::snapshot::provider;
use guarita_auth::snapshot::provider::{Provider, Providers};
use guarita_auth::snapshot::{AuthSnapshot, RequiredFactor};
use guarita_core::http::{IdentityHeaders, ProviderCookies, StrippedHeaders};
use guarita_core::jose::{AssertionKeys, KeyFault, Keyring, SigningKey, VerifyingKey};
use guarita_core::route::RouteTable;
use guarita_core::time;
use guarita_proxy::listener::certificates;
use guarita_proxy::listener::certificates::{CertificatePem, ClientCertificates, ListenerTls};
use guarita_proxy::snapshot::ListenerTlsContext;
use guarita_proxy::snapshot::{RouteTarget, Snapshot};
use guarita_proxy::upstream::Pool;
use guarita_telemetry::Metrics;

/// TLS by listener address; [`None`] for plain HTTP.
type Listeners = HashMap<SocketAddr, Option<ListenerTlsContext>>;

/// Builds the next snapshot. Pools with unchanged settings are reused from the previous one, with the state of
/// their servers. Generates a signing key in the data directory if keys are kept there and there is none.
///
/// What is rejected leaves no trace: everything is checked before a key is generated or a series of metrics is created.
pub fn compile(
    config: &Config,
    previous: Option<&Snapshot>,
    metrics: &Metrics,
    source: &keys::KeySource,
) -> Result<Snapshot, Problems> {
    let mut problems = Vec::new();
    check_stored_keys(config, source, &mut problems);
    check_audiences(config, &mut problems);
    let tls = tls(config, &mut problems);
    let pools = pools(config, previous, &mut problems);
    let routes = routes(config, &pools, &mut problems);
    let distinct = pools.into_values().collect();
    let (Some(routes), true) = (routes, problems.is_empty()) else {
        return Err(Problems(problems));
    };
    let keyring = source
        .keyring(config.algorithm, &config.keys, time::now())
        .map_err(|fault| Problems(vec![format!("{}: {fault}", config.places.signing)]))?;
    let assertion = assertion_keys(config, &keyring, previous, source)
        .map_err(|fault| Problems(vec![format!("{}: {fault}", config.places.assertion)]))?;
    let auth = AuthSnapshot {
        keyring: Arc::new(keyring),
        assertion,
        jwks_caching: jwks_caching(config),
        expectations: config.expectations.clone(),
        providers: providers(config, previous),
        reject_invalid: config.reject_invalid,
        service_key: config.service_key.clone(),
        introspection: config.introspection.clone(),
        public_url: config.public_url.clone(),
        sign_in: config.mode != Mode::External
            || config.providers.iter().any(|provider| provider.client.is_some()),
        open: config.mode == Mode::Off,
        rate_limits: config.rate_limits,
        required_factor: RequiredFactor::new(&config.required_roles),
    };
    Ok(Snapshot {
        generation: previous.map_or(1, |previous| previous.generation.saturating_add(1)),
        auth: Arc::new(auth),
        routes: routes.map(|route| Arc::new(route.measured(metrics))),
        pools: distinct,
        provider_cookies: ProviderCookies::new(
            config.providers.iter().filter_map(|provider| provider.cookie_name.clone()).collect(),
        ),
        identity_headers: config.identity_headers.clone(),
        families: families(&config.identity_headers),
        trusted_proxies: config.trusted_proxies.clone(),
        aliases: config.aliases.iter().cloned().collect(),
        tls,
        limits: config.limits.clone(),
    })
}

/// Reports everything that [`compile`] would reject, without generating a key or touching the data directory.
pub fn check(config: &Config) -> Result<(), Problems> {
    let mut problems = Vec::new();
    check_keys(config, &mut problems);
    check_audiences(config, &mut problems);
    tls(config, &mut problems);
    let pools = pools(config, None, &mut problems);
    routes(config, &pools, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Providers with unchanged settings are reused, with their fetched keys.
fn providers(config: &Config, previous: Option<&Snapshot>) -> Providers {
    let known = |settings: &provider::ProviderSettings| {
        let all = previous.into_iter().flat_map(|previous| previous.auth.providers.iter());
        all.into_iter().find(|provider| provider.settings() == settings).map(Arc::clone)
    };
    let all = config.providers.iter();
    let all = all.map(|settings| {
        known(settings).unwrap_or_else(|| Arc::new(Provider::new(settings.clone())))
    });
    Providers::new(all.collect())
}

/// Reports what is wrong with the stored and the configured keys.
fn check_stored_keys(config: &Config, source: &keys::KeySource, problems: &mut Vec<String>) {
    let now = time::now();
    let keyring = match source.check_keyring(config.algorithm, &config.keys, now) {
        Ok(keyring) => keyring,
        Err(fault) => {
            problems.push(format!("{}: {fault}", config.places.signing));
            return;
        }
    };
    if config.assertion.is_some()
        && let Err(fault) =
            source.check_assertion_keys((*config.tokens.issuer).into(), &keyring, now)
    {
        problems.push(format!("{}: {fault}", config.places.assertion));
    }
}

fn check_keys(config: &Config, problems: &mut Vec<String>) {
    let mut verifying = Vec::new();
    for (pem, place) in config.keys.verifying.iter().zip(&config.places.verifying) {
        match VerifyingKey::parse(config.algorithm, pem) {
            Ok(key) => verifying.push(key),
            Err(fault) => problems.push(format!("{place}: {fault}")),
        }
    }
    let Some(signing) = &config.keys.signing else { return };
    let keyring = SigningKey::parse(config.algorithm, signing)
        .and_then(|signing| Keyring::new(signing, verifying));
    if let Err(fault) = keyring {
        problems.push(format!("{}: {fault}", config.places.signing));
    }
}

/// The audience of assertions must differ from that of access tokens, so that nobody accepts an assertion as one.
fn check_audiences(config: &Config, problems: &mut Vec<String>) {
    let audiences = config.assertion.iter().flat_map(|assertion| &assertion.audiences);
    for (audience, place) in audiences.zip(&config.places.upstreams) {
        if **audience == *config.tokens.audience {
            problems.push(format!(
                "{place}: the audience of its assertions is the audience of access tokens, {audience:?} (set \
                 assertion_audience)"
            ));
        }
    }
}

/// The keys of assertions, if enabled. Removed keys stay published for a while.
fn assertion_keys(
    config: &Config,
    keyring: &Keyring,
    previous: Option<&Snapshot>,
    source: &keys::KeySource,
) -> Result<Option<AssertionKeys>, KeyFault> {
    let Some(assertion) = &config.assertion else { return Ok(None) };
    let before = previous.and_then(|previous| previous.auth.assertion.as_ref());
    let now = time::now();
    let retired = before.map(|keys| keys.retire(now)).unwrap_or_default();
    let issuer = (*config.tokens.issuer).into();
    let ahead = assertion.publish_ahead;
    source.assertion_keys(issuer, ahead, keyring, retired, now).map(Some)
}

/// How long others may cache the published keys, which include those of assertions, whose `publish_ahead` may be
/// shorter.
fn jwks_caching(config: &Config) -> http::HeaderValue {
    let assertion = config.assertion.as_ref().map(|assertion| assertion.publish_ahead);
    let ahead = assertion.map_or(config.publish_ahead, |it| it.min(config.publish_ahead));
    let seconds = keys::max_age(ahead).as_secs();
    http::HeaderValue::try_from(format!("public, max-age={seconds}"))
        .unwrap_or_else(|_| http::HeaderValue::from_static("no-store"))
}

fn tls(config: &Config, problems: &mut Vec<String>) -> Listeners {
    let mut all = Listeners::new();
    for (position, listener) in config.listeners.iter().enumerate() {
        let tls = match listener_tls(listener) {
            None => None,
            Some(tls) => match certificates::server_config(&tls) {
                Ok(config) => Some(ListenerTlsContext {
                    config,
                    clients: clients(&listener.client_auth),
                    required: matches!(listener.client_auth, values::ClientAuth::Required(_)),
                }),
                Err(fault) => {
                    let place = config.places.listeners.get(position).map_or("listeners", |it| it);
                    problems.push(format!("{place}: {fault}"));
                    continue;
                }
            },
        };
        all.insert(listener.address, tls);
    }
    all
}

/// A fingerprint of the CAs of client certificates.
fn clients(auth: &values::ClientAuth) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    match auth {
        values::ClientAuth::None => {}
        values::ClientAuth::Optional(ca) | values::ClientAuth::Required(ca) => ca.hash(&mut hasher),
    }
    hasher.finish()
}

fn listener_tls(listener: &values::Listener) -> Option<ListenerTls> {
    if listener.certificates.is_empty() {
        return None;
    }
    let pem = |certificate: &values::Certificate| CertificatePem {
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
        origin: certificate.file.display().to_string(),
    };
    Some(ListenerTls {
        certificates: listener.certificates.iter().map(pem).collect(),
        client: match &listener.client_auth {
            values::ClientAuth::None => ClientCertificates::None,
            values::ClientAuth::Optional(ca) => ClientCertificates::Optional(ca.clone()),
            values::ClientAuth::Required(ca) => ClientCertificates::Required(ca.clone()),
        },
    })
}

fn pools<'a>(
    config: &'a Config,
    previous: Option<&Snapshot>,
    problems: &mut Vec<String>,
) -> HashMap<&'a str, Arc<Pool>> {
    let known: HashMap<Box<str>, Arc<Pool>> = previous
        .iter()
        .flat_map(|snapshot| &snapshot.pools)
        .map(|pool| (pool.settings().name.clone(), Arc::clone(pool)))
        .collect();
    let mut pools = HashMap::new();
    for (position, settings) in config.upstreams.iter().enumerate() {
        let previous = known.get(&settings.name);
        if let Some(pool) =
            previous.filter(|pool| restart_only::same_upstream(pool.settings(), settings))
        {
            pools.insert(&*settings.name, Arc::clone(pool));
            continue;
        }
        match Pool::new(settings.clone(), previous.map(|pool| &**pool)) {
            Ok(pool) => {
                pools.insert(&*settings.name, pool);
            }
            Err(fault) => {
                let place = config.places.upstreams.get(position).map_or("upstreams", |it| it);
                problems.push(format!("{place}: {}", fault.reason));
            }
        }
    }
    pools
}

/// The routes, without their metrics.
fn routes(
    config: &Config,
    pools: &HashMap<&str, Arc<Pool>>,
    problems: &mut Vec<String>,
) -> Option<RouteTable<RouteTarget<()>>> {
    let audiences = audiences(config);
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        // A pool that could not be built was told already.
        let upstream = Arc::clone(pools.get(&*route.upstream)?);
        let audience = audiences.get(&*route.upstream).copied().cloned();
        routes.push((route.matcher.clone(), target(config, route, upstream, audience)));
    }
    let overlaps = match RouteTable::build(routes) {
        Ok(table) => return Some(table),
        Err(overlaps) => overlaps,
    };
    let file = config.file.display();
    for overlap in overlaps {
        let line = |position: usize| config.routes.get(position).map_or(0, |route| route.line);
        problems.push(format!(
            "{file}:{}: routes[{}]: matches the same requests as routes[{}] on line {} (make one of \
             the paths longer, or use different hosts or methods)",
            line(overlap.second),
            overlap.second,
            overlap.first,
            line(overlap.first),
        ));
    }
    None
}

/// The audience of assertions for each upstream, if enabled.
fn audiences(config: &Config) -> HashMap<&str, &Arc<str>> {
    let audiences = config.assertion.iter().flat_map(|assertion| &assertion.audiences);
    config.upstreams.iter().map(|upstream| &*upstream.name).zip(audiences).collect()
}

fn target(
    config: &Config,
    route: &values::Route,
    upstream: Arc<Pool>,
    audience: Option<Arc<str>>,
) -> RouteTarget<()> {
    RouteTarget {
        label: route.matcher.path.as_str().into(),
        policy: route.policy.clone(),
        upstream,
        audience,
        forward_credentials: route.forward_credentials,
        max_body: route.max_body.unwrap_or(config.limits.body_bytes),
        timeout: route.timeout,
        metrics: (),
    }
}

fn families(names: &IdentityHeaders) -> StrippedHeaders {
    let configured = names.names().map(http::HeaderName::as_str);
    StrippedHeaders::new(configured)
}
