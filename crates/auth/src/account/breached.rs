//! A local list of breached passwords, as published by Have I Been Pwned: one SHA-1 in hexadecimal per line,
//! sorted, optionally followed by a colon and more. It may have tens of gigabytes, so the file is searched in
//! place.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use guarita_core::Secret;

/// Length of a SHA-1 in hexadecimal.
const HASH: usize = 40;
/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 128;

/// The list of breached passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breached(PathBuf);

impl Breached {
    /// Opens a file; its first line must begin with a SHA-1.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        hash_at(&mut File::open(path)?, 0)?;
        Ok(Self(path.to_owned()))
    }

    /// Whether the password is in the list. Binary search; reads a few dozen short pieces of the file.
    pub fn contains(&self, password: &Secret) -> io::Result<bool> {
        let sought = hexadecimal(password);
        let mut file = File::open(&self.0)?;
        let (mut low, mut high) = (0, file.metadata()?.len());
        // `low` is the beginning of a line; what is sought begins in `low..high` if anywhere.
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((start, next)) = line_at(&mut file, low, middle)? else { return Ok(false) };
            match hash_at(&mut file, start)?.as_slice().cmp(sought.as_slice()) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => low = next,
                Ordering::Greater => high = start,
            }
        }
        Ok(false)
    }
}

fn hexadecimal(password: &Secret) -> Vec<u8> {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let of = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose().as_bytes());
    hash.as_ref().iter().flat_map(|byte| [of(byte >> 4), of(byte & 15)]).collect()
}

/// The beginning of the line that contains the byte `at`, and of the next line. `low` is the beginning of an
/// earlier line.
fn line_at(file: &mut File, low: u64, at: u64) -> io::Result<Option<(u64, u64)>> {
    let bound = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    let from = at.saturating_sub(bound).max(low);
    let piece = piece(file, from, 2 * MAX_LINE)?;
    let place = usize::try_from(at - from).map_err(io::Error::other)?;
    let before = piece.get(..place).unwrap_or_default();
    let start = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None if from == low => 0,
        None => return Err(unsorted()),
    };
    let rest = piece.get(start..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    let (start, length) = (
        u64::try_from(start).map_err(io::Error::other)?,
        u64::try_from(length).map_err(io::Error::other)?,
    );
    Ok(Some((from + start, from + start + length)))
}

fn hash_at(file: &mut File, start: u64) -> io::Result<Vec<u8>> {
    let mut hash = piece(file, start, HASH)?;
    if hash.len() < HASH || !hash.iter().all(u8::is_ascii_hexdigit) {
        return Err(unsorted());
    }
    hash.make_ascii_uppercase();
    Ok(hash)
}

fn piece(file: &mut File, from: u64, most: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::with_capacity(most);
    let most = u64::try_from(most).map_err(io::Error::other)?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unsorted() -> io::Error {
    io::Error::other("not a sorted list of SHA-1 hashes in hexadecimal, one per line")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(passwords: &[&str], end: &str, tail: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("breached.txt");
        let mut lines: Vec<String> = passwords
            .iter()
            .map(|text| String::from_utf8(hexadecimal(&Secret::new(*text))).unwrap())
            .collect();
        lines.sort();
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| format!("{line}{}", tail.repeat(number % 7)))
            .collect();
        std::fs::write(&path, text.join(end) + end).unwrap();
        (directory, path)
    }

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        // "password" is 5BAA6… as everybody knows.
        let hash = hexadecimal(&Secret::new("password"));
        assert_eq!(hash, b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        let many: Vec<String> = (0..500).map(|number| format!("password{number}")).collect();
        for count in [1, 2, 3, 7, 500] {
            let some: Vec<&str> = many.iter().take(count).map(String::as_str).collect();
            for (end, tail) in [("\n", ""), ("\r\n", ":12"), ("\n", ":3")] {
                let (_directory, path) = list(&some, end, tail);
                let breached = Breached::open(&path).unwrap();
                for (position, text) in many.iter().enumerate() {
                    let found = breached.contains(&Secret::new(text.as_str())).unwrap();
                    assert_eq!(found, position < count, "{count} {text} {end:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        assert!(Breached::open(&path).is_err());
        assert!(Breached::open(directory.path()).is_err());
        for text in ["", "password\n", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Breached::open(&path).is_err(), "{text}");
        }
        let line = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8";
        let damaged = format!("{line}\n{}\n", "x".repeat(4_096));
        std::fs::write(&path, damaged).unwrap();
        let breached = Breached::open(&path).unwrap();
        assert!(breached.contains(&Secret::new("sought")).is_err());
    }
}
