//! `[[upstreams]]`

use std::collections::HashSet;
use std::time::Duration;

use http::HeaderValue;

use super::super::written::{self, RawConfig};
use super::ConfigResolver;
use guarita_proxy::listener::certificates;
use guarita_proxy::listener::certificates::CertificatePem;
use guarita_proxy::upstream::UpstreamSettings;
use guarita_proxy::upstream::settings::{HealthCheck, UpstreamServer, UpstreamTls};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// All upstreams, in order; invalid ones are reported.
pub(super) fn resolve(
    written: &RawConfig,
    reader: &mut ConfigResolver<'_>,
) -> Vec<UpstreamSettings> {
    let mut names = HashSet::new();
    let mut upstreams = Vec::new();
    for (position, upstream) in written.upstreams.iter().flatten().enumerate() {
        let path = format!("upstreams[{position}]");
        let name = name(upstream, &path, reader);
        if !name.is_empty() && !names.insert(name.clone()) {
            reader.report.problem(&format!("{path}.name"), format_args!("{name} is a duplicate"));
        }
        upstreams.push(settings(upstream, name, &path, reader));
    }
    upstreams
}

fn name(upstream: &written::RawUpstream, path: &str, reader: &mut ConfigResolver<'_>) -> Box<str> {
    let Some(name) = &upstream.name else { return "".into() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
        let what = "must be 1 to 64 letters, digits, - _ and .";
        reader.report.problem(&format!("{path}.name"), what);
    }
    name.as_str().into()
}

fn settings(
    upstream: &written::RawUpstream,
    name: Box<str>,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> UpstreamSettings {
    let servers = servers(upstream, path, reader);
    let mut time =
        |key: &str, written: Option<&crate::config::written::quantity::Time>, default, bounds| {
            reader.time(&format!("{path}.{key}"), written, default, bounds)
        };
    let of = upstream;
    UpstreamSettings {
        name,
        eject_for: time("eject_for", of.eject_for.as_ref(), 10 * SECOND, SECOND..=HOUR),
        connect_timeout: time(
            "connect_timeout",
            of.connect_timeout.as_ref(),
            2 * SECOND,
            MILLISECOND..=MINUTE,
        ),
        read_timeout: time("read_timeout", of.read_timeout.as_ref(), MINUTE, MILLISECOND..=DAY),
        write_timeout: time("write_timeout", of.write_timeout.as_ref(), MINUTE, MILLISECOND..=DAY),
        idle_timeout: time("idle_timeout", of.idle_timeout.as_ref(), MINUTE, SECOND..=HOUR),
        eject_after: number(of.eject_after, 5),
        retries: of.retries.and_then(|number| u8::try_from(number).ok()).unwrap_or(1),
        http2: of.http2.unwrap_or(false),
        host: host(upstream, path, reader),
        health_check: health_check(upstream, path, reader),
        tls: tls(upstream, &servers, path, reader),
        servers,
    }
}

/// The bounds were checked against the schema.
fn number(written: Option<i64>, default: u32) -> u32 {
    written.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
}

fn servers(
    upstream: &written::RawUpstream,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Vec<UpstreamServer> {
    let mut known = HashSet::new();
    let mut servers = Vec::new();
    for (position, text) in upstream.servers.iter().flatten().enumerate() {
        let path = format!("{path}.servers[{position}]");
        match server(text) {
            Ok(server) if known.insert(server.clone()) => servers.push(server),
            Ok(_) => reader.report.problem(&path, "is a duplicate"),
            Err(what) => {
                reader.report.problem_with_hint(&path, what, "for example http://127.0.0.1:9000");
            }
        }
    }
    servers
}

fn server(text: &str) -> Result<UpstreamServer, &'static str> {
    let (secure, rest) = if let Some(rest) = text.strip_prefix("http://") {
        (false, rest)
    } else if let Some(rest) = text.strip_prefix("https://") {
        (true, rest)
    } else {
        return Err("must begin with http:// or https://");
    };
    if rest.contains('@') {
        return Err("must not have a user or password");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '\\']) {
        return Err("must not have a path, query or fragment");
    }
    let default = if secure { 443 } else { 80 };
    let (host, port) = host_and_port(rest).ok_or("must be a host and a port from 1 to 65535")?;
    Ok(UpstreamServer {
        secure,
        host: host.to_ascii_lowercase().into(),
        port: port.unwrap_or(default),
    })
}

/// A DNS name, an IPv4 address or an IPv6 address in brackets (returned without them), and a port.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(digits) => Some((host, Some(port(digits)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    let (host, digits) = match text.split_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (text, None),
    };
    is_host_name(host).then_some((host, digits))
}

fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn host(
    upstream: &written::RawUpstream,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<HeaderValue> {
    let host = upstream.host.as_ref()?;
    let value = host_and_port(host).and_then(|_| HeaderValue::from_str(host).ok());
    if value.is_none() {
        reader.report.problem(&format!("{path}.host"), "must be a host, optionally with a port");
    }
    value
}

fn health_check(
    upstream: &written::RawUpstream,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<HealthCheck> {
    let written = upstream.health_check.as_ref()?;
    let path = format!("{path}.health_check");
    let target = written.path.as_deref().unwrap_or("/");
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !target.starts_with('/') || target.len() > 2048 || !visible {
        let what = "must begin with / and be at most 2048 visible ASCII characters";
        reader.report.problem(&format!("{path}.path"), what);
    }
    let interval = written.interval.as_ref();
    let timeout = written.timeout.as_ref();
    Some(HealthCheck {
        path: target.into(),
        interval: reader.time(
            &format!("{path}.interval"),
            interval,
            5 * SECOND,
            100 * MILLISECOND..=HOUR,
        ),
        timeout: reader.time(
            &format!("{path}.timeout"),
            timeout,
            2 * SECOND,
            10 * MILLISECOND..=MINUTE,
        ),
        healthy_after: number(written.healthy_after, 1),
        unhealthy_after: number(written.unhealthy_after, 2),
    })
}

fn tls(
    upstream: &written::RawUpstream,
    servers: &[UpstreamServer],
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> UpstreamTls {
    let Some(written) = &upstream.tls else { return UpstreamTls::default() };
    let path = format!("{path}.tls");
    if !servers.is_empty() && !servers.iter().any(|server| server.secure) {
        reader.report.problem(&path, "has no effect, because no server is https");
    }
    let server_name = written.server_name.as_deref();
    if server_name.is_some_and(|name| !is_host_name(name)) {
        reader.report.problem(&format!("{path}.server_name"), "is not a DNS name");
    }
    UpstreamTls {
        ca: ca(written, &path, reader),
        identity: identity(written, &path, reader),
        server_name: server_name.map(Into::into),
    }
}

fn ca(
    written: &written::RawUpstreamTls,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<Vec<u8>> {
    let path = format!("{path}.ca");
    let pem = reader.file(&path, written.ca.as_ref()?)?;
    if certificates::check_client_ca(&pem).is_err() {
        reader.report.problem(&path, "has no valid certificate in PEM");
    }
    Some(pem)
}

fn identity(
    written: &written::RawUpstreamTls,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<(Vec<u8>, guarita_core::Secret)> {
    let (certificate, key) = match (&written.certificate, &written.key) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) | (None, Some(_)) => {
            reader.report.problem(path, "needs both certificate and key");
            return None;
        }
    };
    let certificate_path = format!("{path}.certificate");
    let chain = reader.file(&certificate_path, certificate);
    let key = reader.secret_file(&format!("{path}.key"), key);
    let origin = reader.locate(certificate).display().to_string();
    let pem = CertificatePem { chain: chain?, key: key?, origin };
    if let Err(fault) = certificates::check(&pem) {
        reader.report.problem(&certificate_path, fault);
    }
    Some((pem.chain, pem.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        for (text, secure, host, port) in [
            ("http://127.0.0.1:9000", false, "127.0.0.1", 9000),
            ("https://API.example.test/", true, "api.example.test", 443),
            ("http://[::1]:80", false, "::1", 80),
            ("http://my_service", false, "my_service", 80),
        ] {
            let expected = UpstreamServer { secure, host: host.into(), port };
            assert_eq!(server(text), Ok(expected), "{text}");
        }
        for text in [
            "127.0.0.1:9000",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://user:pass@a",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://a:",
            "http://a b",
            "http://[::1",
            "http://[::1]80",
            "http://::1",
            "http://a..b",
            "http://-a",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
