//! The running gateway: builds all parts, starts them, ends them.

mod build;
mod status;
mod run;

pub use build::StartError;
pub use run::run;
