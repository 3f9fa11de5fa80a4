//! Commands of operators.

use crate::audit::{Audit, Event, Name};
use guarita_core::Timestamp;

/// A command that changes something ended.
#[derive(Debug)]
pub struct CommandEnded<'a> {
    /// The command and subcommand, without secrets.
    pub command: &'a str,
    /// The subject of the command; e-mail addresses and CPFs are masked.
    pub subject: Option<&'a str>,
    /// Whether it succeeded; otherwise it was refused or failed.
    pub succeeded: bool,
}

impl CommandEnded<'_> {
    /// Records it. A command has no metrics.
    pub fn emit(self, audit: &Audit, now: Timestamp) {
        let name = if self.succeeded { Name::CommandSucceeded } else { Name::CommandFailed };
        let event = Event { subject: self.subject, reason: Some(self.command), ..Event::new(name) };
        audit.record(&event, now);
    }
}
