//! The database of a configuration in the making, and the Redis that goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Setup;
use crate::harness::sample_database::Database;
use crate::harness::{accounts, database};

/// What stands for the database of the test, wherever that is.
pub(super) const DATABASE: &str = "\"sqlite:data/guarita.db\"";
/// The same file, whatever the other tests have.
const FILE: &str = "\"sqlite:./data/guarita.db\"";

impl Setup {
    /// The same with a database that nobody else has.
    pub(in crate::harness) fn apart(self) -> Self {
        Self { database: Arc::default(), ..self }
    }

    /// The same with the database of another.
    pub(in crate::harness) fn beside(self, other: &Self) -> Self {
        Self { database: Arc::clone(&other.database), ..self }
    }

    /// On SQLite in any round: the test is about files.
    pub fn on_file(self) -> Self {
        self.set("store.database", FILE)
    }

    /// Whether the database is the SQLite file in the directory.
    pub(in crate::harness) fn is_on_file(&self) -> bool {
        self.is(FILE) || (self.is(DATABASE) && !database::is_postgres())
    }

    /// The database, where that is on PostgreSQL and the test says nothing else.
    pub(super) fn database(&self) -> Option<&Database> {
        self.is(DATABASE).then(|| self.database.get_or_init(database::create).as_ref())?
    }

    /// Has the database of the test be a copy of the one by that name, with these accounts.
    pub(in crate::harness) fn copy_database(&self, name: &str) {
        let setup = self.clone();
        self.database
            .get_or_init(|| Database::copy_of(name, move |url| accounts::keep_at(url, setup)));
    }

    /// The values as they are written: what the test says, and the servers of the tests for the rest.
    pub(super) fn written(&self) -> BTreeMap<(String, String), String> {
        let mut values = self.values.clone();
        let Some(database) = self.database() else { return values };
        values.insert(key("database"), format!("\"{}\"", database.url()));
        if !values.contains_key(&key("redis")) {
            values.insert(key("redis"), format!("\"{}\"", database::redis()));
            values.insert(key("redis_prefix"), format!("\"{}\"", database.name()));
            // Answers may be late where many tests run at once.
            values.insert(key("redis_timeout"), "\"10s\"".to_owned());
        }
        values
    }

    /// Whether it is what the test began with, and so nobody else's.
    pub(super) fn is_of_the_test(&self) -> bool {
        self.is(FILE) || self.is(DATABASE)
    }

    fn is(&self, value: &str) -> bool {
        self.values.get(&key("database")).is_some_and(|is| is == value)
    }
}

fn key(name: &str) -> (String, String) {
    ("store".to_owned(), name.to_owned())
}
