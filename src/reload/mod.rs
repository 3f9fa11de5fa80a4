//! Reload: watch for changes, build a snapshot in the background, swap it.
//!
//! One [`Actor`] is the only writer of the current snapshot. On SIGHUP and when files change, it loads and builds
//! the next snapshot in the background and swaps it. If the configuration is invalid, the current snapshot is kept.
//! Settings that need a restart keep their running value, which is reported.

mod handle;
pub mod actor;
pub mod compile;
mod restart_only;
pub mod keys;
mod watched_files;
pub mod watch;

pub use actor::Actor;
pub use compile::compile;
pub use handle::Status;
pub use handle::{Handle, Reason};
pub use keys::{KeySets, administration, open_keys, open_vault};

#[cfg(test)]
mod tests;
