//! The single writer of the current snapshot.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::watch::WatchedFiles;
use super::{compile, restart_only};
use crate::config;
use crate::config::values::Files;
use crate::config::{Config, Loaded, Problems};
use guarita_auth::{federation, keys};
use guarita_core::{Timestamp, time};
use guarita_proxy::snapshot::{CurrentSnapshot, Snapshot};
use guarita_telemetry::{Audit, Event, Metrics, Name};

/// Maximum number of queued requests; further ones are covered by the next reload.
const QUEUE: usize = 64;

/// The trigger of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// SIGHUP.
    Signal,
    /// A file of the configuration changed.
    FileChanged,
    /// Requested explicitly.
    Asked,
    /// The keys in the database changed.
    KeysChanged,
}

impl Reason {
    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::FileChanged => "file_changed",
            Self::Asked => "asked",
            Self::KeysChanged => "keys_changed",
        }
    }
}

/// The status of reloads: for `/readyz`, `guarita_config_reload_success` and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The current generation.
    pub generation: u64,
    /// Whether the last attempt succeeded.
    pub succeeded: bool,
    /// The problems of the last attempt; empty if it succeeded.
    pub problems: Vec<String>,
    /// Keys whose new value needs a restart.
    pub restart_needed: Vec<&'static str>,
    /// When the last attempt ended.
    pub attempted_at: Timestamp,
    /// When the current generation was applied.
    pub applied_at: Timestamp,
    /// Number of failed attempts since the start.
    pub failures: u64,
}

#[derive(Debug)]
struct ReloadRequest {
    reason: Reason,
    answer: Option<oneshot::Sender<Result<u64, Problems>>>,
}

/// Requests reloads and reports their status. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<ReloadRequest>,
    status: watch::Receiver<Status>,
    pub(super) watched: watch::Receiver<WatchedFiles>,
}

impl Handle {
    /// Requests a reload without waiting for it.
    pub fn trigger(&self, reason: Reason) {
        // A full queue means that a reload is about to begin: it serves this request too. Keys are looked at
        // before each.
        let _ = self.requests.try_send(ReloadRequest { reason, answer: None });
    }

    /// Reloads and waits; returns the new generation or the problems.
    pub async fn reload_now(&self) -> Result<u64, Problems> {
        let ended = || Problems(vec!["the gateway is shutting down".to_owned()]);
        let (answer, answered) = oneshot::channel();
        let request = ReloadRequest { reason: Reason::Asked, answer: Some(answer) };
        self.requests.send(request).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// The status of reloads.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Subscribes to the status.
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

/// The single writer of the current snapshot.
#[derive(Debug)]
pub struct Actor {
    live: Arc<CurrentSnapshot>,
    metrics: Arc<Metrics>,
    audit: Audit,
    running: Arc<Config>,
    requests: mpsc::Receiver<ReloadRequest>,
    status: watch::Sender<Status>,
    watched: watch::Sender<WatchedFiles>,
    source: watch::Receiver<keys::KeySource>,
}

/// The result of an attempt.
struct ReloadAttempt {
    files: Files,
    keys: Files,
    result: Result<NextReload, Problems>,
}

struct NextReload {
    config: Config,
    snapshot: Snapshot,
    restart_needed: Vec<&'static str>,
}

impl Actor {
    /// Creates an actor for the current snapshot, which was built from `running` with keys from `source`.
    pub fn new(
        running: Config,
        live: Arc<CurrentSnapshot>,
        metrics: Arc<Metrics>,
        audit: Audit,
        source: watch::Receiver<keys::KeySource>,
    ) -> (Self, Handle) {
        let now = time::now();
        let directory = running.data_dir.join("keys");
        let (sender, requests) = mpsc::channel(QUEUE);
        let (status, current_status) = watch::channel(Status {
            generation: live.read().generation,
            succeeded: true,
            problems: Vec::new(),
            restart_needed: Vec::new(),
            attempted_at: now,
            applied_at: now,
            failures: 0,
        });
        let (watched, current_watched) = watch::channel(WatchedFiles {
            files: running.files.clone(),
            keys: WatchedFiles::read_keys(&directory),
            keys_directory: directory,
        });
        let handle = Handle { requests: sender, status: current_status, watched: current_watched };
        let running = Arc::new(running);
        (Self { live, metrics, audit, running, requests, status, watched, source }, handle)
    }

    /// Runs until every [`Handle`] is dropped.
    pub async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            let mut reasons = vec![first.reason];
            let mut waiting: Vec<_> = first.answer.into_iter().collect();
            while let Ok(request) = self.requests.try_recv() {
                reasons.push(request.reason);
                waiting.extend(request.answer);
            }
            // By itself: a file that is wrong by now must not keep this gateway from keys that the others
            // are about to sign with. Whoever would have told of them may have found the queue full.
            let changed = self.source.has_changed().unwrap_or(false);
            if changed || reasons.contains(&Reason::KeysChanged) {
                self.take_keys().await;
                reasons.retain(|reason| *reason != Reason::KeysChanged);
            }
            let Some(reason) = reasons.first().copied() else { continue };
            let only_files = reasons.iter().all(|reason| *reason == Reason::FileChanged);
            // The change that was seen may have been read by another reload since.
            if only_files && !self.is_stale().await {
                self.watched.send_modify(|_| {});
                continue;
            }
            let result = self.reload(reason).await;
            for answer in waiting {
                // Whoever asked may have gone.
                let _ = answer.send(result.clone());
            }
        }
    }

    async fn is_stale(&self) -> bool {
        let watched = self.watched.borrow().clone();
        let looked = tokio::task::spawn_blocking(move || watched.is_stale()).await;
        looked.unwrap_or(true)
    }

    /// The current snapshot with the current keys.
    async fn take_keys(&mut self) {
        let (running, previous) = (Arc::clone(&self.running), self.live.read());
        let metrics = Arc::clone(&self.metrics);
        let source = self.source.borrow_and_update().clone();
        let compiled = tokio::task::spawn_blocking(move || {
            compile::compile(&running, Some(&previous), &metrics, &source)
        });
        match compiled.await {
            Ok(Ok(snapshot)) => {
                let generation = snapshot.generation;
                self.live.swap(snapshot);
                tracing::info!(event = "keys.taken", generation, "signing keys reloaded");
                self.audit.record(&Event::new(Name::KeysChanged), time::now());
                self.status.send_modify(|status| status.generation = generation);
            }
            Ok(Err(problems)) => {
                tracing::error!(event = "keys.refused", %problems, "signing keys rejected, present keys kept");
            }
            Err(_) => tracing::error!(event = "keys.refused", "reloading the signing keys failed"),
        }
    }

    async fn reload(&mut self, reason: Reason) -> Result<u64, Problems> {
        let (running, previous) = (Arc::clone(&self.running), self.live.read());
        let metrics = Arc::clone(&self.metrics);
        let source = self.source.borrow().clone();
        let attempted = move || attempt(&running, &previous, &metrics, &source);
        let attempt = tokio::task::spawn_blocking(attempted).await;
        let attempt = match attempt {
            Ok(attempt) => attempt,
            Err(_) => {
                let watched = self.watched.borrow();
                let what = format!("{}: the reload failed", self.running.file.display());
                let result = Err(Problems(vec![what]));
                ReloadAttempt { files: watched.files.clone(), keys: watched.keys.clone(), result }
            }
        };
        let result = match attempt.result {
            Ok(next) => Ok(self.apply(next, reason)),
            Err(problems) => {
                self.refuse(&problems, reason);
                Err(problems)
            }
        };
        // After the swap: who sees the files as known also sees their effect.
        self.watched.send_modify(|watched| {
            watched.files = attempt.files;
            watched.keys = attempt.keys;
        });
        result
    }

    fn apply(&mut self, next: NextReload, reason: Reason) -> u64 {
        let generation = next.snapshot.generation;
        for pool in &next.snapshot.pools {
            pool.start(&self.metrics);
        }
        for provider in next.snapshot.auth.providers.iter() {
            federation::refresh::start(provider, &self.metrics);
        }
        self.live.swap(next.snapshot);
        for warning in &next.config.warnings {
            tracing::warn!(event = "config.warning", "{warning}");
        }
        for key in &next.restart_needed {
            tracing::warn!(
                event = "config.reload.restart_needed",
                key,
                "the new value takes effect after a restart; everything else was applied"
            );
        }
        tracing::info!(
            event = "config.reload.succeeded",
            generation,
            reason = reason.as_str(),
            routes = next.config.routes.len(),
        );
        self.running = Arc::new(next.config);
        let now = time::now();
        self.metrics.reloaded(true, now.seconds());
        let event = Event { reason: Some(reason.as_str()), ..Event::new(Name::ReloadSucceeded) };
        self.audit.record(&event, now);
        self.status.send_modify(|status| {
            status.generation = generation;
            status.succeeded = true;
            status.problems.clear();
            status.restart_needed = next.restart_needed;
            status.attempted_at = now;
            status.applied_at = now;
        });
        generation
    }

    fn refuse(&self, problems: &Problems, reason: Reason) {
        for problem in &problems.0 {
            tracing::error!(
                event = "config.reload.failed",
                reason = reason.as_str(),
                generation = self.status.borrow().generation,
                "{problem}"
            );
        }
        let now = time::now();
        self.metrics.reloaded(false, now.seconds());
        let event = Event { reason: Some(reason.as_str()), ..Event::new(Name::ReloadFailed) };
        self.audit.record(&event, now);
        self.status.send_modify(|status| {
            status.succeeded = false;
            status.problems.clone_from(&problems.0);
            status.attempted_at = now;
            status.failures = status.failures.saturating_add(1);
        });
    }
}

/// Loads and compiles. Blocks: files are read and keys are parsed.
fn attempt(
    running: &Config,
    previous: &Snapshot,
    metrics: &Metrics,
    source: &keys::KeySource,
) -> ReloadAttempt {
    let keys = WatchedFiles::read_keys(&running.data_dir.join("keys"));
    let Loaded { files, result } = config::load_and_watch(&running.file);
    let result = result.and_then(|mut config| {
        let restart_needed = restart_only::keep(running, &mut config);
        let snapshot = compile::compile(&config, Some(previous), metrics, source)?;
        Ok(NextReload { config, snapshot, restart_needed })
    });
    ReloadAttempt { files, keys, result }
}
