//! The common context for resolving sections: the report, and the files that they name.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::files::{self, MAX_CONFIGURATION, MAX_OTHER};
use super::super::report::ConfigReport;
use super::super::values::Files;
use super::quantity::{parse_size, parse_time, size_text, time_text};
use crate::config::written::quantity::{Size, Time};
use guarita_core::{Role, Secret, Timestamp};

/// Shorter keys are reported as weak.
const ENOUGH: usize = 32;

/// Reads values and files of one configuration.
#[derive(Debug)]
pub(crate) struct ConfigResolver<'a> {
    pub(crate) report: &'a mut ConfigReport,
    pub(super) now: Timestamp,
    directory: PathBuf,
    files: Files,
}

impl<'a> ConfigResolver<'a> {
    /// Creates it for a configuration file; relative paths of files are resolved against its directory.
    pub(crate) fn new(file: &Path, now: Timestamp, report: &'a mut ConfigReport) -> Self {
        let directory = file.parent().unwrap_or(Path::new("")).to_owned();
        Self { report, now, directory, files: Files::new() }
    }

    /// All files that were requested.
    pub(crate) fn finish(self) -> Files {
        self.files
    }

    /// The text of the configuration file itself.
    pub(crate) fn configuration(&mut self, file: &Path) -> Option<String> {
        let text = self
            .read(file, MAX_CONFIGURATION)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8")));
        match text {
            Ok(text) => Some(text),
            Err(error) => {
                let what = format_args!("cannot be read: {error}");
                self.report.problem_with(&file.display().to_string(), what);
                None
            }
        }
    }

    /// A duration within its bounds; the default if it is missing or invalid.
    pub(super) fn time(
        &mut self,
        path: &str,
        written: Option<&Time>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(Time(text)) = written else { return default };
        match parse_time(text) {
            Some(time) if bounds.contains(&time) => return time,
            Some(_) => self.report.problem(
                path,
                format_args!(
                    "must be {} to {}",
                    time_text(*bounds.start()),
                    time_text(*bounds.end())
                ),
            ),
            None => self.report.problem_with_hint(
                path,
                "is not a valid duration",
                "a whole number followed by ms, s, m, h or d, for example \"5s\"",
            ),
        }
        default
    }

    /// A size within its bounds; the default if it is missing or invalid.
    pub(super) fn size(
        &mut self,
        path: &str,
        written: Option<&Size>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        let size = match written {
            None => return default,
            Some(Size::Bytes(bytes)) => u64::try_from(*bytes).ok(),
            Some(Size::Text(text)) => parse_size(text),
        };
        match size {
            Some(size) if bounds.contains(&size) => return size,
            Some(_) => self.report.problem(
                path,
                format_args!(
                    "must be {} to {}",
                    size_text(*bounds.start()),
                    size_text(*bounds.end())
                ),
            ),
            None => self.report.problem_with_hint(
                path,
                "is not a valid size",
                "bytes, or a whole number followed by KiB, MiB, GiB or TiB, for example \"10MiB\"",
            ),
        }
        default
    }

    /// A text of 1 to `most` bytes without control characters; the default if it is missing or invalid.
    pub(super) fn text(
        &mut self,
        path: &str,
        written: Option<&String>,
        default: &str,
        most: usize,
    ) -> Box<str> {
        let Some(text) = written else { return default.into() };
        if !(1..=most).contains(&text.len()) || text.chars().any(char::is_control) {
            let what = format_args!("must be 1 to {most} bytes without control characters");
            self.report.problem(path, what);
        }
        text.as_str().into()
    }

    /// The roles of a list; invalid ones are reported.
    pub(super) fn roles(&mut self, path: &str, names: Option<&Vec<String>>) -> Vec<Role> {
        let mut roles = Vec::new();
        for (position, name) in names.into_iter().flatten().enumerate() {
            match Role::parse(name) {
                Ok(role) => roles.push(role),
                Err(fault) => self.report.problem(&format!("{path}[{position}]"), fault),
            }
        }
        roles
    }

    /// The path of a file that is named in the configuration.
    pub(super) fn locate(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The content of a file named at `path`.
    pub(super) fn file(&mut self, path: &str, name: &str) -> Option<Vec<u8>> {
        let file = self.locate(name);
        match self.read(&file, MAX_OTHER) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format_args!("{} cannot be read: {error}", file.display());
                self.report.problem(path, what);
                None
            }
        }
    }

    fn read(&mut self, file: &Path, most: u64) -> io::Result<Vec<u8>> {
        let content = files::read(file, most);
        self.files.insert(file.to_owned(), content.as_deref().ok().map(files::digest));
        content
    }

    /// A secret from `path` or from the file named by `path` with `_file`, and which of the two it was.
    pub(super) fn secret(
        &mut self,
        path: &str,
        text: Option<&Secret>,
        file: Option<&String>,
    ) -> Option<(Secret, String)> {
        let file_path = format!("{path}_file");
        match (text, file) {
            (Some(_), Some(_)) => {
                let key = path.rsplit('.').next().unwrap_or(path);
                let what = format_args!("is set twice (set either {key} or {key}_file)");
                self.report.problem(&file_path, what);
                None
            }
            (Some(secret), None) => Some((secret.clone(), path.to_owned())),
            (None, Some(name)) => Some((self.secret_file(&file_path, name)?, file_path)),
            (None, None) => None,
        }
    }

    /// Warns about a weak key.
    pub(super) fn warn_of_guessable(&mut self, path: &str, key: &Secret) {
        if key.expose().len() < ENOUGH {
            let what = format_args!(
                "has fewer than {ENOUGH} characters (generate one with openssl rand -hex 32)"
            );
            self.report.warning(path, what);
        }
    }

    /// The text of a secret's file, without the final line end.
    pub(super) fn secret_file(&mut self, path: &str, name: &str) -> Option<Secret> {
        let bytes = self.file(path, name)?;
        let file = self.locate(name);
        if is_readable_by_others(&file) {
            self.report.warning(
                path,
                format_args!(
                    "{} is readable by every user of this machine (chmod o-r)",
                    file.display()
                ),
            );
        }
        let Ok(text) = String::from_utf8(bytes) else {
            self.report.problem(path, format_args!("{} is not UTF-8 text", file.display()));
            return None;
        };
        let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
        if secret.expose().is_empty() {
            self.report.problem(path, format_args!("{} is empty", file.display()));
            return None;
        }
        Some(secret)
    }
}

#[cfg(unix)]
fn is_readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_file: &Path) -> bool {
    false
}
