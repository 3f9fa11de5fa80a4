//! Reads whole files, with a size limit.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Maximum size of the configuration file, in bytes.
pub(super) const MAX_CONFIGURATION: u64 = 16 * 1024 * 1024;

/// Maximum size of a certificate, key or secret file, in bytes.
pub(super) const MAX_OTHER: u64 = 1024 * 1024;

/// The content of a regular file of at most `most` bytes.
pub(super) fn read(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(io::Error::other(format!("larger than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// The SHA-256 of a file's content.
pub(super) fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// The current SHA-256 of a file; [`None`] if it cannot be read or is too large.
pub(crate) fn digest_of(file: &Path) -> Option<[u8; 32]> {
    read(file, MAX_CONFIGURATION).ok().map(|content| digest(&content))
}
