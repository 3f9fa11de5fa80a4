//! From a configuration to the picture that requests are judged by. Nothing here is in force yet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::adapters::telemetry::Metrics;
use crate::adapters::upstream::{Pool, Settings};
use crate::app::config::values::{ClientAuth, Listener, Mode};
use crate::app::config::{Config, Problems};
use crate::live::certificates::{CertificatePem, ClientCertificates, ListenerTls, server_config};
use crate::live::{RouteTarget, Snapshot};
use crate::rules::request::{HeaderFamilies, forwarded};
use crate::rules::route::Table;
use crate::rules::token::{Expectations, Keyring};
use crate::services::keys;

/// Builds the picture. Pools of `previous` whose settings did not change are taken over, others
/// keep what is known of their servers.
///
/// # Errors
/// All that cannot be used, each with its place.
pub fn compile(
    config: &Config,
    previous: Option<&Snapshot>,
    metrics: &Metrics,
) -> Result<Snapshot, Problems> {
    let mut problems = Vec::new();
    let keyring = keyring(config, &mut problems);
    let pools = pools(config, previous, &mut problems);
    let routes = routes(config, &pools, metrics, &mut problems);
    let tls = tls(config, &mut problems);
    let (Some(keyring), Some(routes), true) = (keyring, routes, problems.is_empty()) else {
        return Err(Problems(problems));
    };
    let identity = config.identity_headers.names().map(http::HeaderName::as_str);
    Ok(Snapshot {
        generation: previous.map_or(1, |previous| previous.generation.saturating_add(1)),
        routes,
        keyring: Arc::new(keyring),
        expectations: Expectations {
            issuer: config.tokens.issuer.clone(),
            audiences: vec![config.tokens.audience.clone()],
            leeway: config.leeway,
            max_length: config.max_token_length,
        },
        families: HeaderFamilies::new(identity.into_iter().chain(forwarded::FAMILY)),
        identity_headers: config.identity_headers.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        aliases: config.aliases.iter().cloned().collect(),
        reject_invalid: config.reject_invalid,
        open: config.mode == Mode::Off,
        tls,
        limits: config.limits.clone(),
    })
}

fn keyring(config: &Config, problems: &mut Vec<String>) -> Option<Keyring> {
    let directory = config.data_dir.join("keys");
    match keys::load(&directory, config.algorithm, &config.keys) {
        Ok(keyring) => Some(keyring),
        Err(fault) => {
            problems.push(format!("{}: {fault}", config.places.signing_key));
            None
        }
    }
}

type Pools<'a> = HashMap<&'a str, Arc<Pool>>;

fn pools<'a>(
    config: &'a Config,
    previous: Option<&Snapshot>,
    problems: &mut Vec<String>,
) -> Pools<'a> {
    let known: HashMap<&str, &Arc<Pool>> = previous
        .iter()
        .flat_map(|snapshot| snapshot.routes.iter())
        .map(|route| (&*route.upstream.settings().name, &route.upstream))
        .collect();
    let mut pools = Pools::new();
    for (position, settings) in config.upstreams.iter().enumerate() {
        match pool(settings, known.get(&*settings.name).copied()) {
            Ok(pool) => {
                pools.insert(&settings.name, pool);
            }
            Err(invalid) => {
                let place = config.places.upstreams.get(position).map_or("", String::as_str);
                problems.push(format!("{place}: {invalid}"));
            }
        }
    }
    pools
}

fn pool(
    settings: &Settings,
    known: Option<&Arc<Pool>>,
) -> Result<Arc<Pool>, crate::adapters::upstream::InvalidUpstream> {
    match known {
        Some(pool) if pool.settings() == settings => Ok(Arc::clone(pool)),
        known => Pool::new(settings.clone(), known.map(Arc::as_ref)),
    }
}

fn routes(
    config: &Config,
    pools: &Pools<'_>,
    metrics: &Metrics,
    problems: &mut Vec<String>,
) -> Option<Table<Arc<RouteTarget>>> {
    let file = config.file.display();
    let mut targets = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let Some(upstream) = pools.get(&*route.upstream) else {
            // Told already: the upstream cannot be used, or resolving refused its name.
            return None;
        };
        let label = route.matcher.path.as_str();
        let target = RouteTarget {
            label: label.into(),
            policy: route.policy.clone(),
            upstream: Arc::clone(upstream),
            forward_credentials: route.forward_credentials,
            max_body: route.max_body.unwrap_or(config.limits.body_bytes),
            timeout: route.timeout,
            metrics: metrics.route(label),
        };
        targets.push((route.matcher.clone(), Arc::new(target)));
    }
    match Table::build(targets) {
        Ok(table) => Some(table),
        Err(overlaps) => {
            for overlap in overlaps {
                let line = |at: usize| config.routes.get(at).map_or(0, |route| route.line);
                problems.push(format!(
                    "{file}:{}: routes[{}]: matches the same requests as the route on line {}",
                    line(overlap.second),
                    overlap.second,
                    line(overlap.first),
                ));
            }
            None
        }
    }
}

fn tls(
    config: &Config,
    problems: &mut Vec<String>,
) -> HashMap<SocketAddr, Option<Arc<rustls::ServerConfig>>> {
    let mut listeners = HashMap::new();
    for (position, listener) in config.listeners.iter().enumerate() {
        if listener.certificates.is_empty() {
            listeners.insert(listener.address, None);
            continue;
        }
        match server_config(&listener_tls(listener)) {
            Ok(tls) => {
                listeners.insert(listener.address, Some(tls));
            }
            Err(fault) => {
                let place = config.places.listeners.get(position).map_or("", String::as_str);
                problems.push(format!("{place}: {fault}"));
            }
        }
    }
    listeners
}

fn listener_tls(listener: &Listener) -> ListenerTls {
    ListenerTls {
        certificates: listener
            .certificates
            .iter()
            .map(|certificate| CertificatePem {
                chain: certificate.chain.clone(),
                key: certificate.key.clone(),
                origin: certificate.file.display().to_string(),
            })
            .collect(),
        client: match &listener.client_auth {
            ClientAuth::None => ClientCertificates::None,
            ClientAuth::Optional(ca) => ClientCertificates::Optional(ca.clone()),
            ClientAuth::Required(ca) => ClientCertificates::Required(ca.clone()),
        },
    }
}
