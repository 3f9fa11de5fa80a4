//! Guarita stands in front of existing APIs as their single ingress: it terminates TLS and mTLS,
//! authorizes every request once, and sends the upstream plain identity headers.
//!
//! The code has seven layers; a layer imports only layers below it:
//!
//! - `model`: values
//! - `rules`: pure and synchronous functions
//! - `adapters`: one external system each
//! - `live`: the configuration snapshot that a reload swaps
//! - `services`: use cases, without HTTP types
//! - `doors`: entry points
//! - `app`: assembly
//!
//! See `ARCHITECTURE.md`.

pub mod model;
pub mod rules;
pub mod adapters;
pub mod live;
pub mod services;
pub mod doors;
pub mod app;
