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
pub mod notify;
pub mod keys;
pub mod links;
mod migrate;
pub mod name_failures;
pub mod outbox;
pub mod connect;
mod schema_status;
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
mod leases;
pub mod users;

#[cfg(any(test, feature = "test-util"))]
#[expect(
    clippy::expect_used,
    clippy::new_without_default,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
pub mod sample;

pub use api_keys::{ApiKey, NewApiKey, WhichKeys};
pub use changes::{Change, NotedChange, XidHorizon};
pub use clients::{ClientSecret, MostClients, NewClient, WhichClients};
pub use copy::{Copied, CopyFault};
pub use devices::{Counter, Device, Failures, RecordedLogin};
pub use fault::{StoreError, StoreOpenError};
pub use keys::{KeyPurpose, StoredKey};
pub use links::{LinkPurpose, MailLink, NOBODY, NewLink};
pub use name_failures::{UnknownName, UnknownNameStatus};
pub use notify::NotificationListener;
pub use outbox::{MailsWaiting, NewMail, WaitingMail};
pub use profiles::Taken;
pub use refresh_tokens::{NewRefreshToken, RefreshToken};
pub use schema_status::SchemaStatus;
pub use sessions::{NewSession, StoredSession};
pub use settings::StoreSettings;
pub use tickets::NewTicket;
pub use totp_factors::TotpFactor;
pub use transaction::Transaction;
pub use users::{MatchPreference, NewUser, User};
pub use {pool::Autocommit, pool::Store};
