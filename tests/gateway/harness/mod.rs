//! What every test is built from: gateways, upstreams, callers, certificates.

#[path = "../../security/harness/canary.rs"]
#[expect(dead_code, unreachable_pub, reason = "it belongs to the other harness")]
mod canary;
mod certificates;
mod gateway;
#[path = "../../security/harness/migration.rs"]
mod migration;
mod persona;
mod raw;
#[path = "../../../src/adapters/store/sample/database.rs"]
#[expect(dead_code, reason = "it belongs to tests of the store too")]
mod sample_database;
mod upstream;
mod wait;

pub(crate) use certificates::Authority;
pub(crate) use gateway::{Gateway, HOST, Setup, guarita, loopback};
pub(crate) use persona::{Persona, Tokens};
pub(crate) use raw::Wire;
pub(crate) use upstream::{Upstream, ok};
pub(crate) use wait::{eventually, within};
