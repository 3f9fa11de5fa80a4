//! Detects changes of files, and SIGHUP.
//!
//! The directories of all files are watched, because editors and deployments replace files. A reload is triggered
//! only if the contents differ from what was last read, so that there is no needless reload and no change during a
//! reload is missed. On file systems without notifications (network file systems, some containers) changes are
//! detected by slow polling.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};

use super::{Handle, Reason};
use guarita_auth::keys;
use guarita_telemetry::events::ConfigWatchFailed;

/// Debounce time: a burst of changes ends after this time without a change.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// Maximum duration of a burst.
const MAX_DEBOUNCE: Duration = Duration::from_secs(1);
/// Polling interval without notifications.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Requests a reload whenever the content of a file changes. Runs until the actor is gone.
pub async fn run(handle: Handle) {
    let told = Arc::new(Notify::new());
    let mut watcher = Directories::new(Arc::clone(&told));
    let mut watched = handle.watched.clone();
    let mut slow_look = tokio::time::interval(POLL_INTERVAL);
    slow_look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let current = watched.borrow_and_update().clone();
        watcher.follow(&current.directories());
        let is_stale = tokio::task::spawn_blocking(move || current.is_stale()).await;
        if is_stale.unwrap_or(false) {
            handle.trigger(Reason::FileChanged);
            // The next look makes sense once that reload was tried.
            if watched.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            () = told.notified() => debounce(&told).await,
            _ = slow_look.tick() => {}
            changed = watched.changed() => if changed.is_err() { return },
        }
    }
}

/// Requests a reload at each SIGHUP. Runs until the process ends.
pub async fn on_hangup(handle: Handle) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    while hangups.recv().await.is_some() {
        handle.trigger(Reason::Signal);
    }
    Ok(())
}

/// Requests reloading the keys whenever they change. Runs until the source is gone.
pub async fn on_keys(handle: Handle, mut source: Receiver<keys::KeySource>) {
    while source.changed().await.is_ok() {
        handle.trigger(Reason::KeysChanged);
    }
}

/// Waits until the end of a burst of changes.
async fn debounce(told: &Notify) {
    let end = Instant::now() + MAX_DEBOUNCE;
    while Instant::now() < end {
        let quiet = (Instant::now() + DEBOUNCE).min(end);
        if timeout_at(quiet, told.notified()).await.is_err() {
            return;
        }
    }
}

/// The currently watched directories.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    followed: HashSet<PathBuf>,
}

impl Directories {
    fn new(told: Arc<Notify>) -> Self {
        let tell = move |event: notify::Result<Event>| {
            // An error may hide a change.
            if event.is_ok_and(|event| is_reading(event.kind)) {
                return;
            }
            told.notify_one();
        };
        let watcher = notify::recommended_watcher(tell);
        if let Err(error) = &watcher {
            ConfigWatchFailed { error }.emit();
        }
        Self { watcher: watcher.ok(), followed: HashSet::new() }
    }

    fn follow(&mut self, wanted: &HashSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        self.followed.retain(|directory| {
            let stays = wanted.contains(directory);
            if !stays {
                // It may be gone already, and its watch with it.
                let _ = watcher.unwatch(directory);
            }
            stays
        });
        for directory in wanted {
            if self.followed.contains(directory) {
                continue;
            }
            // What is not there yet is tried again after the next reload or slow look.
            if watcher.watch(directory, RecursiveMode::NonRecursive).is_ok() {
                self.followed.insert(directory.clone());
            }
        }
    }
}

/// Ignores events of reading, because Guarita's own reads would trigger further ones.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
