//! `guarita quickstart`: a gateway for a first look (contract section 1).

pub mod certificates;
pub mod configuration;
pub mod accounts;
pub mod instructions;
pub mod start;

pub use start::{Arguments, run};
