//! Verification of the hash chain of the audit files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use super::checkpoint::{AuditCheckpoint, ChainLink, PendingLines, link};
use super::day::Day;
use super::event::Name;
use guarita_core::Timestamp;

/// Maximum length of a line, in bytes; audit lines are shorter.
const MAX_LINE: u64 = 1024 * 1024;
/// Maximum number of reported mismatches.
const MAX_MISFITS: usize = 20;
/// Maximum number of characters of a line in a report.
const MAX_SHOWN: usize = 200;
/// Minimum retention of files: a missing file that is newer was not removed by a gateway.
const LEAST_KEPT: Duration = Duration::from_secs(180 * 86_400);

/// The result of a verification.
#[derive(Debug, Default)]
pub struct VerificationReport {
    /// Number of files.
    pub files: u64,
    /// Number of lines, without seals.
    pub lines: u64,
    /// Number of seals.
    pub seals: u64,
    /// The newest seal.
    pub newest: Option<AuditCheckpoint>,
    /// Mismatches, at most 20, in order.
    pub misfits: Vec<ChainMismatch>,
    /// Where a gateway resumed after an unclean end of its last file.
    pub resumed: Vec<ChainMismatch>,
    /// Lines at the end without a seal. A running gateway seals them within 100 ms.
    pub unsealed: Option<ChainMismatch>,
}

impl VerificationReport {
    fn misfit(&mut self, misfit: ChainMismatch) {
        if self.misfits.len() < MAX_MISFITS {
            self.misfits.push(misfit);
        }
    }
}

/// A mismatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainMismatch {
    /// The file and, if known, the line.
    at: String,
    what: String,
}

impl ChainMismatch {
    fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

impl fmt::Display for ChainMismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.at, self.what)
    }
}

/// Verifies all files of a directory. All `expected` seals, which were stored elsewhere, must be present.
///
/// # Errors
/// A file cannot be read.
pub fn verify(
    directory: &Path,
    expected: &[AuditCheckpoint],
    now: Timestamp,
) -> io::Result<VerificationReport> {
    let mut walk = ChainVerifier {
        report: VerificationReport::default(),
        chain: None,
        before: None,
        expected: expected.to_vec(),
    };
    for day in Day::all(directory)? {
        walk.file(directory, day, now)?;
    }
    Ok(walk.end())
}

/// The state of the verification.
struct ChainVerifier {
    report: VerificationReport,
    /// The last seal as written; what follows is checked against it, so that each mismatch is reported once.
    chain: Option<AuditCheckpoint>,
    before: Option<Day>,
    /// Expected seals that were not found yet.
    expected: Vec<AuditCheckpoint>,
}

impl ChainVerifier {
    fn file(&mut self, directory: &Path, day: Day, now: Timestamp) -> io::Result<()> {
        let name = day.file_name();
        let mut reader = BufReader::new(File::open(directory.join(&name))?);
        // A start that went no further leaves an empty file.
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
        // What the last file left open is no more the very end.
        if let Some(unsealed) = self.report.unsealed.take() {
            self.report.misfit(unsealed);
        }
        let mut page = FileProgress { name, line: 0, first: 1, unsealed: None };
        let mut line = Vec::new();
        while reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
            page.line += 1;
            self.line(&mut page, &line, now);
            line.clear();
        }
        if page.first <= page.line {
            self.report.unsealed = Some(page.misfit(page.first, "no seal follows from here on"));
        }
        self.report.files += 1;
        self.before = Some(day);
        Ok(())
    }

    fn line(&mut self, page: &mut FileProgress, line: &[u8], now: Timestamp) {
        let link = link(line);
        if page.line == 1 {
            self.begin(page, &link, now);
        }
        if let ChainLink::Seal { seal, time } = link {
            self.seal(page, line, seal, &time);
            return;
        }
        self.report.lines += 1;
        if is_resumed(line) && self.report.resumed.len() < MAX_MISFITS {
            self.report.resumed.push(page.misfit(page.line, shown(line)));
        }
        if let Some(unsealed) = &mut page.unsealed {
            unsealed.add(line);
        }
    }

    /// Checks the first line of a file, which names the seal that it continues.
    fn begin(&mut self, page: &mut FileProgress, link: &ChainLink, now: Timestamp) {
        let ChainLink::Continued { seal, after } = link else {
            let what = "the file does not begin with the seal that it continues";
            self.report.misfit(page.misfit(1, what));
            page.unsealed = self.chain.map(PendingLines::after);
            return;
        };
        if let Some(what) = self.gap(*seal, after.as_deref(), now) {
            self.report.misfit(page.misfit(1, what));
        }
        self.expected.retain(|expected| self.before.is_some() || expected != seal);
        self.chain = Some(*seal);
        page.unsealed = Some(PendingLines::after(*seal));
    }

    /// Why a file does not continue the previous one.
    fn gap(&self, seal: AuditCheckpoint, after: Option<&str>, now: Timestamp) -> Option<String> {
        let before = self.before.map(Day::file_name);
        if self.before.is_some() && (before.as_deref(), self.chain) == (after, Some(seal)) {
            return None;
        }
        if let Some(before) = before {
            let after = after.unwrap_or("no file");
            return Some(format!("continues {after} at seal {}, not {before}", seal.number()));
        }
        // The first file that is left.
        match after {
            None if seal == AuditCheckpoint::NONE => None,
            None => Some("continues seals that are in no file".to_owned()),
            Some(after) => match Day::of_file(after) {
                Some(day) if day.is_older_than(LEAST_KEPT, now) => None,
                Some(_) | None => Some(format!("continues {after}, which is missing")),
            },
        }
    }

    fn seal(&mut self, page: &mut FileProgress, line: &[u8], seal: AuditCheckpoint, time: &str) {
        if let Some(unsealed) = page.unsealed.take() {
            let (wanted, text) = unsealed.close(time);
            if wanted.number() != seal.number() {
                let what = format!("seal {} instead of {}", seal.number(), wanted.number());
                self.report.misfit(page.misfit(page.line, what));
            } else if text.as_bytes() != line {
                let what =
                    format!("the seal in line {} does not match the lines from here on", page.line);
                self.report.misfit(page.misfit(page.first.min(page.line), what));
            }
        }
        for expected in self.expected.extract_if(.., |it| it.number() == seal.number()) {
            if expected != seal {
                let what = format!("seal {} is not the one expected", seal.number());
                self.report.misfits.push(page.misfit(page.line, what));
            }
        }
        self.report.seals += 1;
        self.chain = Some(seal);
        page.first = page.line + 1;
        page.unsealed = Some(PendingLines::after(seal));
    }

    fn end(mut self) -> VerificationReport {
        self.report.newest = self.chain.filter(|_| self.report.seals > 0);
        if self.before.is_none() {
            self.report.misfit(ChainMismatch::new("audit files", "no files found"));
        }
        let last = self.before.map_or_else(|| "audit files".to_owned(), Day::file_name);
        for seal in self.expected {
            let what = format!("the expected seal {} is in no file", seal.number());
            self.report.misfits.push(ChainMismatch::new(last.clone(), what));
        }
        self.report
    }
}

/// A line, escaped for a terminal, because its content is untrusted.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|letter| !letter.is_control()).take(MAX_SHOWN).collect()
}

fn is_resumed(line: &[u8]) -> bool {
    let name = Name::AuditResumed.as_str();
    let event = format!(r#""event":"{name}""#);
    line.windows(event.len()).any(|part| part == event.as_bytes())
}

/// The state of reading a file.
struct FileProgress {
    name: String,
    line: u64,
    /// The first line after the last seal.
    first: u64,
    /// [`None`] if the previous seal is unknown.
    unsealed: Option<PendingLines>,
}

impl FileProgress {
    fn misfit(&self, line: u64, what: impl Into<String>) -> ChainMismatch {
        ChainMismatch::new(format!("{}:{line}", self.name), what)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::files::Files;

    const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);
    const DAY: Duration = Duration::from_secs(86_400);
    const TODAY: &str = "audit-2026-11-21.jsonl";
    const TOMORROW: &str = "audit-2026-11-22.jsonl";
    const STOP: &str = "{\"event\":\"server.stopped\"}";

    /// Runs a writer that appends batches.
    fn write(directory: &Path, now: Timestamp, batches: &[&str]) {
        let mut files = Files::open(directory, LEAST_KEPT, now).unwrap();
        for batch in batches {
            files.append(&mut format!("{batch}\n"), now).unwrap();
        }
    }

    /// Two days; on the second a restart.
    fn written() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write(path, NOON, &["a", "b\nc", "d", STOP]);
        write(path, NOON.plus(DAY), &["e", STOP]);
        write(path, NOON.plus(DAY), &["f", STOP]);
        directory
    }

    fn verified(directory: &Path, expected: &[AuditCheckpoint]) -> VerificationReport {
        verify(directory, expected, NOON.plus(DAY)).unwrap()
    }

    fn told(report: &VerificationReport) -> Vec<String> {
        report.misfits.iter().chain(&report.unsealed).map(ToString::to_string).collect()
    }

    /// What is told once the text of a file is another.
    fn changed(file: &str, change: impl FnOnce(Vec<&str>) -> Vec<&str>) -> Vec<String> {
        let directory = written();
        let path = directory.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let lines = change(text.split_inclusive('\n').collect());
        fs::write(&path, lines.concat()).unwrap();
        told(&verified(directory.path(), &[]))
    }

    #[test]
    fn files_that_nobody_touched_hold() {
        let directory = written();
        let report = verified(directory.path(), &[]);
        assert_eq!(told(&report), [""; 0]);
        assert_eq!((report.files, report.lines, report.seals), (2, 11, 8));
        assert_eq!(report.resumed, []);
        let newest = report.newest.unwrap();
        assert_eq!(newest.number(), 8);
        assert_eq!(told(&verified(directory.path(), &[newest])), [""; 0]);
    }

    #[test]
    fn every_change_shows_at_its_line() {
        // 1 continued, 2 a, 3 seal, 4 b, 5 c, 6 seal, 7 d, 8 seal, 9 stopped, 10 seal
        let unfit = |seal: u32, first: u32| {
            vec![format!(
                "{TODAY}:{first}: the seal in line {seal} does not match the lines from here on"
            )]
        };
        let edited = changed(TODAY, |mut lines| {
            lines[4] = "C\n";
            lines
        });
        assert_eq!(edited, unfit(6, 4));
        let deleted = changed(TODAY, |mut lines| {
            lines.remove(4);
            lines
        });
        assert_eq!(deleted, unfit(5, 4));
        let swapped = changed(TODAY, |mut lines| {
            lines.swap(3, 4);
            lines
        });
        assert_eq!(swapped, unfit(6, 4));
        let moved = changed(TODAY, |mut lines| {
            lines.swap(4, 6);
            lines
        });
        assert_eq!(moved.len(), 2);
        let added = changed(TODAY, |mut lines| {
            lines.insert(6, "x\n");
            lines
        });
        assert_eq!(added, unfit(9, 7));
    }

    #[test]
    fn a_seal_that_is_missing_or_changed_shows() {
        let missing = changed(TODAY, |mut lines| {
            lines.remove(5);
            lines
        });
        assert_eq!(missing, [format!("{TODAY}:7: seal 3 instead of 2")]);
        let batch = changed(TODAY, |mut lines| {
            lines.drain(3..6);
            lines
        });
        assert_eq!(batch, [format!("{TODAY}:5: seal 3 instead of 2")]);
        let retimed = changed(TODAY, |mut lines| {
            lines[5] = lines[5].replace("12:00:00", "11:00:00").leak();
            lines
        });
        assert_eq!(retimed.len(), 1);
        assert!(retimed[0].starts_with(&format!("{TODAY}:4: the seal in line 6")), "{retimed:?}");
    }

    #[test]
    fn an_end_that_is_missing_shows() {
        let cut = changed(TOMORROW, |lines| lines[..2].to_vec());
        assert_eq!(cut, [format!("{TOMORROW}:1: no seal follows from here on")]);
        let half = changed(TOMORROW, |mut lines| {
            lines.truncate(4);
            lines[3] = &lines[3][..5];
            lines
        });
        assert_eq!(half, [format!("{TOMORROW}:4: no seal follows from here on")]);
        // An empty file is as none.
        let emptied = format!("{TOMORROW}:1: continues {TODAY}, which is missing");
        assert_eq!(changed(TODAY, |_| Vec::new()), [emptied]);
        // At a seal of an earlier day.
        let early = changed(TODAY, |lines| lines[..8].to_vec());
        assert_eq!(early, [format!("{TOMORROW}:1: continues {TODAY} at seal 4, not {TODAY}")]);
    }

    #[test]
    fn an_end_that_was_cut_at_a_seal_shows_to_who_kept_a_newer_one() {
        let directory = written();
        let newest = verified(directory.path(), &[]).newest.unwrap();
        let path = directory.path().join(TOMORROW);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        fs::write(&path, lines[..lines.len() - 2].concat()).unwrap();
        assert_eq!(told(&verified(directory.path(), &[])), [""; 0]);
        let gone = [format!("{TOMORROW}: the expected seal 8 is in no file")];
        assert_eq!(told(&verified(directory.path(), &[newest])), gone);
        // A gateway that goes on from there says so, and comes to another seal.
        write(directory.path(), NOON.plus(DAY), &["g"]);
        let report = verified(directory.path(), &[newest]);
        assert_eq!(report.resumed.len(), 1);
        assert!(report.resumed[0].to_string().contains("not_stopped"));
        assert!(told(&report)[0].ends_with("seal 8 is not the one expected"), "{report:?}");
    }

    #[test]
    fn a_file_that_is_missing_shows() {
        let directory = written();
        fs::remove_file(directory.path().join(TODAY)).unwrap();
        let report = verified(directory.path(), &[]);
        assert_eq!(told(&report), [format!("{TOMORROW}:1: continues {TODAY}, which is missing")]);
        // Once a gateway may have removed it, it is not.
        let later = NOON.plus(DAY * 182);
        assert_eq!(told(&verify(directory.path(), &[], later).unwrap()), [""; 0]);
        fs::remove_file(directory.path().join(TOMORROW)).unwrap();
        assert_eq!(told(&verified(directory.path(), &[])), ["audit files: no files found"]);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_write_is_told_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), NOON, &["a"]);
        let path = directory.path().join(TODAY);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}b\n{{\"half")).unwrap();
        assert_eq!(told(&verified(directory.path(), &[])).len(), 1);
        write(directory.path(), NOON.plus(DAY), &["c", STOP]);
        let report = verified(directory.path(), &[]);
        assert_eq!(told(&report), [""; 0]);
        assert_eq!(report.resumed.len(), 1);
        let resumed = report.resumed[0].to_string();
        assert!(resumed.starts_with(&format!("{TODAY}:6: ")), "{resumed}");
        assert!(resumed.contains("unsealed_lines"), "{resumed}");
    }

    #[test]
    fn a_line_that_somebody_made_does_nothing_to_a_terminal() {
        let line = format!("\u{1b}[2J\u{7}\"event\":\"audit.resumed\"{}\n", "x".repeat(1_000));
        assert!(is_resumed(line.as_bytes()));
        let shown = shown(line.as_bytes());
        assert!(shown.starts_with("[2J\"event\"") && shown.len() == 200, "{shown:?}");
    }

    #[test]
    fn a_change_before_a_restart_stays_seen() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), NOON, &["a", "b"]);
        let path = directory.path().join(TODAY);
        let text = fs::read_to_string(&path).unwrap();
        for (change, reason) in [
            (text.replace("\nb\n", "\nB\n"), "seal_does_not_fit"),
            (text.lines().filter(|line| line.len() < 2).collect::<Vec<_>>().join("\n"), "no_seal"),
        ] {
            fs::write(&path, change).unwrap();
            write(directory.path(), NOON, &["c", STOP]);
            let report = verified(directory.path(), &[]);
            assert!(!report.misfits.is_empty(), "{reason}");
            assert!(report.resumed[0].to_string().contains(reason), "{report:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_breaks_no_chain() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), NOON.plus(DAY), &["a", STOP]);
        write(directory.path(), NOON, &["b", STOP]);
        assert_eq!(told(&verified(directory.path(), &[])), [""; 0]);
        assert!(!directory.path().join(TODAY).exists());
    }

    #[test]
    fn nothing_is_sealed_where_nothing_happened() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::open(directory.path(), LEAST_KEPT, NOON).unwrap();
        for _ in 0..3 {
            files.append(&mut String::new(), NOON).unwrap();
        }
        assert_eq!(fs::read_to_string(directory.path().join(TODAY)).unwrap(), "");
    }

    #[test]
    fn two_processes_do_not_write_to_one_directory() {
        let directory = tempfile::tempdir().unwrap();
        let _files = Files::open(directory.path(), LEAST_KEPT, NOON).unwrap();
        let second = Files::open(directory.path(), LEAST_KEPT, NOON).err().unwrap();
        assert_eq!(second.to_string(), "another process writes there");
    }
}
