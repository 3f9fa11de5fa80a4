//! Configuration: as written, as meant, as each room takes it.
//!
//! `load` reads the file into a `document`, lets the `environment` override it, checks its `shape`
//! against the `schema` made from `written`, and lets `resolve` make `values` of it. Every step adds
//! to one `report`, so that all problems are told at once. To add a key: write it in `written`, give
//! it a value in `values`, and resolve it in its section's file.

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

pub(in crate::app) use files::digest_of;
pub(in crate::app) use load::load_and_watch;
pub use load::{Loaded, load, load_with};
pub use report::Problems;
pub(in crate::app) use resolve::parse_time;
pub use values::Config;
