//! The audit files that the writer appends to; each batch of lines ends with a seal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checkpoint::{AuditCheckpoint, PendingLines, continued};
use super::day::Day;
use super::line;
use super::tail::{self, Left, Tail};
use crate::events::{AuditResumed, AuditSealed};
use guarita_core::Timestamp;

/// Interval at which the newest seal is logged.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A directory of daily files.
pub(super) struct Files {
    directory: PathBuf,
    keep: Duration,
    open: Option<Open>,
    /// Whether lines were lost since the last write.
    lost: bool,
    /// The last logged seal, and when it was logged.
    told: Option<(AuditCheckpoint, Timestamp)>,
    /// The lock of the directory: two chains in one file would look like a broken one.
    _lock: File,
}

/// The newest file.
struct Open {
    day: Day,
    file: File,
    seal: AuditCheckpoint,
    /// The first line, until it is written.
    beginning: String,
}

/// Writing failed.
struct WriteFailure {
    error: io::Error,
    /// Whether the file is unchanged.
    taken_back: bool,
}

impl Files {
    /// Locks the directory for this process and continues the newest file.
    pub(super) fn open(directory: &Path, keep: Duration, now: Timestamp) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = File::open(directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process writes there"));
            }
            // Some network file systems lock no directories.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "audit.directory cannot be locked: let no other gateway write there");
            }
        }
        let mut files = Self {
            directory: directory.to_owned(),
            keep,
            open: None,
            lost: false,
            told: None,
            _lock: lock,
        };
        files.ready(now)?;
        files.log_checkpoint(now);
        Ok(files)
    }

    /// Appends lines and their seal. If it fails, lines that are left in the batch can be appended later; if the batch
    /// is empty after a failure, they are lost. Writes nothing if there are no lines.
    pub(super) fn append(&mut self, batch: &mut String, now: Timestamp) -> io::Result<()> {
        let written = self.try_append(batch, now);
        let due = self.told.is_none_or(|(_, told)| told.until(now) >= TOLD_EVERY);
        if due && self.open.is_some() {
            self.log_checkpoint(now);
        }
        written
    }

    fn try_append(&mut self, batch: &mut String, now: Timestamp) -> io::Result<()> {
        let open = self.ready(now)?;
        if batch.is_empty() {
            return Ok(());
        }
        let written = open.write(&[], batch, now);
        if !matches!(written, Err(WriteFailure { taken_back: true, .. })) {
            batch.clear();
        }
        written.map_err(|failed| {
            if !failed.taken_back {
                // What is on disk now is found out anew.
                (self.open, self.lost) = (None, true);
            }
            failed.error
        })
    }

    /// Logs the newest seal, if it is not logged yet. With a copy of the log elsewhere it can be proven that nothing
    /// before the seal was changed.
    pub(super) fn log_checkpoint(&mut self, now: Timestamp) {
        let Some(seal) = self.open.as_ref().map(|open| open.seal) else { return };
        if self.told.is_none_or(|(told, _)| told != seal) {
            AuditSealed { seal }.emit();
        }
        self.told = Some((seal, now));
    }

    /// The file to append to. Its day is never before that of the newest file, so that the files are in the order of the
    /// chain even if the clock is set back.
    fn ready(&mut self, now: Timestamp) -> io::Result<&mut Open> {
        let today = Day::of(now);
        let mut open = match self.open.take() {
            Some(open) => Some(open),
            None => self.resume(now)?,
        };
        if open.as_ref().is_none_or(|open| open.day < today) {
            open = Some(self.create(today, open.as_ref(), now)?);
            self.log_checkpoint(now);
            self.remove_old(now);
        }
        open.map(|open| self.open.insert(open)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Creates the file of a day.
    fn create(&self, day: Day, before: Option<&Open>, now: Timestamp) -> io::Result<Open> {
        let seal = before.map_or(AuditCheckpoint::NONE, |before| before.seal);
        let after = before.map(|before| before.day.file_name());
        let beginning = continued(seal, after.as_deref(), &now.rfc3339());
        Ok(Open { day, file: self.file(day)?, seal, beginning })
    }

    /// The newest non-empty file. If it did not end cleanly, this is recorded first.
    fn resume(&mut self, now: Timestamp) -> io::Result<Option<Open>> {
        for day in Day::all(&self.directory)?.into_iter().rev() {
            let Some(found) = tail::read(&self.directory.join(day.file_name()))? else { continue };
            let Tail { seal, unsealed, is_whole, left } = found;
            let mut open = Open { day, file: self.file(day)?, seal, beginning: String::new() };
            if left != Left::Stopped || self.lost {
                let reason = if self.lost { "write_failed" } else { left.as_str() };
                let mut lines = String::from(if is_whole { "" } else { "\n" });
                let resumed = AuditResumed { file: &day.file_name(), reason, seal };
                line::event(&mut lines, &resumed.line(), &now.rfc3339());
                open.write(&unsealed, &mut lines, now).map_err(|failed| failed.error)?;
                resumed.emit();
            }
            self.lost = false;
            return Ok(Some(open));
        }
        Ok(None)
    }

    fn file(&self, day: Day) -> io::Result<File> {
        let path = self.directory.join(day.file_name());
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    }

    /// Removes files older than `keep`, by the day in their name.
    fn remove_old(&self, now: Timestamp) {
        for day in Day::all(&self.directory).unwrap_or_default() {
            if day.is_older_than(self.keep, now) {
                let file = day.file_name();
                match fs::remove_file(self.directory.join(&file)) {
                    Ok(()) => tracing::info!(file, "old audit file removed"),
                    Err(error) => {
                        tracing::warn!(file, %error, "old audit file could not be removed");
                    }
                }
            }
        }
    }
}

impl Open {
    /// Writes lines and the seal over them and over earlier unsealed lines. A partial write is undone, and the lines are
    /// kept.
    fn write(
        &mut self,
        unsealed: &[u8],
        lines: &mut String,
        now: Timestamp,
    ) -> Result<(), WriteFailure> {
        let begun = lines.len();
        lines.insert_str(0, &self.beginning);
        let mut batch = PendingLines::after(self.seal);
        batch.add(unsealed);
        batch.add(lines.as_bytes());
        let (seal, line) = batch.close(&now.rfc3339());
        lines.push_str(&line);
        if let Err(failed) = self.write_whole(lines.as_bytes()) {
            lines.drain(..self.beginning.len());
            lines.truncate(begun);
            return Err(failed);
        }
        self.beginning.clear();
        self.seal = seal;
        Ok(())
    }

    fn write_whole(&mut self, bytes: &[u8]) -> Result<(), WriteFailure> {
        let before =
            self.file.metadata().map_err(|error| WriteFailure { error, taken_back: true })?.len();
        self.file.write_all(bytes).map_err(|error| {
            let taken_back = self.file.set_len(before).is_ok();
            WriteFailure { error, taken_back }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

    #[test]
    fn lines_that_could_not_be_written_are_told_once_the_disk_takes_some() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::open(directory.path(), Duration::ZERO, NOON).unwrap();
        let path = directory.path().join("audit-2026-11-21.jsonl");
        let text = || fs::read_to_string(&path).unwrap();
        files.append(&mut "a\n".to_owned(), NOON).unwrap();
        // Written to for reading only: the lines are lost.
        files.open.as_mut().unwrap().file = File::open(&path).unwrap();
        assert!(files.append(&mut "b\n".to_owned(), NOON).is_err());
        assert!(!text().contains("write_failed"));
        files.append(&mut String::new(), NOON).unwrap();
        assert_eq!(text().matches("write_failed").count(), 1);
        files.append(&mut "c\n".to_owned(), NOON).unwrap();
        files.append(&mut "d\n".to_owned(), NOON).unwrap();
        assert_eq!(text().matches("audit.resumed").count(), 1);
        drop(files);
        let report = super::super::verify(directory.path(), &[], NOON).unwrap();
        assert_eq!((report.misfits, report.unsealed, report.seals), (Vec::new(), None, 4));
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        let _files = Files::open(&path, Duration::ZERO, NOON).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("audit-2026-11-21.jsonl"))), (0o700, 0o600));
    }
}
