//! One request and its response.

pub mod request_id;
pub mod websocket;
pub mod context;
pub mod reject;
pub mod local;
pub mod route_and_authorize;
pub mod forward;
mod response;
pub mod bodyless;
mod forward_auth;
pub mod access_log;
pub mod phases;

pub use phases::Gateway;
