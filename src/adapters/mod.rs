//! Adapters: one module per external system.

pub mod background;
pub mod telemetry;
pub mod breached;
pub mod store;
pub mod ephemeral;
pub mod upstream;
pub mod mail;
