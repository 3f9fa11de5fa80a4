//! Checks of a Redis server for `guarita doctor`.

use redis::{InfoDict, cmd};
use tokio::time::timeout;

use super::client::RedisClient;
use super::connect::{CONNECT_TIMEOUT, Connected, connect};
use crate::settings::Redis;

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The version; [`None`] if the user has no permission to read it.
    pub version: Option<String>,
    /// The eviction policy, if it evicts keys that are not expired.
    pub evicts: Option<String>,
}

/// Connects, runs the same writes as a login, and reads version and policy.
///
/// # Errors
/// The failure, without secrets.
pub async fn examine(settings: &Redis) -> Result<Examined, String> {
    let link = RedisClient::new(settings.clone());
    let connected = timeout(CONNECT_TIMEOUT * 2, connect(settings)).await;
    let connected = connected.map_err(|_| "it cannot be reached in time".to_owned())?;
    let Connected { mut connection, .. } = connected.map_err(|error| error.to_string())?;
    link.probe(&mut connection).await?;
    let mut facts = cmd("INFO");
    let Ok(said) = connection.ask::<String>(facts.arg("server")).await else {
        return Ok(Examined { version: None, evicts: None });
    };
    let version = InfoDict::new(&said).get("redis_version");
    let mut memory = cmd("INFO");
    let said = connection.ask::<String>(memory.arg("memory")).await.unwrap_or_default();
    let policy: Option<String> = InfoDict::new(&said).get("maxmemory_policy");
    Ok(Examined { version, evicts: policy.filter(|policy| policy != "noeviction") })
}
