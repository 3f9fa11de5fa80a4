//! The shared buffer of audit lines and the thread that writes it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::Event;
use super::files::Files;
use super::line::{self, RequestLine};
use guarita_core::{Timestamp, time};

/// Size of the buffer, in bytes; the same again for lines whose write failed.
const CAPACITY: usize = 8 * 1024 * 1024;
/// Part of it that is reserved for events other than requests.
const RESERVED: usize = 1024 * 1024;
/// The writer is woken early at this fill level, in bytes.
const BATCH: usize = 512 * 1024;
/// Maximum delay of a line.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time-out of stopping.
const CLOSING: Duration = Duration::from_secs(5);

/// A handle of the audit writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit(Arc<SharedQueue>);

#[derive(Debug)]
struct SharedQueue {
    waiting: Mutex<QueuedLines>,
    wake: Condvar,
    dropped: AtomicU64,
    healthy: AtomicBool,
}

#[derive(Debug, Default)]
struct QueuedLines {
    text: String,
    second: i64,
    time: String,
    stop: bool,
    /// Whether the writer has ended.
    ended: bool,
}

impl Audit {
    /// Opens or creates today's file in the directory and starts the writer thread. Files older
    /// than `keep` (at least 180 days) are removed.
    ///
    /// # Errors
    /// The directory or the file cannot be created or written, or another process writes there.
    pub fn open(directory: &Path, keep: Duration) -> io::Result<Self> {
        let files = Files::open(directory, keep, time::now())?;
        let shared = Arc::new(SharedQueue {
            waiting: Mutex::new(QueuedLines::default()),
            wake: Condvar::new(),
            dropped: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("guarita-audit".into())
            .spawn(move || writer.run(files))?;
        Ok(Self(shared))
    }

    /// Writes one `request` line. Formats into a shared buffer; never waits for the disk.
    pub(crate) fn request(&self, line: &RequestLine<'_>, now: Timestamp) {
        self.append(CAPACITY - RESERVED, now, |buffer, time| line::request(buffer, line, time));
    }

    /// Writes one event; errors are also logged.
    pub(crate) fn record(&self, event: &Event<'_>, now: Timestamp) {
        if event.name.is_error() {
            tracing::error!(
                event = event.name.as_str(),
                requestId = event.request_id,
                reason = event.reason,
                "audit event"
            );
        }
        self.append(CAPACITY, now, |buffer, time| line::event(buffer, event, time));
    }

    /// Number of dropped lines since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Whether the last write succeeded.
    pub fn is_healthy(&self) -> bool {
        self.0.healthy.load(Ordering::Relaxed)
    }

    /// Stops the writer after it wrote the buffer; waits at most 5 s.
    pub fn close(&self) {
        let mut waiting = self.0.lock();
        waiting.stop = true;
        self.0.wake.notify_all();
        let began = Instant::now();
        while let Some(left) = CLOSING.checked_sub(began.elapsed()).filter(|_| !waiting.ended) {
            let woken = self.0.wake.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn append(&self, capacity: usize, now: Timestamp, write: impl FnOnce(&mut String, &str)) {
        let mut waiting = self.0.lock();
        let waiting = &mut *waiting;
        if waiting.text.len() >= capacity {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if waiting.second != now.seconds() {
            waiting.second = now.seconds();
            waiting.time = now.rfc3339();
        }
        let before = waiting.text.len();
        write(&mut waiting.text, &waiting.time);
        if before < BATCH && waiting.text.len() >= BATCH {
            self.0.wake.notify_one();
        }
    }
}

impl SharedQueue {
    fn lock(&self) -> MutexGuard<'_, QueuedLines> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut files: Files) {
        let mut batch = String::new();
        loop {
            let stop = self.take(&mut batch);
            let lines = batch.matches('\n').count();
            let written = files.append(&mut batch, time::now());
            let is_lost = batch.is_empty() || stop;
            self.report(written, if is_lost { lines } else { 0 });
            if !is_lost {
                continue;
            }
            batch.clear();
            if batch.capacity() > CAPACITY / 4 {
                batch.shrink_to(BATCH);
            }
            if stop && self.lock().text.is_empty() {
                break;
            }
        }
        files.log_checkpoint(time::now());
        drop(files);
        self.lock().ended = true;
        self.wake.notify_all();
    }

    /// Waits for lines and takes them, unless there are lines to write again; true if the writer is to stop.
    fn take(&self, batch: &mut String) -> bool {
        let mut waiting = self.lock();
        if (waiting.text.len() < BATCH || !batch.is_empty()) && !waiting.stop {
            waiting =
                self.wake.wait_timeout(waiting, INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        if batch.is_empty() {
            std::mem::swap(&mut waiting.text, batch);
        }
        waiting.stop
    }

    fn report(&self, written: io::Result<()>, lost: usize) {
        let healthy = written.is_ok();
        if let Err(error) = &written {
            let lost = u64::try_from(lost).unwrap_or(u64::MAX);
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            if self.healthy.load(Ordering::Relaxed) {
                tracing::error!(%error, "writing the audit file failed");
            }
        }
        self.healthy.store(healthy, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::Name;
    use crate::audit::day::Day;

    fn lines(directory: &Path) -> Vec<String> {
        let name = Day::of(time::now()).file_name();
        let text = fs::read_to_string(directory.join(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_was_recorded_is_on_disk_after_close() {
        let directory = tempfile::tempdir().unwrap();
        let audit = Audit::open(directory.path(), Duration::from_secs(1)).unwrap();
        for _ in 0..1000 {
            audit.record(&Event::new(Name::Logout), time::now());
        }
        audit.close();
        let lines = lines(directory.path());
        assert_eq!(lines.iter().filter(|line| line.contains("auth.logout")).count(), 1000);
        assert!(lines.last().unwrap().contains("audit.seal"));
        // Another may go on at once.
        Audit::open(directory.path(), Duration::from_secs(1)).unwrap();
        assert!(audit.is_healthy());
    }

    #[test]
    fn a_full_buffer_drops_and_counts_but_keeps_room_for_events() {
        let shared = SharedQueue {
            waiting: Mutex::new(QueuedLines::default()),
            wake: Condvar::new(),
            dropped: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
        };
        let audit = Audit(Arc::new(shared));
        audit.0.lock().text = "x".repeat(CAPACITY - RESERVED);
        let line = RequestLine {
            request_id: "r",
            principal: None,
            method: "GET",
            path: "/",
            status: 200,
            last_known: false,
            duration: Duration::ZERO,
        };
        audit.request(&line, time::now());
        assert_eq!(audit.dropped(), 1);
        audit.record(&Event::new(Name::Logout), time::now());
        assert_eq!(audit.dropped(), 1);
        assert!(audit.0.lock().text.contains("auth.logout"));
    }

    #[test]
    fn files_beyond_their_time_are_removed_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["audit-2020-01-01.jsonl", "audit-notes.txt", "other-2020-01-01.jsonl"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let audit = Audit::open(directory.path(), Duration::from_secs(180 * 86_400)).unwrap();
        audit.close();
        assert!(!directory.path().join("audit-2020-01-01.jsonl").exists());
        assert!(directory.path().join("audit-notes.txt").exists());
        assert!(directory.path().join("other-2020-01-01.jsonl").exists());
    }
}
