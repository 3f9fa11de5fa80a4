//! Guarita stands in front of existing APIs as their single ingress: it terminates TLS and mTLS,
//! judges every request once, and hands the upstream plain identity headers.
//!
//! The house has seven floors, and a floor imports only floors below it:
//!
//! - `model`: values
//! - `rules`: pure and synchronous decisions
//! - `adapters`: one foreign system each
//! - `live`: the one picture that a reload swaps
//! - `services`: use cases, without HTTP types
//! - `doors`: how the world comes in
//! - `app`: assembly
//!
//! `ARCHITECTURE.md` tells the rest.

pub mod model;
pub mod rules;
pub mod adapters;
pub mod live;
pub mod services;
pub mod doors;
pub mod app;
