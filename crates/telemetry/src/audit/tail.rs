//! The state of the hash chain at the end of a file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::checkpoint::{AuditCheckpoint, ChainLink, PendingLines, link};

/// How much of the end of a file is read, in bytes: little at first, then more than the size of two batches.
const WINDOWS: [u64; 2] = [256 * 1024, 20 * 1024 * 1024];

/// The state at the end of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last seal as written, or the one that the file continues.
    pub(super) seal: AuditCheckpoint,
    /// The lines after it.
    pub(super) unsealed: Vec<u8>,
    /// Whether the last line is complete.
    pub(super) is_whole: bool,
    /// How the file ended.
    pub(super) left: Left,
}

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Sealed, with the final event of a gateway or a command.
    Stopped,
    /// Sealed, without a final event: a crash, or the end is missing.
    NotStopped,
    /// The last lines have no seal: a crash, or the end is missing.
    Unsealed,
    /// The last seal does not match its lines.
    Unfit,
    /// A seal is missing.
    NoSeal,
}

impl Left {
    /// The name in the audit file.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::NotStopped => "not_stopped",
            Self::Unsealed => "unsealed_lines",
            Self::Unfit => "seal_does_not_fit",
            Self::NoSeal => "no_seal",
        }
    }
}

/// Reads the end of a file; [`None`] if it is empty.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Tail>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    let mut tail = Tail {
        seal: AuditCheckpoint::NONE,
        unsealed: Vec::new(),
        is_whole: false,
        left: Left::NoSeal,
    };
    for window in WINDOWS {
        let start = length.saturating_sub(window);
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.by_ref().take(length - start).read_to_end(&mut text)?;
        let (found, is_certain) = examine(&text, start == 0);
        tail = found;
        if is_certain {
            break;
        }
    }
    Ok(Some(tail))
}

/// Whether the last seal matches, as far as it can be checked.
struct Last {
    seal: AuditCheckpoint,
    fits: Option<bool>,
    stopped: bool,
    end: usize,
}

/// Evaluates the end of a file, or all of it; returns also whether reading more could change the result.
fn examine(text: &[u8], is_all: bool) -> (Tail, bool) {
    let mut last: Option<Last> = None;
    let mut unsealed: Option<PendingLines> = None;
    let mut stopped = false;
    let mut end = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let is_first = is_all && end == 0;
        end += line.len();
        match link(line) {
            ChainLink::Seal { seal, time } => {
                let fits = unsealed.take().map(|it| it.close(&time).1.as_bytes() == line);
                last = Some(Last { seal, fits, stopped, end });
                unsealed = Some(PendingLines::after(seal));
                stopped = false;
                continue;
            }
            ChainLink::Continued { seal, .. } if is_first => {
                last = Some(Last { seal, fits: Some(true), stopped, end: 0 });
                unsealed = Some(PendingLines::after(seal));
            }
            ChainLink::Continued { .. } | ChainLink::None => {}
        }
        stopped |= LAST.iter().any(|last| line.windows(last.len()).any(|part| part == *last));
        if let Some(unsealed) = &mut unsealed {
            unsealed.add(line);
        }
    }
    let is_whole = text.ends_with(b"\n");
    let Some(last) = last else {
        let tail = Tail {
            seal: AuditCheckpoint::NONE,
            unsealed: Vec::new(),
            is_whole,
            left: Left::NoSeal,
        };
        return (tail, is_all);
    };
    let rest = text.get(last.end..).unwrap_or_default();
    let left = match (last.fits, rest.is_empty(), last.stopped) {
        (Some(false) | None, ..) => Left::Unfit,
        (Some(true), false, _) => Left::Unsealed,
        (Some(true), true, false) => Left::NotStopped,
        (Some(true), true, true) => Left::Stopped,
    };
    let tail = Tail { seal: last.seal, unsealed: rest.to_vec(), is_whole, left };
    (tail, is_all || last.fits.is_some())
}

/// The final events of a gateway and of a command.
const LAST: [&[u8]; 2] = [br#""event":"server.stopped""#, br#""event":"admin.command."#];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::checkpoint::continued;

    const STOP: &str = "{\"event\":\"server.stopped\"}\n";

    fn chain(batches: &[&str]) -> (String, AuditCheckpoint) {
        let mut text = String::new();
        let mut seal = AuditCheckpoint::NONE;
        let mut first = continued(seal, None, "t");
        for batch in batches {
            let lines = format!("{first}{batch}");
            first.clear();
            let mut unsealed = PendingLines::after(seal);
            unsealed.add(lines.as_bytes());
            let (next, line) = unsealed.close("t");
            seal = next;
            text += &(lines + &line);
        }
        (text, seal)
    }

    #[test]
    fn the_end_says_how_a_file_was_left() {
        let (stopped, seal) = chain(&["a\n", STOP]);
        let (running, _) = chain(&["a\n", "b\n"]);
        let (edited, _) = chain(&["a\n", "b\n"]);
        for (text, left) in [
            (stopped.clone(), Left::Stopped),
            (running.clone(), Left::NotStopped),
            (format!("{stopped}c\n"), Left::Unsealed),
            (continued(seal, None, "t"), Left::Unsealed),
            (edited.replace("\nb\n", "\nB\n"), Left::Unfit),
            ("a\nb\n".to_owned(), Left::NoSeal),
        ] {
            assert_eq!(examine(text.as_bytes(), true).0.left, left, "{text}");
        }
        let cut = format!("{stopped}c");
        let (tail, _) = examine(cut.as_bytes(), true);
        assert_eq!((tail.seal, tail.unsealed.as_slice(), tail.is_whole), (seal, &b"c"[..], false));
    }

    #[test]
    fn a_window_says_the_same_as_the_whole_once_it_has_two_seals() {
        let (text, _) = chain(&["a\n", "b\n", STOP]);
        let whole = examine(text.as_bytes(), true);
        let second = text.find("b\n").unwrap();
        assert_eq!(examine(&text.as_bytes()[second..], false), whole);
        let third = text.find(STOP).unwrap();
        assert!(!examine(&text.as_bytes()[third..], false).1);
    }

    #[test]
    fn the_end_of_a_long_file_is_read_in_part() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let long = "x\n".repeat(300 * 1024);
        let (text, seal) = chain(&[&long, "b\n", &long, STOP]);
        std::fs::write(&path, &text).unwrap();
        let tail = read(&path).unwrap().unwrap();
        assert_eq!((tail.seal, tail.left), (seal, Left::Stopped));
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }
}
