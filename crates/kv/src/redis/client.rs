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

/// How often the connection is tried while nobody uses it.
const PERIOD: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What is at hand.
#[derive(Default)]
struct ClientState {
    connection: Option<RedisConnection>,
    /// Counts connections: what one of them said says nothing of the next.
    number: u64,
}

/// Redis, as far as it can be reached.
pub struct RedisClient {
    settings: Redis,
    pub(crate) scripts: Scripts,
    held: Mutex<ClientState>,
    lost: Notify,
    up: AtomicBool,
    told: AtomicBool,
    /// Whether an attempt to connect has ended.
    tried: watch::Sender<bool>,
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl RedisClient {
    /// Not connected yet; see [`RedisClient::run`].
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

    /// What it was made with.
    pub const fn settings(&self) -> &Redis {
        &self.settings
    }

    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Waits until the first attempt to connect has ended, well or not.
    pub async fn tried(&self) {
        drop(self.tried.subscribe().wait_for(|tried| *tried).await);
    }

    /// Counts the connections that were made: with another one the server may be another too.
    pub fn connections(&self) -> u64 {
        self.held().number
    }

    /// Connects, and again whenever the connection is lost or of no use, for ever.
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

    /// Uses a connection until it is lost; whether it was of any use.
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

    /// Whether the Sentinels name another primary. Where none of them can say, this one stays.
    async fn was_replaced(&self, known: &crate::address::HostPort) -> bool {
        primary(&self.settings).await.is_ok_and(|named| named != *known)
    }

    /// Does what logins do: a server that cannot be written to is of no use.
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

    /// The name of a key of ours.
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

    /// Tells all who listen on a channel.
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

    /// By its digest; with its text where the server does not know it yet.
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
            tracing::info!(event = "ephemeral.up", "Redis can be reached again");
        }
    }

    /// Lets go of that connection, and tells it once.
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
            tracing::warn!(
                event = "ephemeral.down",
                reason,
                "Redis cannot be reached: each gateway limits by itself, and tickets are rejected"
            );
        }
    }
}
