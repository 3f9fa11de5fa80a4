//! Starts the gateway from a configuration file, runs it and stops it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::build::{self, Components, StartError};
use crate::config;
use crate::config::Config;
use crate::reload;
use guarita_auth::federation;
use guarita_core::time;
use guarita_core::websocket::Ending;
use guarita_proxy::listener::inherited;
use guarita_proxy::listener::inherited::Inherited;
use guarita_proxy::revocation::watcher::RevocationWatcher;
use guarita_telemetry::events::{
    ConfigWarning, EphemeralLate, MailMissing, ServerClosing, ServerDraining, ServerStarted,
    ServerStopped,
};
use guarita_telemetry::log;
use guarita_web::ops;

/// Maximum wait for the first connection to Redis.
const REDIS_CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Loads the configuration and serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// The start failed; the fault describes it in one line, or one line per problem.
pub fn run(file: &Path) -> Result<(), StartError> {
    let inherited = Inherited::take().map_err(|e| StartError::part("inherited sockets")(&e))?;
    let config = config::load(file).map_err(StartError::Configuration)?;
    log::start(&config.log_filter).map_err(|e| StartError::part("log")(&e))?;
    for warning in &config.warnings {
        ConfigWarning { warning }.emit();
    }
    if let Some(warning) = config.without_mail() {
        MailMissing { warning }.emit();
    }
    raise_descriptor_limit();
    // pingora's own timers read the clock twice and allocate; the runtime's do neither.
    pingora_timeout::fast_timeout::set_fast_timeout_to_tokio_threshold(Some(Duration::ZERO));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .thread_name("guarita")
        .enable_all()
        .build()
        .map_err(|e| StartError::part("threads")(&e))?;
    let ended = runtime.block_on(serve(config, inherited));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Raises the soft limit of open files: each connection needs one file descriptor, a forwarded request two.
fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "raising the limit of open files failed");
    }
}

async fn serve(config: Config, inherited: Inherited) -> Result<(), StartError> {
    let (stop, shutdown) = watch::channel(false);
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    // From here on a SIGHUP is heard, though nobody answers it before the gateway serves.
    let hang_ups = listen_for(SignalKind::hangup())?;
    let gate = build::build(&config, inherited, shutdown).await?;
    let mut background = JoinSet::new();
    background.spawn(gate.ephemeral.clone().run());
    // Who is served before that would be counted here alone, and no ticket would be made or count.
    if tokio::time::timeout(REDIS_CONNECT_WAIT, gate.ephemeral.until_known()).await.is_err() {
        EphemeralLate.emit();
    }
    let mut accepting = JoinSet::new();
    let closing = gate.begin(&config, &mut background, &mut accepting);
    inherited::notify_ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    inherited::tell_stopping();
    closing.drain(&stop, accepting).await;
    background.shutdown().await;
    drop(hang_ups);
    closing.finish().await;
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(|e| StartError::part("signals")(&e))
}

async fn on_sighup(handle: reload::Handle) {
    if let Err(error) = reload::watch::on_hangup(handle).await {
        tracing::error!(%error, "the SIGHUP handler could not be installed");
    }
}

/// The context of a graceful shutdown.
struct Shutdown {
    acceptor: guarita_proxy::listener::accept::Acceptor,
    revocation: RevocationWatcher,
    telemetry: guarita_telemetry::Telemetry,
    readiness: Arc<ops::Readiness>,
    store: guarita_store::Store,
    delay: Duration,
    timeout: Duration,
}

impl Components {
    /// Starts all background tasks.
    fn begin(
        self,
        config: &Config,
        background: &mut JoinSet<()>,
        accepting: &mut JoinSet<()>,
    ) -> Shutdown {
        let live = self.live.read();
        for pool in &live.pools {
            pool.start(self.telemetry.metrics());
        }
        for provider in live.auth.providers.iter() {
            federation::refresh::start(provider, self.telemetry.metrics());
        }
        background.spawn(self.feed.run());
        background.spawn(self.sweep.run());
        background.spawn(self.renewal.run());
        background.spawn(self.usage.run());
        background.spawn(self.reload.run());
        background.spawn(reload::watch::run(self.reload_handle.clone()));
        background.spawn(reload::watch::on_keys(self.reload_handle.clone(), self.keys));
        if let Some(follower) = self.follower {
            background.spawn(follower.run());
        }
        if let Some(rotation) = self.rotation {
            background.spawn(rotation.run());
        }
        background.spawn(on_sighup(self.reload_handle));
        background.spawn(self.observer.run());
        background.spawn(self.revocation.clone().run());
        // Among those that the drain waits for: a mail under way is sent once.
        if let Some((sender, stop)) = self.sender {
            accepting.spawn(sender.run(stop));
        }
        let router = ops::router(Arc::clone(self.telemetry.metrics()), Arc::clone(&self.readiness));
        background.spawn(ops::serve(self.ops, router));
        for listener in self.listeners {
            accepting.spawn(self.acceptor.clone().run(listener));
        }
        ServerStarted.emit(&self.telemetry, time::now());
        Shutdown {
            acceptor: self.acceptor,
            revocation: self.revocation,
            telemetry: self.telemetry,
            readiness: self.readiness,
            store: self.store,
            delay: config.drain_delay,
            timeout: config.drain_timeout,
        }
    }
}

impl Shutdown {
    /// Announces the shutdown, stops accepting, and lets open requests complete until the time-out.
    async fn drain(&self, stop: &watch::Sender<bool>, mut accepting: JoinSet<()>) {
        ServerDraining.emit();
        self.readiness.drain();
        tokio::time::sleep(self.delay).await;
        stop.send_replace(true);
        self.acceptor.announce_close().await;
        ServerClosing.emit();
        while accepting.join_next().await.is_some() {}
        let emptied = async {
            tokio::select! {
                () = self.acceptor.wait_until_empty() => {}
                // Nothing else ends them: a WebSocket has no last answer to wait for.
                () = self.revocation.end_sockets(Ending::Draining) => {}
            }
        };
        if tokio::time::timeout(self.timeout, emptied).await.is_err() {
            tracing::warn!("connections still open after drain.timeout");
        }
    }

    async fn finish(self) {
        ServerStopped.emit(&self.telemetry, time::now());
        self.telemetry.audit().close();
        self.store.close().await;
    }
}
