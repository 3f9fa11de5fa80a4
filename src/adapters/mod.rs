//! One foreign system each.

pub mod telemetry;
pub mod ephemeral;
pub mod store;
pub mod upstream;
