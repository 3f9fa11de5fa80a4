//! Arguments and output that `guarita apikey` and `guarita client` share.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::command::CONFIG;
use crate::config::parse_time;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// Include revoked ones.
    #[arg(long)]
    pub(super) all: bool,
    /// List only ids above this one; at most 1000 are listed at once.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub(super) after: i64,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

/// Parses a lifetime. The bounds are checked where the credential is created.
///
/// # Errors
/// What the text must be.
pub(super) fn parse_lifetime(text: &str) -> Result<Duration, &'static str> {
    parse_time(text).ok_or("must be a whole number followed by s, m, h or d, for example 90d")
}

/// The state of a credential, as listed.
pub(super) const fn state(is_revoked: bool, is_live: bool) -> &'static str {
    match (is_revoked, is_live) {
        (true, _) => "revoked",
        (false, true) => "active",
        (false, false) => "expired",
    }
}
