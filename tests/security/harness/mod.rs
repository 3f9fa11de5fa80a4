//! What the tests drive the gateway with: the executable itself, callers, upstreams, certificates.

pub mod authenticator;
pub mod browser;
pub mod canary;
pub mod certificates;
pub mod chromium;
pub mod cli;
pub mod database;
pub mod frames;
pub mod gateway;
pub mod http2;
pub mod log;
pub mod mailbox;
pub mod message;
pub mod namespace;
pub mod nginx;
pub mod oidc;
pub mod persona;
pub mod postgres;
pub mod provider;
pub mod raw;
pub mod redis;
#[path = "../../../src/adapters/store/sample/database.rs"]
pub mod sample_database;
pub mod setup;
pub mod tokens;
pub mod upstream;
pub mod verifier;
pub mod wait;
pub mod websocket;
pub mod wsgi;

pub use authenticator::Authenticator;
pub use browser::Browser;
pub use certificates::Authority;
pub use gateway::Gateway;
pub use http2::Http2;
pub use mailbox::{Mail, Mailbox, Switch};
pub use message::{Request, Response};
pub use persona::Persona;
pub use raw::Wire;
pub use redis::Redis;
pub use setup::{HOST, Setup, password_of};
pub use upstream::{Answer, Upstream};
pub use verifier::Verifier;
pub use wait::{until, within};
pub use websocket::Socket;
