//! The log: JSON lines on standard output.

use tracing_subscriber::EnvFilter;

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// `log.level` is not a valid filter.
    #[error("log.level must be a filter, for example info or guarita=debug")]
    Filter,
    /// A log subscriber is already installed.
    #[error("a log subscriber is already installed")]
    Started,
}

/// Installs the log subscriber. `filter` is a `tracing` filter, for example `info`.
pub fn start(filter: &str) -> Result<(), LogFault> {
    // pingora's own lines repeat what ours say, with whole paths in them.
    let directives = format!("{filter},pingora_core=off,pingora_proxy=off");
    let filter = EnvFilter::try_new(directives).map_err(|_| LogFault::Filter)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init()
        .map_err(|_| LogFault::Started)
}
