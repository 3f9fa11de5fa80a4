//! The configuration.
//!
//! `load` parses the file into a `document`, applies the `environment`, checks the `shape` against the `schema`
//! derived from `written`, and `resolve`s it to `values`. Every step adds to one `report`, so that all problems are
//! reported at once. To add a key: declare it in `written`, add its value to `values`, and resolve it in its
//! section's file.

mod document;
mod environment;
mod files;
mod load;
mod report;
mod resolve;
pub mod schema;
mod shape;
pub mod values;
pub mod written;

pub(crate) use files::digest_of;
pub(crate) use load::load_and_watch;
pub use load::{Loaded, load, load_with};
pub use report::Problems;
pub(crate) use resolve::parse_time;
pub use values::Config;
