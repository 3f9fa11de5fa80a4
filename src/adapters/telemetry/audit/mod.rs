//! The audit file: one JSON line per event, a new file each day (contract section 7).
//!
//! Lines are formatted into a shared buffer and written by a thread of its own, so that a slow disk
//! slows nobody. The buffer is bounded: what does not fit is counted, and `/readyz` says so.

mod day;
mod event;
mod line;
mod writer;

pub use event::{Event, Name};
pub use line::RequestLine;
pub use writer::Audit;
