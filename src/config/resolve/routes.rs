//! `[[routes]]`

use std::collections::HashSet;
use std::time::Duration;

use http::Method;

use super::super::report::closest;
use super::super::values::{ClientAuth, Listener, Route};
use super::{ConfigResolver, endpoints};
use crate::config::written::quantity::Time;
use guarita_core::route::policy::Protection;
use guarita_core::route::{HostPattern, Matcher, PathPattern, Policy};
use guarita_core::{Scope, Source};
use guarita_proxy::upstream::UpstreamSettings;
use {
    super::super::written, super::super::written::RawAccess, super::super::written::RawAllow,
    super::super::written::RawConfig,
};

/// The methods that are forwarded (RFC 9110 section 9, RFC 5789).
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Longest common name of a client certificate, in bytes.
const MAX_COMMON_NAME: usize = 255;

/// Names and settings that routes refer to.
struct RouteReferences<'a> {
    upstreams: HashSet<&'a str>,
    asks_for_certificates: bool,
    /// Whether second factors are configured.
    has_second_factors: bool,
    aliases: &'a [(Box<str>, Box<str>)],
}

/// All routes, in order; invalid ones are reported and dropped.
pub(super) fn resolve(
    written: &RawConfig,
    upstreams: &[UpstreamSettings],
    listeners: &[Listener],
    aliases: &[(Box<str>, Box<str>)],
    reader: &mut ConfigResolver<'_>,
) -> Vec<Route> {
    let known = RouteReferences {
        upstreams: upstreams.iter().map(|upstream| &*upstream.name).collect(),
        has_second_factors: written.mfa.encryption_key.is_some()
            || written.mfa.encryption_key_file.is_some(),
        asks_for_certificates: listeners
            .iter()
            .any(|listener| listener.client_auth != ClientAuth::None)
            || reader.report.is_faulty("listeners"),
        aliases,
    };
    let routes = written.routes.iter().flatten().enumerate();
    routes.filter_map(|(at, route)| resolve_one(route, at, &known, reader)).collect()
}

fn resolve_one(
    route: &written::RawRoute,
    position: usize,
    known: &RouteReferences<'_>,
    reader: &mut ConfigResolver<'_>,
) -> Option<Route> {
    let path = format!("routes[{position}]");
    let policy = policy(route, &path, known, reader);
    let upstream = upstream(route, &path, known, reader);
    let hosts = hosts(route, &path, reader);
    let methods = methods(route, &path, reader);
    let pattern = pattern(route, &path, known, reader);
    let max_body = route
        .max_body
        .as_ref()
        .map(|size| reader.size(&format!("{path}.max_body"), Some(size), 0, 0..=1 << 40));
    let timeout = route.timeout.as_ref().map(|time| {
        let bounds = Duration::from_millis(1)..=Duration::from_secs(86_400);
        reader.time(&format!("{path}.timeout"), Some(time), Duration::ZERO, bounds)
    });
    Some(Route {
        matcher: Matcher { hosts, path: pattern?, methods },
        policy,
        upstream: upstream?,
        forward_credentials: route.forward_credentials.unwrap_or(false),
        max_body,
        timeout,
        line: reader.report.line(&path),
    })
}

fn pattern(
    route: &written::RawRoute,
    path: &str,
    known: &RouteReferences<'_>,
    reader: &mut ConfigResolver<'_>,
) -> Option<PathPattern> {
    let text = route.path.as_ref()?;
    let path = format!("{path}.path");
    let is_alias = known.aliases.iter().any(|(alias, _)| **alias == **text);
    if is_alias || endpoints::is_own(text) {
        reader.report.problem(&path, format_args!("{text} is a path that Guarita serves itself"));
        return None;
    }
    match PathPattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            reader.report.problem(&path, fault);
            None
        }
    }
}

fn hosts(
    route: &written::RawRoute,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for (position, text) in route.hosts.iter().flatten().enumerate() {
        match HostPattern::parse(text) {
            Ok(host) if hosts.contains(&host) => {
                reader.report.problem(&format!("{path}.hosts[{position}]"), "is a duplicate");
            }
            Ok(host) => hosts.push(host),
            Err(fault) => reader.report.problem(&format!("{path}.hosts[{position}]"), fault),
        }
    }
    hosts
}

fn methods(route: &written::RawRoute, path: &str, reader: &mut ConfigResolver<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for (position, text) in route.methods.iter().flatten().enumerate() {
        let path = format!("{path}.methods[{position}]");
        match METHODS.iter().find(|method| method.as_str() == text) {
            Some(method) if methods.contains(method) => {
                reader.report.problem(&path, "is a duplicate");
            }
            Some(method) => methods.push(method.clone()),
            None => {
                let all = METHODS.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                let what = "is not a method that is forwarded";
                reader.report.problem_with_hint(&path, what, format_args!("must be one of {all}"));
            }
        }
    }
    methods
}

fn upstream(
    route: &written::RawRoute,
    path: &str,
    known: &RouteReferences<'_>,
    reader: &mut ConfigResolver<'_>,
) -> Option<Box<str>> {
    let name = route.upstream.as_ref()?;
    if known.upstreams.contains(name.as_str()) {
        return Some(name.as_str().into());
    }
    // Where an upstream could not be read, its routes are not to blame.
    if !reader.report.is_faulty("upstreams") {
        let path = format!("{path}.upstream");
        let what = "does not name an upstream";
        match closest(name, known.upstreams.iter().copied()) {
            Some(meant) => {
                reader.report.problem_with_hint(&path, what, format_args!("did you mean {meant}?"));
            }
            None => {
                let hint = format_args!("no [[upstreams]] has name = {name:?}");
                reader.report.problem_with_hint(&path, what, hint);
            }
        }
    }
    None
}

fn policy(
    route: &written::RawRoute,
    path: &str,
    known: &RouteReferences<'_>,
    reader: &mut ConfigResolver<'_>,
) -> Policy {
    let public = route.access == Some(RawAccess::Public);
    let protection = match route.csrf {
        None | Some(written::RawProtection::Token) => Protection::Token,
        Some(written::RawProtection::Origin) => Protection::Origin,
    };
    let on_unknown = on_unknown(route, path, reader);
    let Some(allow) = &route.allow else {
        return Policy { public, protection, on_unknown, ..Policy::default() };
    };
    let path = format!("{path}.allow");
    if public && (allow.roles.is_some() || allow.scopes.is_some() || allow.sources.is_some()) {
        reader.report.problem_with_hint(
            &path,
            "contradicts access = \"public\"",
            "roles, scopes and sources require a credential",
        );
    }
    if allow.client_cns.is_some() && !known.asks_for_certificates {
        reader.report.problem_with_hint(
            &format!("{path}.client_cns"),
            "cannot be met, because no listener asks for client certificates",
            "set client_auth on a listener",
        );
    }
    if allow.mfa == Some(true) && !known.has_second_factors {
        reader.report.problem_with_hint(
            &format!("{path}.mfa"),
            "cannot be met, because second factors are not configured",
            "set mfa.encryption_key_file or TOTP_ENC_KEY",
        );
    }
    Policy {
        public,
        roles: reader.roles(&format!("{path}.roles"), allow.roles.as_ref()),
        scopes: scopes(allow, &path, reader),
        client_cns: common_names(allow, &path, reader),
        sources: allow.sources.iter().flatten().copied().map(source).collect(),
        second_factor: allow.mfa.unwrap_or(false),
        protection,
        on_unknown,
    }
}

/// How long stale session state is used (`on_unknown`).
fn on_unknown(
    route: &written::RawRoute,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<Duration> {
    let text = route.on_unknown.as_deref().filter(|text| *text != "refuse")?;
    let path = format!("{path}.on_unknown");
    let Some(time) = text.strip_prefix("serve_for ") else {
        let hint = "\"refuse\", or \"serve_for\" and a duration, for example \"serve_for 5m\"";
        reader.report.problem_with_hint(&path, "is not a valid value", hint);
        return None;
    };
    let bounds = Duration::from_secs(1)..=Duration::from_secs(3_600);
    Some(reader.time(&path, Some(&Time(time.to_owned())), Duration::ZERO, bounds))
}

fn scopes(allow: &RawAllow, path: &str, reader: &mut ConfigResolver<'_>) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for (position, text) in allow.scopes.iter().flatten().enumerate() {
        match Scope::parse(text) {
            Ok(scope) => scopes.push(scope),
            Err(fault) => reader.report.problem(&format!("{path}.scopes[{position}]"), fault),
        }
    }
    scopes
}

fn common_names(allow: &RawAllow, path: &str, reader: &mut ConfigResolver<'_>) -> Vec<Box<str>> {
    let names = allow.client_cns.iter().flatten().enumerate();
    names
        .map(|(position, name)| {
            let path = format!("{path}.client_cns[{position}]");
            reader.text(&path, Some(name), "", MAX_COMMON_NAME)
        })
        .collect()
}

const fn source(written: written::RawSource) -> Source {
    match written {
        written::RawSource::ApiKey => Source::ApiKey,
        written::RawSource::Bearer => Source::Bearer,
        written::RawSource::Session => Source::Session,
    }
}
