//! Reload: watch, compile off the path, swap once.
//!
//! One [`Actor`] is the only writer of the live picture. It hears of SIGHUP and of changed files,
//! loads and compiles away from the requests' path, and swaps once. What does not validate leaves
//! the old picture in force. What only a restart can change keeps its running value, and is told.

pub mod actor;
pub mod compile;
mod fixed;
pub mod keys;
pub mod watch;

pub use actor::{Actor, Handle, Reason, Status};
pub use compile::compile;
pub use keys::{Keys, administration, open_keys, open_vault};

#[cfg(test)]
mod tests;
