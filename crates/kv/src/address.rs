//! The Redis URL: one format for a single server, Sentinel and Cluster.
//!
//! | text | meaning |
//! | --- | --- |
//! | `redis://user:password@host:6379/0` | one server |
//! | `redis-sentinel://user:password@host:26379,host2:26379/service/0` | the primary that Sentinel names |
//! | `redis-cluster://user:password@host:6379,host2:6379` | a cluster, discovered from these nodes |
//!
//! With TLS the scheme begins with `rediss`. User, password, ports and the number of the database are
//! optional. `?sentinel_username=` and `?sentinel_password=` are for Sentinels with other credentials.

use std::fmt;

use percent_encoding::percent_decode_str;

use guarita_core::Secret;

/// Maximum length of the URL, in bytes.
const MAX_LENGTH: usize = 4096;
/// Maximum number of servers.
const MAX_PLACES: usize = 32;
/// Longest host, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
/// Maximum number of a database.
const MAX_DATABASE: i64 = 65_535;
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// The credentials for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisCredentials {
    /// The ACL user; `default` if not given.
    pub username: Option<Box<str>>,
    /// The password.
    pub password: Option<Secret>,
}

/// The topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A single server.
    Single(HostPort),
    /// The primary is determined by Sentinels.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<HostPort>,
        /// The service name of the primary.
        service: Box<str>,
        /// The credentials for the Sentinels.
        login: RedisCredentials,
    },
    /// A cluster.
    Cluster(Vec<HostPort>),
}

/// A parsed Redis URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The servers.
    pub topology: Topology,
    /// Whether all connections use TLS, including those to Sentinels.
    pub tls: bool,
    /// The credentials.
    pub login: RedisCredentials,
    /// The number of the database; 0 in a cluster.
    pub database: i64,
}

/// Why a URL is invalid. Contains nothing of the URL, which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Empty, too long, or with white space or control characters.
    #[error("is empty, longer than 4096 bytes, or has white space or control characters")]
    Text,
    /// Unknown scheme.
    #[error("does not begin with a known scheme")]
    Scheme,
    /// Invalid host or port.
    #[error("has an invalid host or port")]
    Host,
    /// Several servers instead of one, or more than 32.
    #[error("names too many servers")]
    TooMany,
    /// Invalid percent-encoding.
    #[error("has a user or a password that is not percent-encoded text")]
    Login,
    /// Invalid path.
    #[error("has a path that this scheme does not allow")]
    Path,
    /// Invalid parameters.
    #[error("has an unknown parameter")]
    Parameter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RedisTopology {
    Single,
    Sentinel,
    Cluster,
}

impl Address {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`RedisUrlError`]
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control();
        if !(1..=MAX_LENGTH).contains(&text.len()) || text.chars().any(odd) {
            return Err(RedisUrlError::Text);
        }
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let (tls, kind) = match scheme {
            "redis" => (false, RedisTopology::Single),
            "rediss" => (true, RedisTopology::Single),
            "redis-sentinel" => (false, RedisTopology::Sentinel),
            "rediss-sentinel" => (true, RedisTopology::Sentinel),
            "redis-cluster" => (false, RedisTopology::Cluster),
            "rediss-cluster" => (true, RedisTopology::Cluster),
            _ => return Err(RedisUrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (credentials(login)?, hosts),
            None => (RedisCredentials::default(), authority),
        };
        let port = if kind == RedisTopology::Sentinel { SENTINEL_PORT } else { PORT };
        let mut places = Vec::new();
        for host in hosts.split(',') {
            if places.len() >= MAX_PLACES {
                return Err(RedisUrlError::TooMany);
            }
            places.push(place(host, port)?);
        }
        let (topology, database) = topology(kind, places, path, query)?;
        Ok(Self { topology, tls, login, database })
    }
}

fn topology(
    kind: RedisTopology,
    mut places: Vec<HostPort>,
    path: &str,
    query: &str,
) -> Result<(Topology, i64), RedisUrlError> {
    if kind != RedisTopology::Sentinel && !query.is_empty() {
        return Err(RedisUrlError::Parameter);
    }
    match kind {
        RedisTopology::Single => {
            let place = places.pop().filter(|_| places.is_empty()).ok_or(RedisUrlError::TooMany)?;
            Ok((Topology::Single(place), database(path)?))
        }
        RedisTopology::Sentinel => {
            let (service, number) = path.split_once('/').unwrap_or((path, ""));
            let named = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
            if !(1..=255).contains(&service.len()) || !service.chars().all(named) {
                return Err(RedisUrlError::Path);
            }
            let login = sentinel_login(query)?;
            let service = service.into();
            Ok((Topology::Sentinel { sentinels: places, service, login }, database(number)?))
        }
        RedisTopology::Cluster if path.is_empty() => Ok((Topology::Cluster(places), 0)),
        RedisTopology::Cluster => Err(RedisUrlError::Path),
    }
}

fn database(text: &str) -> Result<i64, RedisUrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.parse().ok().filter(|number| (0..=MAX_DATABASE).contains(number));
    number.ok_or(RedisUrlError::Path)
}

fn credentials(text: &str) -> Result<RedisCredentials, RedisUrlError> {
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    let (username, password) = (decoded(username)?, decoded(password)?);
    Ok(RedisCredentials {
        username: (!username.is_empty()).then(|| username.into()),
        password: (!password.is_empty()).then(|| Secret::new(password)),
    })
}

fn sentinel_login(query: &str) -> Result<RedisCredentials, RedisUrlError> {
    let mut login = RedisCredentials::default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or(RedisUrlError::Parameter)?;
        let value = decoded(value)?;
        match name {
            "sentinel_username" => login.username = Some(value.into()),
            "sentinel_password" => login.password = Some(Secret::new(value)),
            _ => return Err(RedisUrlError::Parameter),
        }
    }
    Ok(login)
}

fn decoded(text: &str) -> Result<String, RedisUrlError> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| RedisUrlError::Login)?;
    Ok(text.into_owned())
}

fn place(text: &str, default: u16) -> Result<HostPort, RedisUrlError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(RedisUrlError::Host)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = text.starts_with('[');
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
    let named = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let is_name = (1..=MAX_HOST).contains(&host.len()) && host.chars().all(named);
    if !(if bracketed { is_address } else { is_name }) {
        return Err(RedisUrlError::Host);
    }
    let port = port.map_or(Ok(default), |port| port.parse().map_err(|_| RedisUrlError::Host))?;
    if port == 0 { Err(RedisUrlError::Host) } else { Ok(HostPort { host: host.into(), port }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Vec<HostPort> {
        texts.iter().map(|text| place(text, 1).unwrap()).collect()
    }

    #[test]
    fn one_server_sentinels_and_a_cluster_are_written_alike() {
        let one = Address::parse("redis://cache").unwrap();
        assert_eq!(one.topology, Topology::Single(place("cache:6379", 1).unwrap()));
        assert_eq!((one.tls, one.database, one.login), (false, 0, RedisCredentials::default()));
        let one = Address::parse("rediss://gate:p%40ss%2Fw%3Ard@[::1]:7000/3").unwrap();
        assert_eq!(one.topology, Topology::Single(place("[::1]:7000", 1).unwrap()));
        assert_eq!((one.tls, one.database), (true, 3));
        assert_eq!(one.login.username.as_deref(), Some("gate"));
        assert_eq!(one.login.password.unwrap().expose(), "p@ss/w:rd");
        let watched = "redis-sentinel://:hunter2@a,b:5/main/2?sentinel_password=x%26y";
        let watched = Address::parse(watched).unwrap();
        assert_eq!((watched.database, watched.login.username), (2, None));
        let Topology::Sentinel { sentinels, service, login } = watched.topology else {
            panic!("no Sentinel")
        };
        assert_eq!((sentinels, &*service), (places(&["a:26379", "b:5"]), "main"));
        assert_eq!(login.password.unwrap().expose(), "x&y");
        let spread = Address::parse("rediss-cluster://a:1,b:2,c").unwrap();
        assert_eq!(spread.topology, Topology::Cluster(places(&["a:1", "b:2", "c:6379"])));
    }

    #[test]
    fn what_is_no_address_is_refused_and_never_repeated() {
        let many = format!("redis-cluster://{}a", "a,".repeat(MAX_PLACES));
        let long = format!("redis://{}", "a".repeat(MAX_LENGTH));
        for (text, fault) in [
            ("", RedisUrlError::Text),
            (long.as_str(), RedisUrlError::Text),
            ("redis://a b", RedisUrlError::Text),
            ("redis://a\n", RedisUrlError::Text),
            ("redis:a", RedisUrlError::Scheme),
            ("http://a", RedisUrlError::Scheme),
            ("REDIS://a", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Host),
            ("redis://a:0", RedisUrlError::Host),
            ("redis://a:65536", RedisUrlError::Host),
            ("redis://[a]", RedisUrlError::Host),
            ("redis://[::1", RedisUrlError::Host),
            ("redis://::1", RedisUrlError::Host),
            ("redis-cluster://a,,b", RedisUrlError::Host),
            ("redis://a,b", RedisUrlError::TooMany),
            (many.as_str(), RedisUrlError::TooMany),
            ("redis://u:%ff@a", RedisUrlError::Login),
            ("redis://a/x", RedisUrlError::Path),
            ("redis://a/-1", RedisUrlError::Path),
            ("redis://a/65536", RedisUrlError::Path),
            ("redis-sentinel://a", RedisUrlError::Path),
            ("redis-sentinel://a/one two", RedisUrlError::Text),
            ("redis-sentinel://a/main/x", RedisUrlError::Path),
            ("redis-cluster://a/1", RedisUrlError::Path),
            ("redis://a?x=1", RedisUrlError::Parameter),
            ("redis-sentinel://a/main?password=1", RedisUrlError::Parameter),
        ] {
            assert_eq!(Address::parse(text), Err(fault), "{text}");
        }
        let told = format!("{:?}", Address::parse("redis://u:hunter2@a").unwrap());
        assert!(!told.contains("hunter2"), "{told}");
    }
}
