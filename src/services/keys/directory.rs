//! The directory of key files: owner only, written whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::model::{Secret, Timestamp, random};
use crate::rules::token::{Algorithm, KeyFault, SigningKey, VerifyingKey};

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 256;
/// Largest key file, in bytes.
const MAX_FILE_LENGTH: u64 = 64 * 1024;

/// What one file holds.
#[derive(Debug)]
pub(super) enum Found {
    /// A key that can sign.
    Private(SigningKey),
    /// A key that only verifies.
    Public(VerifyingKey),
}

/// The directory of key files.
#[derive(Debug)]
pub(super) struct Directory<'a>(&'a Path);

impl<'a> Directory<'a> {
    pub(super) const fn new(path: &'a Path) -> Self {
        Self(path)
    }

    /// Makes it with mode 0700 where it is missing; refuses one that others may write to.
    pub(super) fn prepare(&self) -> Result<(), KeyFault> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        platform::directory(&mut builder);
        builder.create(self.0).map_err(|source| fault(self.0, source))?;
        let metadata = fs::metadata(self.0).map_err(|source| fault(self.0, source))?;
        if platform::others_may(&metadata, 0o022) {
            return Err(KeyFault::Exposed { path: self.0.to_owned(), mode: 0o700 });
        }
        Ok(())
    }

    /// Every key, in the order of the files' names.
    pub(super) fn read(&self) -> Result<Vec<Found>, KeyFault> {
        Ok(self.read_dated()?.into_iter().map(|(key, _)| key).collect())
    }

    /// Every key in the order of the files' names, each with the time since which its file is there
    /// as it is.
    pub(super) fn read_dated(&self) -> Result<Vec<(Found, Timestamp)>, KeyFault> {
        let mut keys = Vec::new();
        for path in self.files()? {
            let algorithm =
                stated_algorithm(&path).ok_or_else(|| KeyFault::FileName(path.clone()))?;
            let (text, since) = read_file(&path)?;
            let key =
                parse(algorithm, &text).map_err(|fault| fault.at(path.display().to_string()))?;
            keys.push((key, since));
        }
        Ok(keys)
    }

    /// Writes a key under a name that sorts behind all earlier ones. It appears whole or not at
    /// all, and never in the place of another.
    pub(super) fn write(&self, algorithm: Algorithm, text: &Secret) -> Result<(), KeyFault> {
        let target = self.0.join(format!("{}.{}", file_stem(), ending(algorithm)));
        let draft = self.0.join(format!(".{}.draft", random::ordered_uuid()));
        let written = write_file(&draft, text).and_then(|()| fs::rename(&draft, &target));
        if let Err(source) = written {
            // A draft is hidden and never read: the first fault is the one to tell.
            let _ = fs::remove_file(&draft);
            return Err(fault(&target, source));
        }
        // The name is durable only when the directory is.
        File::open(self.0)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| fault(self.0, source))
    }

    fn files(&self) -> Result<Vec<PathBuf>, KeyFault> {
        let mut paths = Vec::new();
        let entries = fs::read_dir(self.0).map_err(|source| fault(self.0, source))?;
        for entry in entries {
            let path = entry.map_err(|source| fault(self.0, source))?.path();
            if is_key_file(&path) {
                paths.push(path);
            }
            if paths.len() > MAX_ENTRIES {
                return Err(KeyFault::TooMany.at(self.0.display().to_string()));
            }
        }
        paths.sort_unstable();
        Ok(paths)
    }
}

fn fault(path: &Path, source: std::io::Error) -> KeyFault {
    KeyFault::File { path: path.to_owned(), source }
}

/// `*.pem` and `*.secret` that are not hidden; all else in the directory is no business of ours.
fn is_key_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(OsStr::to_str);
    !hidden && matches!(extension, Some("pem" | "secret"))
}

/// The algorithm before the last dot of the name.
fn stated_algorithm(path: &Path) -> Option<Algorithm> {
    let name = path.file_name()?.to_str()?;
    Algorithm::ALL.into_iter().find(|algorithm| {
        name.strip_suffix(&ending(*algorithm)).is_some_and(|stem| stem.ends_with('.'))
    })
}

fn ending(algorithm: Algorithm) -> String {
    let extension = match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => "pem",
        Algorithm::Hs256 => "secret",
    };
    format!("{}.{extension}", algorithm.as_str())
}

/// The time in UTC to the second, and random digits so that two processes never choose one name.
fn file_stem() -> String {
    let id = random::ordered_uuid();
    let seconds = id.get_timestamp().map_or(0, |time| time.to_unix().0);
    let time = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let time = time.unwrap_or_default().strftime("%Y-%m-%dT%H-%M-%SZ");
    let digits = id.simple().to_string();
    format!("{time}-{}", digits.get(24..).unwrap_or_default())
}

fn parse(algorithm: Algorithm, text: &Secret) -> Result<Found, KeyFault> {
    match SigningKey::parse(algorithm, text) {
        Ok(key) => Ok(Found::Private(key)),
        Err(KeyFault::NotPrivate) => {
            VerifyingKey::parse(algorithm, text.expose()).map(Found::Public)
        }
        Err(fault) => Err(fault),
    }
}

fn read_file(path: &Path) -> Result<(Secret, Timestamp), KeyFault> {
    let file = File::open(path).map_err(|source| fault(path, source))?;
    let metadata = file.metadata().map_err(|source| fault(path, source))?;
    if platform::others_may(&metadata, 0o077) {
        return Err(KeyFault::Exposed { path: path.to_owned(), mode: 0o600 });
    }
    if !metadata.is_file() || metadata.len() > MAX_FILE_LENGTH {
        return Err(KeyFault::Unusable.at(path.display().to_string()));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(MAX_FILE_LENGTH).read_to_string(&mut text).map_err(|source| fault(path, source))?;
    Ok((Secret::new(text.as_str()), platform::changed_at(&metadata)))
}

fn write_file(path: &Path, text: &Secret) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    platform::file(&mut options);
    let mut file = options.open(path)?;
    file.write_all(text.expose().as_bytes())?;
    file.sync_all()
}

/// Modes and times of files, where the system has them.
#[cfg(unix)]
mod platform {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };

    use crate::model::Timestamp;

    pub(super) fn directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn file(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn others_may(metadata: &Metadata, bits: u32) -> bool {
        metadata.permissions().mode() & bits != 0
    }

    /// Unlike the time of modification, a copy cannot take it along.
    pub(super) fn changed_at(metadata: &Metadata) -> Timestamp {
        Timestamp::from_seconds(metadata.ctime())
    }
}

/// Systems without modes have their own access lists.
#[cfg(not(unix))]
mod platform {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::time::UNIX_EPOCH;

    use crate::model::Timestamp;

    pub(super) fn directory(_builder: &mut DirBuilder) {}

    pub(super) fn file(_options: &mut OpenOptions) {}

    pub(super) fn others_may(_metadata: &Metadata, _bits: u32) -> bool {
        false
    }

    pub(super) fn changed_at(metadata: &Metadata) -> Timestamp {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Timestamp::from_seconds(0).plus(since.unwrap_or_default())
    }
}
