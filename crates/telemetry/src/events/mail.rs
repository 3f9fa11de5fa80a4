//! Mails.

use std::fmt::Display;

use crate::metrics::Metrics;

/// A mail was sent.
#[derive(Debug)]
pub struct MailSent<'a> {
    /// The id of the mail.
    pub mail: &'a str,
    /// What it is about, one of a fixed set.
    pub kind: &'a str,
    /// The number of attempts.
    pub attempts: u32,
}

impl MailSent<'_> {
    /// Logs and counts it.
    pub fn emit(self, metrics: &Metrics) {
        let Self { mail, kind, attempts } = self;
        metrics.mail("sent");
        tracing::info!(mail, kind, attempts, "mail sent");
    }
}

/// A mail could not be sent.
#[derive(Debug)]
pub struct MailFailed<'a, D> {
    /// The id of the mail.
    pub mail: &'a str,
    /// What it is about, one of a fixed set.
    pub kind: &'a str,
    /// The number of attempts.
    pub attempts: u32,
    /// The cause.
    pub error: D,
    /// Whether it is given up; otherwise it is sent again.
    pub given_up: bool,
}

impl<D: Display> MailFailed<'_, D> {
    /// Logs and counts it.
    pub fn emit(self, metrics: &Metrics) {
        let Self { mail, kind, attempts, error, given_up } = self;
        if given_up {
            metrics.mail("given_up");
            tracing::warn!(mail, kind, attempts, %error, "mail could not be sent; given up");
        } else {
            metrics.mail("failed");
            tracing::warn!(mail, kind, attempts, %error, "mail could not be sent; will be retried");
        }
    }
}

/// A mail expired before it could be sent.
#[derive(Debug)]
pub struct MailExpired;

impl MailExpired {
    /// Logs and counts it.
    pub fn emit(self, metrics: &Metrics) {
        metrics.mail("expired");
        tracing::warn!("mail expired before it could be sent; given up");
    }
}
