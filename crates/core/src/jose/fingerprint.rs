//! A fingerprint of a set of keys.

use aws_lc_rs::digest::{Context, SHA256};

/// The fingerprint of keys, given as texts that identify each; independent of the order.
pub(super) fn fingerprint<const N: usize>(mut keys: Vec<[&str; N]>) -> u64 {
    keys.sort_unstable();
    let mut context = Context::new(&SHA256);
    for text in keys.iter().flatten() {
        context.update(text.as_bytes());
        context.update(b"\0");
    }
    let hash = context.finish();
    hash.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
