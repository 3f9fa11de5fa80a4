//! Guarita stands in front of existing APIs as their single ingress: it terminates TLS and mTLS,
//! judges every request once, and hands the upstream plain identity headers.
//!
//! The house has seven floors, and a floor imports only floors below it:
//!
//! 1. [`model`]: values
//! 2. [`rules`]: pure and synchronous decisions
//! 3. [`adapters`]: one foreign system each
//! 4. [`live`]: the one picture that a reload swaps
//! 5. [`services`]: use cases, without HTTP types
//! 6. [`doors`]: how the world comes in
//! 7. [`app`](mod@app): assembly
//!
//! `ARCHITECTURE.md` tells the rest.

pub mod model;
pub mod rules;
pub mod adapters;
pub mod live;
pub mod services;
pub mod doors;
pub mod app;
