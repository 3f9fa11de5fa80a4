//! One foreign system each.

pub mod telemetry;
pub mod store;
pub mod ephemeral;
pub mod upstream;
