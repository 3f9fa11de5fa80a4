//! The one picture of all that can be rebuilt, and the one place where it is swapped.

pub mod certificates;
pub mod rate_limits;
pub mod snapshot;

pub use snapshot::{Live, RouteTarget, Snapshot};
