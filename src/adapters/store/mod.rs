//! The database: one pool type, every query a method on a transaction.
//!
//! To add an aggregate: a migration with the next number for both databases (`migrations/sqlite`,
//! `migrations/postgres`), a file named after its table, methods on [`Transaction`]. SQL is written once with
//! `$1`, in the common dialect of SQLite and PostgreSQL; only `sqlite`, `file`, `postgres`, `dialect`, `migrate`,
//! `hint`, `pool` and `transaction` distinguish the two. A method that revokes access or changes roles appends
//! the change to the feed itself, so that no caller can forget it.

pub mod api_keys;
pub mod changes;
pub mod clients;
pub mod copy;
pub mod devices;
mod dialect;
pub mod fault;
pub mod file;
pub mod hint;
pub mod keys;
pub mod links;
mod migrate;
pub mod name_failures;
pub mod outbox;
pub mod pool;
mod postgres;
pub mod profiles;
pub mod provider_links;
pub mod rates;
pub mod refresh_tokens;
pub mod revoked_tokens;
pub mod sessions;
pub mod settings;
pub mod shared_secrets;
mod sqlite;
pub mod tickets;
pub mod totp_factors;
pub mod transaction;
mod turns;
pub mod users;

#[cfg(test)]
pub(crate) mod sample;

pub use api_keys::{ApiKey, NewApiKey, WhichKeys};
pub use changes::{Change, Horizon, NotedChange};
pub use clients::{ClientSecret, MostClients, NewClient, WhichClients};
pub use copy::{Copied, CopyFault};
pub use devices::{Counter, Device, Failures, Success};
pub use fault::{Fault, OpenFault};
pub use hint::Listener;
pub use keys::{KeyPurpose, StoredKey};
pub use links::{Link, LinkPurpose, NOBODY, NewLink};
pub use name_failures::{NameStanding, UnknownName};
pub use outbox::{NewMail, Waiting, WaitingMail};
pub use pool::{AtOnce, Probed, Store};
pub use profiles::Taken;
pub use refresh_tokens::{NewRefreshToken, RefreshToken};
pub use sessions::{NewSession, Session};
pub use settings::Settings;
pub use tickets::NewTicket;
pub use totp_factors::TotpFactor;
pub use transaction::Transaction;
pub use users::{First, NewUser, User};
