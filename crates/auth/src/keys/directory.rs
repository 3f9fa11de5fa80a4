//! The directory of key files: accessible by its owner only, files written atomically.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use guarita_core::jose::{Algorithm, KeyFault, SigningKey, VerifyingKey};
use guarita_core::{Secret, Timestamp, random};

/// Maximum number of entries that are read.
const MAX_ENTRIES: usize = 256;
/// Maximum number of keys created within one second, whose names are ahead of the time.
const MOST_IN_A_SECOND: u64 = 60;
/// Maximum size of a key file, in bytes.
const MAX_FILE_LENGTH: u64 = 64 * 1024;

/// The content of a key file.
#[derive(Debug)]
pub(super) enum KeyFileContent {
    /// A key that can sign.
    Private(SigningKey),
    /// A key that only verifies.
    Public(VerifyingKey),
}

/// A key file.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) key: KeyFileContent,
    pub(super) text: Secret,
    /// When it was last changed.
    pub(super) since: Timestamp,
    /// The parsed name.
    pub(super) signs_from: Option<Timestamp>,
    pub(super) verifies_until: Option<Timestamp>,
}

/// The directory of key files.
#[derive(Debug)]
pub(super) struct Directory<'a>(&'a Path);

impl<'a> Directory<'a> {
    pub(super) const fn new(path: &'a Path) -> Self {
        Self(path)
    }

    /// Opens it, creating it with mode 0700 if missing; fails if others can write to it.
    pub(super) fn prepare(&self) -> Result<(), KeyFault> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        platform::directory(&mut builder);
        builder.create(self.0).map_err(|source| fault(self.0, source))?;
        self.check().map(|_| ())
    }

    /// Whether it exists; fails if others can write to it.
    fn check(&self) -> Result<bool, KeyFault> {
        let metadata = match fs::metadata(self.0) {
            Ok(metadata) => metadata,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(fault(self.0, source)),
        };
        if platform::others_may(&metadata, 0o022) {
            return Err(KeyFault::Exposed { path: self.0.to_owned(), mode: 0o700 });
        }
        Ok(true)
    }

    /// The same as [`Directory::read`] after [`Directory::prepare`], without creating the directory.
    pub(super) fn read_if_exists(&self) -> Result<Vec<KeyFile>, KeyFault> {
        if self.check()? { self.read() } else { Ok(Vec::new()) }
    }

    /// All keys, in the order of their file names.
    pub(super) fn read(&self) -> Result<Vec<KeyFile>, KeyFault> {
        let mut keys = Vec::new();
        for path in self.files()? {
            let name = Name::of(&path).ok_or_else(|| KeyFault::FileName(path.clone()))?;
            let (text, since) = read_file(&path)?;
            let place = || path.display().to_string();
            let key = parse(name.algorithm, &text).map_err(|fault| fault.at(place()))?;
            let Name { signs_from, verifies_until, .. } = name;
            keys.push(KeyFile { path, key, text, since, signs_from, verifies_until });
        }
        Ok(keys)
    }

    /// Writes a key with a name that sorts after all earlier ones created here, and that has the start of signing unless
    /// it is at once. The file is created atomically and never replaces another. Returns its path.
    pub(super) fn write(
        &self,
        algorithm: Algorithm,
        text: &Secret,
        signs_from: Option<Timestamp>,
    ) -> Result<PathBuf, KeyFault> {
        let from = signs_from.map(|at| format!(".{FROM}{}", file_time(at))).unwrap_or_default();
        let target = self.0.join(format!("{}{from}.{}", self.stem(algorithm)?, ending(algorithm)));
        let draft = self.0.join(format!(".{}.draft", random::ordered_uuid()));
        let written = write_file(&draft, text).and_then(|()| fs::rename(&draft, &target));
        if let Err(source) = written {
            // A draft is hidden and never read: the first fault is the one to tell.
            let _ = fs::remove_file(&draft);
            return Err(fault(&target, source));
        }
        self.sync()?;
        Ok(target)
    }

    /// Adds the expiry to the name of a key file.
    pub(super) fn retire(&self, file: &KeyFile, until: Timestamp) -> Result<(), KeyFault> {
        let name = file.path.file_name().and_then(OsStr::to_str);
        let algorithm = Name::of(&file.path).map(|name| name.algorithm);
        let Some((name, algorithm)) = name.zip(algorithm) else {
            return Err(KeyFault::FileName(file.path.clone()));
        };
        let end = format!(".{}", ending(algorithm));
        let stem = name.strip_suffix(&end).unwrap_or(name);
        let kept = |(at, part): &(usize, &str)| *at == 0 || !part.starts_with(UNTIL);
        let parts: Vec<_> = stem.split('.').enumerate().filter(kept).map(|(_, it)| it).collect();
        let stem = parts.join(".");
        let target = self.0.join(format!("{stem}.{UNTIL}{}{end}", file_time(until)));
        fs::rename(&file.path, &target).map_err(|source| fault(&file.path, source))?;
        self.sync()
    }

    /// Removes a key.
    pub(super) fn remove(&self, file: &KeyFile) -> Result<(), KeyFault> {
        fs::remove_file(&file.path).map_err(|source| fault(&file.path, source))?;
        self.sync()
    }

    /// The beginning of a name that sorts after those of all keys of the algorithm.
    fn stem(&self, algorithm: Algorithm) -> Result<String, KeyFault> {
        let end = format!(".{}", ending(algorithm));
        let is_of = |path: &PathBuf| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes());
        let last = self.files()?.into_iter().rfind(is_of);
        let Some(last) = last else { return Ok(file_stem(0)) };
        // Some may be made in one second.
        let mut stems = (0..MOST_IN_A_SECOND).map(file_stem);
        let stem = stems.find(|stem| self.0.join(stem) > last);
        stem.ok_or(KeyFault::LastByName(last))
    }

    /// Syncs the directory, so that names are durable.
    fn sync(&self) -> Result<(), KeyFault> {
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

/// Whether a file is `*.pem` or `*.secret` and not hidden; all others are ignored.
fn is_key_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(OsStr::to_str);
    !hidden && matches!(extension, Some("pem" | "secret"))
}

/// Precedes the start of signing in a file name.
const FROM: &str = "from-";
/// Precedes the expiry in a file name.
const UNTIL: &str = "until-";

/// A parsed file name: `<anything>[.from-<time>][.until-<time>].<algorithm>.pem`.
struct Name {
    algorithm: Algorithm,
    signs_from: Option<Timestamp>,
    verifies_until: Option<Timestamp>,
}

impl Name {
    /// Parses a name; [`None`] if it has no algorithm, or an invalid time.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (algorithm, stem) = Algorithm::ALL.into_iter().find_map(|algorithm| {
            let stem = name.strip_suffix(&ending(algorithm))?.strip_suffix('.')?;
            Some((algorithm, stem))
        })?;
        let mut of = Self { algorithm, signs_from: None, verifies_until: None };
        for part in stem.split('.').skip(1) {
            if let Some(time) = part.strip_prefix(FROM) {
                of.signs_from = Some(read_time(time)?);
            } else if let Some(time) = part.strip_prefix(UNTIL) {
                of.verifies_until = Some(read_time(time)?);
            }
        }
        Some(of)
    }
}

/// Parses a time in UTC to the second, as in file names: `2026-11-21T10-15-00Z`.
fn file_time(at: Timestamp) -> String {
    at.rfc3339().replace(':', "-")
}

fn read_time(text: &str) -> Option<Timestamp> {
    let (day, time) = text.split_once('T')?;
    let at = Timestamp::parse_rfc3339(&format!("{day}T{}", time.replace('-', ":")))?;
    (file_time(at) == text).then_some(at)
}

fn ending(algorithm: Algorithm) -> String {
    let extension = match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => "pem",
        Algorithm::Hs256 => "secret",
    };
    format!("{}.{extension}", algorithm.as_str())
}

/// The time in UTC to the second, so many seconds from now, with random digits, so that two processes never choose
/// the same name.
fn file_stem(after: u64) -> String {
    let id = random::ordered_uuid();
    let seconds = id.get_timestamp().map_or(0, |time| time.to_unix().0).saturating_add(after);
    let time = file_time(Timestamp::from_seconds(i64::try_from(seconds).unwrap_or_default()));
    let digits = id.simple().to_string();
    format!("{time}-{}", digits.get(24..).unwrap_or_default())
}

pub(super) fn parse(algorithm: Algorithm, text: &Secret) -> Result<KeyFileContent, KeyFault> {
    match SigningKey::parse(algorithm, text) {
        Ok(key) => Ok(KeyFileContent::Private(key)),
        Err(KeyFault::NotPrivate) => {
            VerifyingKey::parse(algorithm, text.expose()).map(KeyFileContent::Public)
        }
        Err(fault) => Err(fault),
    }
}

/// Reads a key file to import, and whether others can read it.
pub(super) fn read_offered(path: &Path) -> Result<(Secret, bool), KeyFault> {
    let metadata = fs::metadata(path).map_err(|source| fault(path, source))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_LENGTH {
        return Err(KeyFault::Unusable.at(path.display().to_string()));
    }
    let text = fs::read(path).map_err(|source| fault(path, source))?;
    let text = zeroize::Zeroizing::new(text);
    let text = std::str::from_utf8(&text)
        .map_err(|_| KeyFault::Unusable.at(path.display().to_string()))?;
    Ok((Secret::new(text), platform::others_may(&metadata, 0o077)))
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

/// Modes and times of files, on systems that have them.
#[cfg(unix)]
mod platform {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };

    use guarita_core::Timestamp;

    pub(super) fn directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn file(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn others_may(metadata: &Metadata, bits: u32) -> bool {
        metadata.permissions().mode() & bits != 0
    }

    /// Unlike the modification time, it is not preserved by a copy.
    pub(super) fn changed_at(metadata: &Metadata) -> Timestamp {
        Timestamp::from_seconds(metadata.ctime())
    }
}

/// Systems without modes have their own access control lists.
#[cfg(not(unix))]
mod platform {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::time::UNIX_EPOCH;

    use guarita_core::Timestamp;

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
