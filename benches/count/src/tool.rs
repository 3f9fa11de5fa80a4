//! The tools that count, each with what it writes.

pub(crate) mod callgrind;
pub(crate) mod dhat;
pub(crate) mod strace;
