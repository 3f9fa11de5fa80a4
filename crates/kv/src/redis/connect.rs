//! Connections to Redis: single server, Sentinel or Cluster.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisResult, TlsCertificates, cmd,
};
use tokio::time::timeout;

use crate::address::{HostPort, RedisCredentials, Topology};
use crate::settings::Redis;

/// Time-out of connecting to a server.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of concurrent requests per connection.
const AT_ONCE: usize = 1_024;
/// Number of retries in a cluster, and the pause between them in milliseconds.
const RETRIES: (u32, u64) = (2, 25);

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum RedisConnection {
    One(MultiplexedConnection),
    /// Boxed, because it is much larger.
    Cluster(Box<ClusterConnection>),
}

impl RedisConnection {
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(&mut **connection).await,
        }
    }
}

/// A connection, and the primary that Sentinels named.
pub(super) struct Connected {
    pub(super) connection: RedisConnection,
    pub(super) primary: Option<HostPort>,
}

/// Connects to the primary.
pub(super) async fn connect(settings: &Redis) -> RedisResult<Connected> {
    match &settings.address.topology {
        Topology::Single(place) => {
            let connection = connect_one(settings, place).await?;
            Ok(Connected { connection, primary: None })
        }
        Topology::Sentinel { .. } => {
            let place = primary(settings).await?;
            let connection = connect_one(settings, &place).await?;
            Ok(Connected { connection, primary: Some(place) })
        }
        Topology::Cluster(places) => {
            let nodes = places
                .iter()
                .map(|place| Ok(client(settings, place)?.get_connection_info().clone()))
                .collect::<RedisResult<Vec<_>>>()?;
            let mut builder = ClusterClientBuilder::new(nodes)
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(settings.timeout)
                .retries(RETRIES.0)
                .max_retry_wait(RETRIES.1);
            if let Some(ca) = &settings.ca {
                builder = builder.certs(certificates(ca));
            }
            let connection = builder.build()?.get_async_connection().await?;
            Ok(Connected {
                connection: RedisConnection::Cluster(Box::new(connection)),
                primary: None,
            })
        }
    }
}

/// A client of a server to subscribe at; in a cluster, the node with this number.
pub(crate) async fn listener(settings: &Redis, number: usize) -> RedisResult<Client> {
    match &settings.address.topology {
        Topology::Single(place) => client(settings, place),
        Topology::Sentinel { .. } => client(settings, &primary(settings).await?),
        Topology::Cluster(places) => {
            let place = places.get(number.checked_rem(places.len()).unwrap_or(0));
            client(settings, place.ok_or_else(nowhere)?)
        }
    }
}

async fn connect_one(settings: &Redis, place: &HostPort) -> RedisResult<RedisConnection> {
    let client = client(settings, place)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(settings.timeout))
        .set_pipeline_buffer_size(AT_ONCE)
        .set_concurrency_limit(AT_ONCE);
    client.get_multiplexed_async_connection_with_config(&config).await.map(RedisConnection::One)
}

/// Asks the Sentinels for the primary, one after another.
pub(super) async fn primary(settings: &Redis) -> RedisResult<HostPort> {
    let Topology::Sentinel { sentinels, service, login } = &settings.address.topology else {
        return Err(nowhere());
    };
    let mut last = nowhere();
    for sentinel in sentinels {
        let client = client_of(settings, sentinel, login, 0)?;
        let asked = timeout(CONNECT_TIMEOUT, async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            cmd("SENTINEL")
                .arg("GET-MASTER-ADDR-BY-NAME")
                .arg(&**service)
                .query_async::<Option<(String, u16)>>(&mut connection)
                .await
        });
        match asked.await {
            Ok(Ok(Some((host, port)))) => return Ok(HostPort { host: host.into(), port }),
            Ok(Ok(None)) => last = unknown_service(),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
        }
    }
    Err(last)
}

fn client(settings: &Redis, place: &HostPort) -> RedisResult<Client> {
    client_of(settings, place, &settings.address.login, settings.address.database)
}

fn client_of(
    settings: &Redis,
    place: &HostPort,
    login: &RedisCredentials,
    database: i64,
) -> RedisResult<Client> {
    let (host, port) = (place.host.to_string(), place.port);
    let tls = settings.address.tls;
    let address = match tls {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    // A user that may do no more than it needs may not say who it is.
    let mut who = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
    if let Some(username) = &login.username {
        who = who.set_username(username);
    }
    if let Some(password) = &login.password {
        who = who.set_password(password.expose());
    }
    let info = address.into_connection_info()?.set_redis_settings(who);
    match settings.ca.as_ref().filter(|_| tls) {
        Some(ca) => Client::build_with_tls(info, certificates(ca)),
        None => Client::open(info),
    }
}

fn certificates(ca: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(ca.to_vec()) }
}

fn nowhere() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "no server is named").into()
}

fn unknown_service() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "the Sentinel does not know a primary of that name")
        .into()
}
