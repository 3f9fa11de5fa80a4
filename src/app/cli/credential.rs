//! What the verbs about the credentials of services ask and say alike.

use std::path::PathBuf;
use std::time::Duration;

use super::verb::CONFIG;
use crate::app::config::parse_time;

/// Which of them to list, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Listing {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// Those that were revoked too.
    #[arg(long)]
    pub(super) all: bool,
    /// Only those with ids above this one; at most 1000 are listed at once.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub(super) after: i64,
    /// JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

/// How long one is to count. Its bounds are those of who makes it.
///
/// # Errors
/// What it must be.
pub(super) fn parse_lifetime(text: &str) -> Result<Duration, &'static str> {
    parse_time(text).ok_or("must be a whole number with s, m, h or d, as in 90d")
}

/// The word for what one is now.
pub(super) const fn state(is_revoked: bool, is_live: bool) -> &'static str {
    match (is_revoked, is_live) {
        (true, _) => "revoked",
        (false, true) => "active",
        (false, false) => "expired",
    }
}
