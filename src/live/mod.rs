//! The one picture of all that can be rebuilt, and the one place where it is swapped.

pub mod certificates;
pub mod introspection;
pub mod rate_limits;
pub mod required_factor;
pub mod service_key;
pub mod snapshot;

pub use introspection::IntrospectionClients;
pub use required_factor::RequiredFactor;
pub use service_key::ServiceKey;
pub use snapshot::{Live, RouteTarget, Snapshot};
