//! The current configuration snapshot, which a reload swaps atomically.

pub mod certificates;
pub mod introspection;
pub mod provider;
pub mod rate_limits;
pub mod required_factor;
pub mod service_key;
pub mod snapshot;

pub use introspection::IntrospectionClients;
pub use provider::{Provider, Providers};
pub use required_factor::RequiredFactor;
pub use service_key::ServiceKey;
pub use snapshot::{Live, RouteTarget, Snapshot};
