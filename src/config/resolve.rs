//! Resolves the written configuration: defaults, bounds, references, files.

mod assertion;
mod credentials;
mod ephemeral;
mod endpoints;
mod headers;
mod introspection;
mod listeners;
mod mail;
mod mfa;
mod pages;
mod providers;
mod quantity;
mod rate_limits;
mod reader;
mod rotation;
mod routes;
mod section;
mod tokens;
mod upstreams;

use std::path::{Path, PathBuf};

pub(super) use mail::is_link;
pub(crate) use quantity::parse_time;
pub(super) use reader::ConfigResolver;

use super::values::{Config, Mode, SourceLocations};
use super::written::{self, RawConfig};
use guarita_core::jose::Expectations;

/// Resolves all sections. Invalid values are reported and replaced by placeholders, so that all problems are
/// reported; with a problem in the report, the result is not used.
pub(super) fn resolve(written: &RawConfig, file: &Path, reader: &mut ConfigResolver<'_>) -> Config {
    let data_dir = PathBuf::from(section::data_dir(written, reader));
    let listeners = listeners::resolve(written, reader);
    let ops = section::ops(written, &listeners, reader);
    let mode = mode(written, &listeners, reader);
    let public_url = section::public_url(written, reader);
    let upstreams = upstreams::resolve(written, reader);
    let aliases = endpoints::aliases(written, reader);
    let routes = routes::resolve(written, &upstreams, &listeners, &aliases, reader);
    let links = mail::links(written, &public_url, reader);
    let mail = mail::resolve(written, &public_url, reader);
    let (keys, key_places) = tokens::keys(written, reader);
    let tokens = tokens::tokens(written, reader);
    let store = section::store(written, &data_dir, reader);
    rotation::warn_of_keys_apart(written, &store.database, mode, &keys, reader);
    let publish_ahead = rotation::publish_ahead(written, reader);
    let own = Expectations {
        issuer: (*tokens.issuer).into(),
        audiences: match mode {
            Mode::Local | Mode::Off => vec![(*tokens.audience).into()],
            // Without any, no token of ours is believed.
            Mode::External => Vec::new(),
        },
        leeway: tokens::leeway(written, reader),
        max_length: tokens::max_length(written, reader),
    };
    Config {
        mode,
        public_url,
        ops,
        ephemeral: ephemeral::resolve(written, &store, reader),
        store,
        master_key: rotation::master_key(written, reader),
        publish_ahead,
        rotate_every: rotation::rotate_every(written, publish_ahead, reader),
        tokens,
        algorithm: tokens::algorithm(written),
        keys,
        providers: providers::resolve(written, &own, reader),
        expectations: own,
        login: tokens::login(written, reader),
        required_roles: mfa::required_roles(written, reader),
        mfa: mfa::resolve(written, reader),
        pages: pages::resolve(written, reader),
        mail,
        links,
        policy: tokens::policy(written, reader),
        identity_headers: headers::resolve(written, reader),
        assertion: assertion::resolve(written, reader),
        service_key: credentials::service_key(written, reader),
        introspection: introspection::resolve(written, reader),
        reject_invalid: written.credentials.on_invalid == Some(written::RawOnInvalid::Reject),
        trusted_proxies: section::trusted_proxies(written, reader),
        aliases,
        limits: section::limits(written, reader),
        rate_limits: rate_limits::resolve(written, reader),
        audit: section::audit(written, &data_dir, reader),
        log_filter: section::log_filter(written, reader),
        drain_delay: section::drain_delay(written, reader),
        drain_timeout: section::drain_timeout(written, reader),
        threads: section::threads(written),
        places: SourceLocations {
            upstreams: places("upstreams", upstreams.len(), reader),
            listeners: places("listeners", listeners.len(), reader),
            assertion: reader.report.place("assertion"),
            ..key_places
        },
        data_dir,
        listeners,
        upstreams,
        routes,
        file: file.to_owned(),
        files: super::values::Files::new(),
        warnings: Vec::new(),
    }
}

fn places(list: &str, length: usize, reader: &ConfigResolver<'_>) -> Vec<String> {
    (0..length).map(|position| reader.report.place(&format!("{list}[{position}]"))).collect()
}

fn mode(
    written: &RawConfig,
    listeners: &[super::values::Listener],
    reader: &mut ConfigResolver<'_>,
) -> Mode {
    match written.mode {
        None | Some(written::RawMode::Local) => Mode::Local,
        Some(written::RawMode::External) => {
            if written.providers.as_ref().is_none_or(Vec::is_empty) {
                let what = "\"external\" accepts tokens of providers only, and none is configured";
                reader.report.problem_with_hint("mode", what, "add [[providers]]");
            }
            Mode::External
        }
        Some(written::RawMode::Off) => {
            if written.allow_insecure != Some(true) {
                reader.report.problem_with_hint(
                    "mode",
                    "\"off\" disables authentication and is not allowed",
                    "for development only, set allow_insecure = true",
                );
            }
            for (position, listener) in listeners.iter().enumerate() {
                if !listener.address.ip().is_loopback() {
                    reader.report.problem_with_hint(
                        &format!("listeners[{position}].address"),
                        "must be a loopback address, because mode is \"off\"",
                        "127.0.0.1 or [::1]",
                    );
                }
            }
            Mode::Off
        }
    }
}
