//! Comparison of settings at a reload: those that need a restart, and upstreams that are unchanged.

use crate::config::Config;
use guarita_proxy::upstream::UpstreamSettings;

/// Copies the running values of all settings that need a restart into the next configuration. Returns the names of
/// those that would have changed.
pub(super) fn keep(running: &Config, next: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |changed: bool, key| {
        if changed {
            kept.push(key);
        }
    };
    keep(running.mode != next.mode, "mode");
    keep(running.public_url != next.public_url, "public_url");
    keep(running.data_dir != next.data_dir, "data_dir");
    keep(running.ops != next.ops, "ops.address");
    keep(running.store.database.expose() != next.store.database.expose(), "store");
    keep(running.master_key != next.master_key, "store.master_key");
    let rotation = (running.publish_ahead, running.rotate_every);
    keep(
        rotation != (next.publish_ahead, next.rotate_every),
        "tokens (publish_ahead, rotate_every)",
    );
    keep(running.ephemeral != next.ephemeral, "store (redis, redis_*)");
    keep(running.tokens != next.tokens, "tokens (issuer, audience, refresh_*, *_ttl)");
    keep(running.login != next.login, "passwords, lockout, sessions or verification.required");
    keep(running.mfa != next.mfa, "mfa");
    keep(running.pages != next.pages, "pages");
    keep(running.mail != next.mail, "mail");
    keep(running.links != next.links, "recovery or verification");
    keep(running.policy != next.policy, "passwords (min_score, breached_file)");
    keep(running.audit != next.audit, "audit");
    keep(running.log_filter != next.log_filter, "log.level");
    keep(running.drain_delay != next.drain_delay, "drain.delay");
    keep(running.drain_timeout != next.drain_timeout, "drain.timeout");
    keep(running.threads != next.threads, "server.threads");
    keep(keep_listeners(running, next), "listeners (an address)");
    next.mode = running.mode;
    next.public_url.clone_from(&running.public_url);
    next.data_dir.clone_from(&running.data_dir);
    next.ops = running.ops;
    next.store.clone_from(&running.store);
    next.master_key.clone_from(&running.master_key);
    (next.publish_ahead, next.rotate_every) = rotation;
    next.ephemeral.clone_from(&running.ephemeral);
    next.tokens.clone_from(&running.tokens);
    next.expectations.issuer.clone_from(&running.expectations.issuer);
    next.expectations.audiences.clone_from(&running.expectations.audiences);
    next.login.clone_from(&running.login);
    next.mfa.clone_from(&running.mfa);
    next.pages.clone_from(&running.pages);
    next.mail.clone_from(&running.mail);
    next.links.clone_from(&running.links);
    next.policy.clone_from(&running.policy);
    next.audit.clone_from(&running.audit);
    next.log_filter.clone_from(&running.log_filter);
    next.drain_delay = running.drain_delay;
    next.drain_timeout = running.drain_timeout;
    next.threads = running.threads;
    kept
}

/// Keeps the running addresses, each with its next certificates if it still has a section. Returns whether any
/// address was added or removed.
fn keep_listeners(running: &Config, next: &mut Config) -> bool {
    let mut listeners = Vec::with_capacity(running.listeners.len());
    let mut places = Vec::with_capacity(running.listeners.len());
    let mut gone = 0;
    for (position, listener) in running.listeners.iter().enumerate() {
        match next.listeners.iter().position(|other| other.address == listener.address) {
            Some(at) => {
                listeners.extend(next.listeners.get(at).cloned());
                places.extend(next.places.listeners.get(at).cloned());
            }
            None => {
                gone += 1;
                listeners.push(listener.clone());
                places.extend(running.places.listeners.get(position).cloned());
            }
        }
    }
    let changed = gone > 0 || next.listeners.len() != listeners.len();
    next.listeners = listeners;
    next.places.listeners = places;
    changed
}

/// Whether two upstreams or providers of one name have the same settings, including secrets.
pub(super) fn same_upstream(one: &UpstreamSettings, other: &UpstreamSettings) -> bool {
    let UpstreamSettings {
        name,
        servers,
        health_check,
        eject_after,
        eject_for,
        retries,
        connect_timeout,
        read_timeout,
        write_timeout,
        idle_timeout,
        http2,
        host,
        tls,
    } = one;
    let same_identity = match (&tls.identity, &other.tls.identity) {
        (None, None) => true,
        (Some((chain, key)), Some((other_chain, other_key))) => {
            chain == other_chain && key.matches(other_key.expose())
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    same_identity
        && *name == other.name
        && *servers == other.servers
        && *health_check == other.health_check
        && *eject_after == other.eject_after
        && *eject_for == other.eject_for
        && *retries == other.retries
        && *connect_timeout == other.connect_timeout
        && *read_timeout == other.read_timeout
        && *write_timeout == other.write_timeout
        && *idle_timeout == other.idle_timeout
        && *http2 == other.http2
        && *host == other.host
        && tls.ca == other.tls.ca
        && tls.server_name == other.tls.server_name
}
