//! How others ask for a reload.

use crate::config::Problems;
use crate::reload::watched_files::WatchedFiles;
use guarita_core::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

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

/// Requests reloads and reports their status. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) requests: mpsc::Sender<ReloadRequest>,
    pub(super) status: watch::Receiver<Status>,
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
pub(super) struct ReloadRequest {
    pub(super) reason: Reason,
    pub(super) answer: Option<oneshot::Sender<Result<u64, Problems>>>,
}
