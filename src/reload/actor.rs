//! The single writer of the current snapshot.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{compile, restart_only};
use crate::config;
use crate::config::values::Files;
use crate::config::{Config, Loaded, Problems};
use crate::reload::handle::{Handle, Reason};
use crate::reload::handle::{ReloadRequest, Status};
use crate::reload::watched_files::WatchedFiles;
use guarita_auth::{federation, keys};
use guarita_core::time;
use guarita_proxy::snapshot::{CurrentSnapshot, Snapshot};
use guarita_telemetry::events::{
    ConfigWarning, KeysRefused, KeysTaken, ReloadFailed, ReloadSucceeded, RestartNeeded,
};
use guarita_telemetry::{Metrics, Telemetry};

/// Maximum number of queued requests; further ones are covered by the next reload.
const QUEUE: usize = 64;

/// The single writer of the current snapshot.
#[derive(Debug)]
pub struct Actor {
    live: Arc<CurrentSnapshot>,
    telemetry: Telemetry,
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
        telemetry: Telemetry,
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
        (Self { live, telemetry, running, requests, status, watched, source }, handle)
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
        let metrics = Arc::clone(self.telemetry.metrics());
        let source = self.source.borrow_and_update().clone();
        let compiled = tokio::task::spawn_blocking(move || {
            compile::compile(&running, Some(&previous), &metrics, &source)
        });
        match compiled.await {
            Ok(Ok(snapshot)) => {
                let generation = snapshot.generation;
                self.live.swap(snapshot);
                KeysTaken { generation }.emit(&self.telemetry, time::now());
                self.status.send_modify(|status| status.generation = generation);
            }
            Ok(Err(problems)) => KeysRefused { problems: Some(problems) }.emit(),
            Err(_) => KeysRefused::<Problems> { problems: None }.emit(),
        }
    }

    async fn reload(&mut self, reason: Reason) -> Result<u64, Problems> {
        let (running, previous) = (Arc::clone(&self.running), self.live.read());
        let metrics = Arc::clone(self.telemetry.metrics());
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
            pool.start(self.telemetry.metrics());
        }
        for provider in next.snapshot.auth.providers.iter() {
            federation::refresh::start(provider, self.telemetry.metrics());
        }
        self.live.swap(next.snapshot);
        for warning in &next.config.warnings {
            ConfigWarning { warning }.emit();
        }
        for key in &next.restart_needed {
            RestartNeeded { key }.emit();
        }
        let now = time::now();
        ReloadSucceeded { generation, reason: reason.as_str(), routes: next.config.routes.len() }
            .emit(&self.telemetry, now);
        self.running = Arc::new(next.config);
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
        let now = time::now();
        let (reason, generation) = (reason.as_str(), self.status.borrow().generation);
        ReloadFailed { problems: &problems.0, reason, generation }.emit(&self.telemetry, now);
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
