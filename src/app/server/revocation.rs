//! Ends what is under way when its session ends, or its API key is revoked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::adapters::store::Change;
use crate::adapters::telemetry::{Audit, Event, Metrics, Name};
use crate::doors::proxy::{Held, Tether, Tethers};
use crate::model::clock;
use crate::services::api_key;
use crate::services::session::{Registry, Standing};

/// Why an exchange is ended.
const REVOKED: &str = "revoked";
/// Changes looked at together, at most.
const BATCH: usize = 1_000;

/// How long an exchange may go on after its session, to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Cuts the exchanges of sessions that ended, and of keys that were revoked.
#[derive(Clone)]
pub(super) struct Revocation {
    pub(super) registry: Registry,
    pub(super) api_keys: Arc<api_key::Registry>,
    pub(super) tethers: Arc<Tethers>,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
}

impl Revocation {
    /// Follows the changes for ever; drop it to stop.
    pub(super) async fn run(self) {
        let mut changes = self.registry.changes();
        while let Some(batch) = next(&mut changes).await {
            let mut ended = Vec::new();
            for (tether, exchange, held) in self.tethers.held() {
                if self.ended(&held, &batch).await {
                    ended.push((tether, exchange, held));
                }
            }
            if !ended.is_empty() {
                tokio::spawn(self.clone().cut(ended));
            }
        }
    }

    /// What is about to be answered still is; what goes on is cut.
    async fn cut(self, ended: Vec<(Arc<Tether>, u64, Held)>) {
        tokio::time::sleep(LAST_WORDS).await;
        for (tether, exchange, held) in ended {
            if tether.cut(exchange) {
                self.record(&held);
            }
        }
    }

    /// Whether these changes end what it hangs on. Who cannot be known is not served.
    async fn ended(&self, held: &Held, changes: &[Change]) -> bool {
        let concerns = |change: &Change| match change {
            Change::Session(session) => Some(*session) == held.session,
            Change::User(user) => Some(*user) == held.user,
            Change::ApiKey(key) => Some(*key) == held.api_key,
            Change::Unknown => true,
        };
        if !changes.iter().any(concerns) {
            return false;
        }
        let now = clock::now();
        if let Some(session) = held.session
            && !matches!(self.registry.ask(session, now).await, Ok(Standing::Active { .. }))
        {
            return true;
        }
        match held.api_key {
            Some(key) => !self.api_keys.is_live(key, now).await.unwrap_or(false),
            None => false,
        }
    }

    fn record(&self, held: &Held) {
        tracing::info!(requestId = held.request_id.as_str(), "an exchange ended by a revocation");
        self.metrics.stream_closed(REVOKED);
        let event = Event {
            request_id: Some(held.request_id.as_str()),
            user: held.user,
            session: held.session,
            api_key: held.api_key,
            reason: Some(REVOKED),
            ..Event::new(Name::StreamClosed)
        };
        self.audit.record(&event, clock::now());
    }
}

/// What changed since the last time; `None` at the end.
async fn next(changes: &mut Receiver<Change>) -> Option<Vec<Change>> {
    let mut batch = vec![match changes.recv().await {
        Ok(change) => change,
        // Some were missed: any session may have ended.
        Err(RecvError::Lagged(_)) => Change::Unknown,
        Err(RecvError::Closed) => return None,
    }];
    while batch.len() < BATCH {
        match changes.try_recv() {
            Ok(change) => batch.push(change),
            Err(TryRecvError::Lagged(_)) => batch.push(Change::Unknown),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    Some(batch)
}
