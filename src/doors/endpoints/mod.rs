//! The endpoints that Guarita serves itself, as one axum router.
//!
//! To add one: write a file that takes the service that it needs and exposes `routes`; merge it in `router`;
//! add its path to `path` if it is outside of the existing trees.

pub mod problem;
pub mod path;
pub mod arrival;
pub mod refusal;
pub mod extract;
pub mod form;
pub mod turnstile;
pub mod cookie;
pub mod device;
pub mod told;
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
pub mod router;

pub use arrival::RequestInfo;
pub use path::{owns, takes_form};
pub use router::{Services, router};
pub use turnstile::RateLimitGuard;
