//! Routing: which route a canonical request matches, and the policy of the route.

pub mod pattern;
pub mod policy;
pub mod table;
mod trie;

pub use pattern::{HostPattern, InvalidPattern, PathPattern};
pub use policy::Policy;
pub use table::{Match, Matcher, Overlap, RouteTable};
