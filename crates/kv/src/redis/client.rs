//! The connection to Redis, maintained by a background task, so that no request waits for connecting. If there is
//! no connection, or Redis does not respond in time, requests fail at once.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::connect::{Connected, RedisConnection, connect, primary};
use super::script::{Script, Scripts};
use crate::KvUnavailable;
use crate::settings::Redis;
use guarita_telemetry::events::{EphemeralDown, EphemeralUp};

/// Interval of checking an unused connection.
const PERIOD: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The current connection.
#[derive(Default)]
struct ClientState {
    connection: Option<RedisConnection>,
    /// The number of the connection, to ignore late failures of an earlier one.
    number: u64,
}

/// The Redis client.
pub struct RedisClient {
    settings: Redis,
    pub(crate) scripts: Scripts,
    held: Mutex<ClientState>,
    lost: Notify,
    up: AtomicBool,
    told: AtomicBool,
    /// Whether the first attempt to connect has ended.
    tried: watch::Sender<bool>,
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl RedisClient {
    /// Creates it without connecting; see [`RedisClient::run`].
    pub fn new(settings: Redis) -> Self {
        Self {
            settings,
            scripts: Scripts::default(),
            held: Mutex::default(),
            lost: Notify::new(),
            up: AtomicBool::new(false),
            told: AtomicBool::new(false),
            tried: watch::Sender::new(false),
        }
    }

    /// The settings.
    pub const fn settings(&self) -> &Redis {
        &self.settings
    }

    /// Whether Redis can be reached.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Waits until the first attempt to connect has ended, with or without success.
    pub async fn tried(&self) {
        drop(self.tried.subscribe().wait_for(|tried| *tried).await);
    }

    /// The number of connections so far; another connection may be to another server.
    pub fn connections(&self) -> u64 {
        self.held().number
    }

    /// Connects, and reconnects whenever the connection is lost or unusable; runs forever.
    pub async fn run(self: Arc<Self>) {
        let mut pause = PAUSES.0;
        loop {
            match connect(&self.settings).await {
                Ok(connected) => {
                    if self.keep(connected).await {
                        pause = PAUSES.0;
                    }
                }
                Err(error) => self.failed(None, &error.to_string()),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Uses a connection until it is lost; returns whether it worked.
    async fn keep(&self, Connected { connection, primary }: Connected) -> bool {
        let mut mine = connection.clone();
        if let Err(error) = self.probe(&mut mine).await {
            self.failed(None, &error);
            return false;
        }
        let number = {
            let mut held = self.held();
            held.connection = Some(connection);
            held.number += 1;
            held.number
        };
        self.succeeded();
        loop {
            tokio::select! {
                () = self.lost.notified() => {}
                () = sleep(PERIOD) => {}
            }
            if self.held().number != number || self.held().connection.is_none() {
                return true;
            }
            if let Err(error) = self.probe(&mut mine).await {
                self.failed(Some(number), &error);
                return true;
            }
            if let Some(primary) = &primary
                && self.was_replaced(primary).await
            {
                self.failed(Some(number), "another server is the primary now");
                return true;
            }
        }
    }

    /// Whether the Sentinels name another primary. If no Sentinel responds, the present one is kept.
    async fn was_replaced(&self, known: &crate::address::HostPort) -> bool {
        primary(&self.settings).await.is_ok_and(|named| named != *known)
    }

    /// Runs the same writes as a login, because a read-only server is not usable.
    pub(super) async fn probe(&self, connection: &mut RedisConnection) -> Result<(), String> {
        let key = self.key("probe");
        let (interval, period) = (1_000, 1_000_000);
        let keys = [key.as_str()];
        let asked = self.call::<i64>(connection, &self.scripts.rate, &keys, |command| {
            command.arg(interval).arg(period);
        });
        match timeout(self.settings.timeout, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(self.late()),
        }
    }

    /// The name of a key, with the prefix.
    pub fn key(&self, name: &str) -> String {
        [&self.settings.prefix, ":", name].concat()
    }

    /// Runs a script.
    ///
    /// # Errors
    /// [`KvUnavailable`]: it is unknown whether it ran.
    pub async fn run_script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<T, KvUnavailable> {
        self.ask(async |connection| self.call(connection, script, keys, &arguments).await).await
    }

    /// Publishes on a channel.
    ///
    /// # Errors
    /// [`KvUnavailable`]
    pub async fn publish(&self, channel: &str) -> Result<(), KvUnavailable> {
        let mut command = cmd("PUBLISH");
        command.arg(channel).arg("");
        self.ask(async |connection| connection.ask::<i64>(&command).await).await.map(|_| ())
    }

    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut RedisConnection) -> Result<T, RedisError>,
    ) -> Result<T, KvUnavailable> {
        let (connection, number) = {
            let held = self.held();
            (held.connection.clone(), held.number)
        };
        let Some(mut connection) = connection else { return Err(KvUnavailable) };
        match timeout(self.settings.timeout, question(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.failed(Some(number), &error.to_string());
                Err(KvUnavailable)
            }
            Err(_) => {
                self.failed(Some(number), &self.late());
                Err(KvUnavailable)
            }
        }
    }

    /// Runs a script by its digest, or with its text if the server does not know it yet.
    async fn call<T: FromRedisValue>(
        &self,
        connection: &mut RedisConnection,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<T, RedisError> {
        let command = |verb: &str, what: &str| {
            let mut command = cmd(verb);
            command.arg(what).arg(keys.len()).arg(keys);
            arguments(&mut command);
            command
        };
        match connection.ask(&command("EVALSHA", script.digest())).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                connection.ask(&command("EVAL", script.text())).await
            }
            asked => asked,
        }
    }

    fn late(&self) -> String {
        format!("no response within {} ms", self.settings.timeout.as_millis())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, ClientState> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        self.up.store(true, Ordering::Relaxed);
        self.tried.send_replace(true);
        if self.told.swap(false, Ordering::Relaxed) {
            EphemeralUp { backend: "Redis" }.emit();
        }
    }

    /// Drops the connection, and logs it once.
    fn failed(&self, number: Option<u64>, reason: &str) {
        if let Some(number) = number {
            let mut held = self.held();
            if held.number != number || held.connection.is_none() {
                return;
            }
            held.connection = None;
        }
        self.up.store(false, Ordering::Relaxed);
        self.tried.send_replace(true);
        self.lost.notify_one();
        if !self.told.swap(true, Ordering::Relaxed) {
            EphemeralDown { backend: "Redis", reason }.emit();
        }
    }
}
