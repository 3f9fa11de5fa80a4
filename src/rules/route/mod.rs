//! Which route a canonical request belongs to, and what the route demands.

pub mod pattern;
pub mod policy;
pub mod table;
mod trie;

pub use pattern::{HostPattern, InvalidPattern, PathPattern};
pub use policy::Policy;
pub use table::{Found, Matcher, Overlap, Table};
