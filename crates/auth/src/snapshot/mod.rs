//! What a reload replaces as a whole: everything that authentication needs from the configuration and from keys.

pub mod auth_snapshot;
pub mod introspection;
pub mod provider;
pub mod rate_limits;
pub mod required_factor;
pub mod service_key;

pub use auth_snapshot::AuthSnapshot;
pub use introspection::IntrospectionClients;
pub use provider::{Provider, Providers};
pub use required_factor::RequiredFactor;
pub use service_key::ServiceKey;
