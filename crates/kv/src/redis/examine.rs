//! Checks of a Redis server for `guarita doctor`.

use redis::{InfoDict, cmd};
use tokio::time::timeout;

use super::client::RedisClient;
use super::connect::{CONNECT_TIMEOUT, Connected, connect};
use crate::settings::Redis;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its version; none where our user may not ask.
    pub version: Option<String>,
    /// The policy by which it removes keys that have not ended, where it does.
    pub evicts: Option<String>,
}

/// Connects, writes as logins do, and asks for version and policy.
///
/// # Errors
/// What failed, without secrets.
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
