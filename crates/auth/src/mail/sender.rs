//! Sends the mails in the outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::outbox::{Links, Outbox};
use crate::grant::TokenError;
use guarita_core::{Language, Timestamp};
use guarita_mail::{MailError, MailMessage, MailTemplate, Smtp, render};
use guarita_store::{LinkPurpose, MailsWaiting, Store, WaitingMail};
use guarita_telemetry::Metrics;
use guarita_telemetry::events::{MailExpired, MailFailed, MailSent};

/// Interval of polling the outbox.
const PERIOD: Duration = Duration::from_millis(500);
/// Maximum number of mails sent concurrently, so that a slow recipient does not delay the others.
const AT_ONCE: usize = 8;
/// How long mails that are being sent may take at a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Maximum pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Maximum number of attempts if the server defers a mail or cannot be reached; about a day.
const MAX_ATTEMPTS: u32 = 300;
/// Maximum number of attempts if the server rejects a mail.
const MAX_REJECTIONS: u32 = 4;
/// Number of expired mails removed at once.
const BATCH: i64 = 500;

/// The task that sends.
#[derive(Debug)]
pub struct Sender {
    store: Store,
    outbox: Arc<Outbox>,
    smtp: Smtp,
    route: MailRoute,
    metrics: Arc<Metrics>,
    clock: fn() -> Timestamp,
}

/// The values for the templates.
#[derive(Clone, Debug)]
pub struct MailRoute {
    /// The name of this service.
    pub site: Box<str>,
    /// The URLs of links.
    pub links: Links,
    /// Time-out of one attempt.
    pub timeout: Duration,
}

/// The result of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum NextAttempt {
    Sent,
    Again(Duration),
    GivenUp,
}

impl Sender {
    /// Creates a sender without starting it. `clock` is `model::clock::now`.
    pub const fn new(
        store: Store,
        outbox: Arc<Outbox>,
        smtp: Smtp,
        route: MailRoute,
        metrics: Arc<Metrics>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { store, outbox, smtp, route, metrics, clock }
    }

    /// Sends until stopped, then waits a while for mails that are being sent.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let sender = Arc::new(self);
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            while under_way.try_join_next().is_some() {}
            let free = AT_ONCE.saturating_sub(under_way.len());
            match sender.claim(free).await {
                Ok(claimed) => {
                    for mail in claimed {
                        under_way.spawn(Arc::clone(&sender).attempt(mail));
                    }
                }
                Err(fault) => tracing::warn!(error = %fault, "reading the outbox failed"),
            }
        }
        // What does not end in time is tried again when its claim is over.
        let ended = async { while under_way.join_next().await.is_some() {} };
        drop(timeout(SHUTDOWN_GRACE, ended).await);
    }

    /// Claims at most so many due mails for this sender.
    async fn claim(&self, most: usize) -> Result<Vec<WaitingMail>, TokenError> {
        let now = (self.clock)();
        let Some(key) = self.outbox.key() else { return Ok(Vec::new()) };
        let limit = i64::try_from(most).unwrap_or(0);
        let mut transaction = self.store.read().await?;
        let MailsWaiting { mails, oldest } = transaction.waiting_mails().await?;
        self.metrics.outbox(mails, oldest.map_or(Duration::ZERO, |oldest| oldest.until(now)));
        let due = transaction.due_mails(key.id(), limit, now).await?;
        drop(transaction);
        if mails > 0 && due.is_empty() {
            self.expire(now).await?;
        }
        if due.is_empty() {
            return Ok(due);
        }
        // Nobody else takes it while we may still be at it.
        let until = now.plus(self.route.timeout * 2 + Duration::from_secs(30));
        let mut transaction = self.store.begin_write().await?;
        let mut claimed = Vec::new();
        for mut mail in due {
            if transaction.claim_mail(&mail, until, now).await? {
                mail.attempts += 1;
                claimed.push(mail);
            }
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    async fn expire(&self, now: Timestamp) -> Result<(), TokenError> {
        if self.store.read().await?.count_expired_mails(now).await? == 0 {
            return Ok(());
        }
        let mut transaction = self.store.begin_write().await?;
        let expired = transaction.remove_expired_mails(BATCH, now).await?;
        transaction.commit().await?;
        for _ in 0..expired {
            MailExpired.emit(&self.metrics);
        }
        Ok(())
    }

    async fn attempt(self: Arc<Self>, mail: WaitingMail) {
        let sent = match self.write(&mail) {
            Ok(message) => self.smtp.send(&mail.id, &mail.recipient, &message).await,
            Err(fault) => {
                tracing::error!(mail = mail.id, kind = mail.kind, error = %fault, "rendering a mail failed");
                Err(MailError::Rejected(0))
            }
        };
        let next = next(&sent, mail.attempts);
        self.log_result(&mail, &sent, &next);
        if let Err(fault) = self.record_result(&mail, next).await {
            tracing::error!(mail = mail.id, error = %fault, "recording the result of a mail failed");
        }
    }

    fn write(&self, mail: &WaitingMail) -> Result<MailMessage, TokenError> {
        let unknown = || TokenError("the outbox has a mail of an unknown kind".into());
        let letter = MailTemplate::parse(&mail.kind).ok_or_else(unknown)?;
        let language = Language::parse(&mail.language).ok_or_else(unknown)?;
        let link_use = match letter {
            MailTemplate::Reset => Some(self.route.links.of(LinkPurpose::Reset)),
            MailTemplate::Verification => Some(self.route.links.of(LinkPurpose::Verification)),
            MailTemplate::Notice(_) | MailTemplate::Test => None,
        };
        let token = match (&mail.sealed, self.outbox.key()) {
            (Some(sealed), Some(key)) => Some(key.open(&mail.id, sealed)?),
            (Some(_) | None, _) => None,
        };
        let link = link_use.zip(token).map(|(to, token)| (to.with(&token), to.ttl));
        let link = link.as_ref().map(|(link, ttl)| (link, *ttl));
        render(letter, language, &self.route.site, link)
            .map_err(|error| TokenError(format!("a template failed: {error}")))
    }

    fn log_result(&self, mail: &WaitingMail, sent: &Result<(), MailError>, next: &NextAttempt) {
        let WaitingMail { id: mail, kind, attempts, .. } = mail;
        let attempts = *attempts;
        match sent {
            Ok(()) => MailSent { mail, kind, attempts }.emit(&self.metrics),
            Err(error) => {
                let given_up = matches!(next, NextAttempt::GivenUp);
                MailFailed { mail, kind, attempts, error, given_up }.emit(&self.metrics);
            }
        }
    }

    async fn record_result(&self, mail: &WaitingMail, next: NextAttempt) -> Result<(), TokenError> {
        let mut transaction = self.store.begin_write().await?;
        match next {
            NextAttempt::Sent | NextAttempt::GivenUp => transaction.remove_mail(&mail.id).await?,
            NextAttempt::Again(pause) => {
                let until = (self.clock)().plus(pause);
                transaction.postpone_mail(&mail.id, mail.attempts, until).await?;
            }
        }
        Ok(transaction.commit().await?)
    }
}

/// Exponential backoff, from one second up.
fn next(sent: &Result<(), MailError>, attempts: u32) -> NextAttempt {
    let most = match sent {
        Ok(()) => return NextAttempt::Sent,
        Err(MailError::Rejected(_)) => MAX_REJECTIONS,
        Err(
            MailError::Unwelcome(_)
            | MailError::PutOff(_)
            | MailError::Timeout
            | MailError::Tls(_)
            | MailError::Unreachable(_),
        ) => MAX_ATTEMPTS,
    };
    if attempts >= most {
        return NextAttempt::GivenUp;
    }
    let seconds = 2_u64.saturating_pow(attempts.saturating_sub(1));
    NextAttempt::Again(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_attempts_are_bounded() {
        let put_off = Err(MailError::PutOff(451));
        let pauses: Vec<_> = (1..=10).map(|attempts| next(&put_off, attempts)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300];
        assert_eq!(pauses, seconds.map(|seconds| NextAttempt::Again(Duration::from_secs(seconds))));
        assert_eq!(next(&put_off, 299), NextAttempt::Again(LONGEST_PAUSE));
        assert_eq!(next(&put_off, 300), NextAttempt::GivenUp);
        let rejected = Err(MailError::Rejected(550));
        assert_eq!(next(&rejected, 3), NextAttempt::Again(Duration::from_secs(4)));
        assert_eq!(next(&rejected, 4), NextAttempt::GivenUp);
        assert_eq!(next(&Ok(()), 300), NextAttempt::Sent);
    }
}
