//! The small sections.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::super::values::{AuditSettings, Listener};
use super::super::written::RawConfig;
use super::ConfigResolver;
use super::upstreams::host_and_port;
use guarita_core::Secret;
use guarita_proxy::snapshot::Limits;
use guarita_store as store;
use guarita_store::StoreOpenError;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const TEBIBYTE: u64 = 1 << 40;
/// Longest path of a file or directory, in bytes (Linux's `PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The number of cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `data_dir`
pub(super) fn data_dir(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> String {
    reader.text("data_dir", written.data_dir.as_ref(), "data", MAX_PATH).into()
}

/// `public_url`, without a trailing slash.
pub(super) fn public_url(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Box<str> {
    let Some(text) = &written.public_url else { return "https://localhost:8443".into() };
    let text = text.strip_suffix('/').unwrap_or(text);
    let secure = text.strip_prefix("https://");
    let origin = secure.or_else(|| text.strip_prefix("http://")).and_then(host_and_port);
    match origin {
        Some((host, _)) if secure.is_some() || is_loopback(host) => {}
        Some(_) => reader.report.problem_with_hint(
            "public_url",
            "must be https",
            "http only on localhost, 127.0.0.1 or [::1]",
        ),
        None => reader.report.problem_with_hint(
            "public_url",
            "must be a scheme, a host and optionally a port",
            "for example https://gateway.example.com; no path, query or user",
        ),
    }
    text.into()
}

pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `[ops] address`
pub(super) fn ops(
    written: &RawConfig,
    listeners: &[Listener],
    reader: &mut ConfigResolver<'_>,
) -> SocketAddr {
    let path = "ops.address";
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
    let address = written.ops.address.as_ref().map_or(Ok(default), |address| address.parse());
    let Ok(address) = address else {
        let what = "is not an IP address with a port";
        reader.report.problem_with_hint(path, what, "for example 127.0.0.1:9090");
        return default;
    };
    let taken = |listener: &Listener| listener.address == address && address.port() != 0;
    if listeners.iter().any(taken) {
        reader.report.problem(path, format_args!("{address} is the address of a listener already"));
    }
    address
}

/// `[store]`
pub(super) fn store(
    written: &RawConfig,
    data_dir: &Path,
    reader: &mut ConfigResolver<'_>,
) -> store::StoreSettings {
    let of = &written.store;
    let default = || Secret::new(format!("sqlite:{}", data_dir.join("guarita.db").display()));
    let (text, file) = (of.database.as_ref(), of.database_file.as_ref());
    let (database, path) = reader
        .secret("store.database", text, file)
        .unwrap_or_else(|| (default(), "store".to_owned()));
    let bounds = Duration::ZERO..=Duration::from_secs(3_600);
    let wait = reader.time("store.wait", of.wait.as_ref(), Duration::from_secs(60), bounds);
    let settings = store::StoreSettings { database, wait };
    check_database(&settings, &path, reader);
    settings
}

fn check_database(settings: &store::StoreSettings, path: &str, reader: &mut ConfigResolver<'_>) {
    let text = settings.database.expose();
    let hint = "for example sqlite:data/guarita.db or postgres://user:password@host/database; at most 4096 bytes";
    if text.len() > MAX_PATH || text.chars().any(char::is_control) {
        reader.report.problem_with_hint(path, "is not a database URL", hint);
        return;
    }
    match settings.check() {
        Ok(None) => {}
        Ok(Some(warning)) => reader.report.warning(path, warning),
        Err(StoreOpenError::Unsupported(what)) => reader.report.problem_with_hint(path, what, hint),
        Err(fault) => reader.report.problem_with_hint(path, fault, hint),
    }
}

/// `trusted_proxies`
pub(super) fn trusted_proxies(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (position, text) in written.trusted_proxies.iter().flatten().enumerate() {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        match text.parse::<IpNet>().or_else(|_| address()) {
            Ok(network) => networks.push(network),
            Err(_) => reader.report.problem_with_hint(
                &format!("trusted_proxies[{position}]"),
                "must be an IP address or a network in CIDR notation",
                "for example 10.0.0.0/8",
            ),
        }
    }
    networks
}

/// `[limits]`. The bounds of numbers were checked with the shape.
pub(super) fn limits(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Limits {
    let (of, default) = (&written.limits, Limits::default());
    let header_bytes = reader.size(
        "limits.header_bytes",
        of.header_bytes.as_ref(),
        u64::try_from(default.header_bytes).unwrap_or(u64::MAX),
        1 << 10..=256 << 10,
    );
    Limits {
        header_count: number(of.header_count, default.header_count),
        header_bytes: usize::try_from(header_bytes).unwrap_or(default.header_bytes),
        body_bytes: reader.size(
            "limits.body_bytes",
            of.body_bytes.as_ref(),
            default.body_bytes,
            0..=TEBIBYTE,
        ),
        header_timeout: reader.time(
            "limits.header_timeout",
            of.header_timeout.as_ref(),
            default.header_timeout,
            Duration::from_millis(100)..=600 * SECOND,
        ),
        idle_timeout: reader.time(
            "limits.idle_timeout",
            of.idle_timeout.as_ref(),
            default.idle_timeout,
            SECOND..=HOUR,
        ),
        body_timeout: reader.time(
            "limits.body_timeout",
            of.body_timeout.as_ref(),
            default.body_timeout,
            SECOND..=HOUR,
        ),
        connections: number(of.connections, default.connections),
        connections_per_address: number(
            of.connections_per_address,
            default.connections_per_address,
        ),
        requests_per_connection: number(
            of.requests_per_connection,
            default.requests_per_connection,
        ),
        streams_per_connection: number(of.streams_per_connection, default.streams_per_connection),
        websocket_idle_timeout: reader.time(
            "limits.websocket_idle_timeout",
            of.websocket_idle_timeout.as_ref(),
            default.websocket_idle_timeout,
            SECOND..=DAY,
        ),
        websockets_per_user: number(of.websockets_per_user, default.websockets_per_user),
    }
}

fn number<T: TryFrom<i64>>(written: Option<i64>, default: T) -> T {
    written.and_then(|number| number.try_into().ok()).unwrap_or(default)
}

/// `[audit]`
pub(super) fn audit(
    written: &RawConfig,
    data_dir: &Path,
    reader: &mut ConfigResolver<'_>,
) -> AuditSettings {
    let of = &written.audit;
    let directory = match &of.directory {
        Some(_) => {
            let text = reader.text("audit.directory", of.directory.as_ref(), "", MAX_PATH);
            PathBuf::from(String::from(text))
        }
        None => data_dir.join("audit"),
    };
    let keep = reader.time("audit.keep", of.keep.as_ref(), 180 * DAY, 180 * DAY..=3650 * DAY);
    AuditSettings { directory, keep }
}

/// `[log] level`
pub(super) fn log_filter(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> String {
    let level = reader.text("log.level", written.log.level.as_ref(), "info", 1000);
    if EnvFilter::from_str(&level).is_err() {
        let hint = "error, warn, info, debug or trace, or a filter by module";
        reader.report.problem_with_hint("log.level", "is not a valid level", hint);
    }
    level.into()
}

/// `[drain] delay`
pub(super) fn drain_delay(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Duration {
    let delay = written.drain.delay.as_ref();
    reader.time("drain.delay", delay, Duration::ZERO, Duration::ZERO..=300 * SECOND)
}

/// `[drain] timeout`
pub(super) fn drain_timeout(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Duration {
    let timeout = written.drain.timeout.as_ref();
    reader.time("drain.timeout", timeout, 30 * SECOND, Duration::ZERO..=HOUR)
}

/// `[server] threads`
pub(super) fn threads(written: &RawConfig) -> usize {
    number(written.server.threads, cores())
}
