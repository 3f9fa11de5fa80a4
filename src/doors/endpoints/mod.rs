//! The endpoints that Guarita serves itself, as one axum router.
//!
//! To add one: a file that takes the one service it serves and exposes `routes`; merge it in
//! `router`; name its path in `path` if it lies outside the trees that are ours already.

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
