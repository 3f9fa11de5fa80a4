//! The audit files: one JSON line per event, a new file each day.
//!
//! Lines are formatted into a shared buffer and written by a separate thread, so that a slow disk does not
//! delay requests. The buffer is bounded: dropped lines are counted and reported by `/readyz`. Each batch ends
//! with a seal that includes the previous one (a hash chain), so that later modifications are detected.

mod day;
mod event;
mod files;
mod line;
mod checkpoint;
mod tail;
mod verify;
mod writer;

pub use checkpoint::AuditCheckpoint;
pub(crate) use event::{Event, Name};
pub use line::RequestLine;
pub use verify::{ChainMismatch, VerificationReport, verify};
pub use writer::Audit;
