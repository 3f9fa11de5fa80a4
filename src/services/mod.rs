//! Use cases, without HTTP types. Each returns its own refusals (expected) or a fault (internal error).

pub mod limit;
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
