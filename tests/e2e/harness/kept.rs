//! What takes long to make: made once per build, and kept in the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where something is kept by that name. Whoever comes first makes it, at the path that is given; others, in
/// this process or another, wait.
pub fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !place.exists() {
        let lock = File::create(place.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !place.exists() {
            let beside = place.with_extension("new");
            // Somebody may have been killed over it.
            drop(fs::remove_file(&beside));
            drop(fs::remove_dir_all(&beside));
            make(&beside);
            fs::rename(beside, &place).unwrap();
        }
    }
    place
}
