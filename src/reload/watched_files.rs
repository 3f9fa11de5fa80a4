//! The files that a configuration depends on.

use crate::config::digest_of;
use crate::config::values::Files;
use guarita_auth::keys;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The watched files and their last read contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchedFiles {
    /// The configuration file and all files that it names.
    pub files: Files,
    /// The directory of signing keys.
    pub keys_directory: PathBuf,
    /// Its content.
    pub keys: Files,
}

impl WatchedFiles {
    /// The current content of the directory of keys and of that of the keys of assertions.
    pub(super) fn read_keys(directory: &Path) -> Files {
        let directories = [directory.to_owned(), keys::assertion_directory(directory)];
        let entries = directories
            .iter()
            .filter_map(|directory| std::fs::read_dir(directory).ok())
            .flat_map(|entries| entries.take(MAX_KEYS));
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.map(|path| (path.clone(), digest_of(&path))).collect()
    }

    /// Whether the content of any file changed.
    pub(super) fn is_stale(&self) -> bool {
        self.files.iter().any(|(file, digest)| digest_of(file) != *digest)
            || Self::read_keys(&self.keys_directory) != self.keys
    }

    pub(super) fn directories(&self) -> HashSet<PathBuf> {
        let parent = |file: &PathBuf| match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut directories: HashSet<_> = self.files.keys().map(parent).collect();
        directories.insert(keys::assertion_directory(&self.keys_directory));
        directories.insert(self.keys_directory.clone());
        directories
    }
}

/// Maximum number of files read in the directory of keys.
pub(super) const MAX_KEYS: usize = 1000;
