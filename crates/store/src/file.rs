//! The SQLite database file: its path, creation with mode 0600, never overwritten.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreOpenError;

/// The first bytes of every SQLite database (<https://www.sqlite.org/fileformat.html>, 1.2).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Parses `sqlite:PATH`, `sqlite://PATH` and `sqlite:///PATH`; the path is made absolute.
pub(super) fn parse(database: &str) -> Result<PathBuf, StoreOpenError> {
    let unsupported = |what: &str| Err(StoreOpenError::Unsupported(what.to_owned()));
    let Some(rest) = database.strip_prefix("sqlite:") else {
        return unsupported("must be sqlite:PATH");
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") {
        return unsupported("the database must be a file, because sessions must survive a restart");
    }
    if path.contains(['?', '#', '\0']) {
        return unsupported("the path must not contain '?', '#' or NUL");
    }
    std::path::absolute(path).map_err(|error| inaccessible(Path::new(path), &error))
}

/// Creates directory and file if missing; rejects a file with other contents.
pub(super) fn prepare(path: &Path) -> Result<(), StoreOpenError> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| inaccessible(directory, &error))?;
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => examine(path),
        Err(error) => Err(inaccessible(path, &error)),
    }
}

fn examine(path: &Path) -> Result<(), StoreOpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| inaccessible(path, &error))?;
    let mut head = Vec::with_capacity(MAGIC.len());
    File::take(file, 16).read_to_end(&mut head).map_err(|error| inaccessible(path, &error))?;
    // SQLite itself leaves an empty file behind when it stops before the first write.
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(StoreOpenError::NotADatabase(path.display().to_string()))
}

/// The sqlx URL of the file, which must exist.
pub(super) fn url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=rw");
    url
}

fn inaccessible(path: &Path, error: &std::io::Error) -> StoreOpenError {
    StoreOpenError::Inaccessible { place: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_named_file_is_a_database() {
        assert!(parse("sqlite:data/guarita.db").unwrap().ends_with("data/guarita.db"));
        assert_eq!(parse("sqlite:///var/x.db").unwrap(), Path::new("/var/x.db"));
        for database in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "postgres://u:p@h/d",
            "data/x.db",
            "sqlite:x?mode=ro",
        ] {
            assert!(matches!(parse(database), Err(StoreOpenError::Unsupported(_))), "{database}");
        }
    }

    #[test]
    fn a_path_is_encoded() {
        assert_eq!(url(Path::new("/a b/%ç.db")), "sqlite:///a%20b/%25%C3%A7.db?mode=rw");
    }
}
