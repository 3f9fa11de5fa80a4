//! The audit file: one JSON line per event, a new file each day (contract section 7).
//!
//! Lines are formatted into a shared buffer and written by a thread of its own, so that a slow disk
//! slows nobody. The buffer is bounded: what does not fit is counted, and `/readyz` says so. Each batch
//! ends with a seal that hangs on the one before it, so that what is changed later shows.

mod day;
mod event;
mod files;
mod line;
mod seal;
mod tail;
mod verify;
mod writer;

pub use event::{Event, Name};
pub use line::RequestLine;
pub use seal::Seal;
pub use verify::{Misfit, Report, verify};
pub use writer::Audit;
