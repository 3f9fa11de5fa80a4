//! `guarita quickstart`: a gateway to try out.

pub mod certificates;
pub mod configuration;
pub mod accounts;
pub mod instructions;
pub mod start;

pub use start::{QuickstartArgs, run};
