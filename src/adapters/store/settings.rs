//! What the store is told.

use crate::model::Secret;

/// `[store]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// `sqlite:PATH` (a URL of PostgreSQL in a later version); may hold a password.
    pub database: Secret,
}
