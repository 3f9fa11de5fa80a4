//! Use cases of authentication, without HTTP types: who a caller is, how people log in, what sessions, tokens and
//! keys go through.
//!
//! Each use case returns its own rejection (expected, the caller's) or error (ours, with a cause for the log). A
//! change is one transaction; every revocation is written in it.

pub mod worker_pool;
pub mod snapshot;
pub mod rate_limit;
pub mod session;
pub mod api_key;
pub mod client;
pub mod keys;
pub mod federation;
pub mod access;
pub mod assertion;
pub mod grant;
pub mod mail;
pub mod login;
pub mod account;
mod endpoint_request;

pub use endpoint_request::EndpointRequest;
