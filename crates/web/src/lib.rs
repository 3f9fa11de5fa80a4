//! The endpoints that Guarita serves itself, as one axum router.
//!
//! To add one: write a file that takes the service that it needs and exposes `routes`; merge it in `router`;
//! add its path to `guarita_core::http::local_paths` if it is outside of the existing trees.

mod absent;
pub mod request_info;
pub mod error;
pub mod extract;
pub mod form;
pub mod rate_limit;
pub mod cookie;
pub mod device;
pub mod exposed_secret;
pub mod csrf;
pub mod login;
pub mod mfa;
pub mod refresh;
pub mod logout;
pub mod sessions;
pub mod links;
pub mod client;
pub mod introspection;
pub mod ws_ticket;
pub mod wellknown;
pub mod password;
mod oidc;
pub mod pages;
pub mod ops;
pub mod router;

pub use rate_limit::RateLimitGuard;
pub use request_info::RequestInfo;
pub use router::{Services, router};
