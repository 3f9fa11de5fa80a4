//! Lookups in progress: one per session for all waiters. Revocations that arrive meanwhile invalidate their
//! results.

use std::collections::HashMap;

use tokio::sync::watch;

use guarita_core::{SessionId, UserId};

/// Maximum number of changed users recorded per lookup; with more, the whole result is discarded.
const MAX_CHANGED_USERS: usize = 64;

/// What waiters see: nothing yet, then the result.
pub(super) type LookupReceiver<T> = watch::Receiver<Option<T>>;

/// A lookup in progress.
#[derive(Debug)]
struct InFlightLookup<T> {
    number: u64,
    answer: LookupReceiver<T>,
    in_doubt: bool,
    changed_users: Vec<UserId>,
}

/// All lookups in progress. A lock around it orders results and revocations.
#[derive(Debug)]
pub(super) struct InFlightLookups<T> {
    by_session: HashMap<SessionId, InFlightLookup<T>>,
    started: u64,
}

impl<T> Default for InFlightLookups<T> {
    fn default() -> Self {
        Self { by_session: HashMap::new(), started: 0 }
    }
}

impl<T> InFlightLookups<T> {
    /// The number of lookups.
    pub(super) fn len(&self) -> usize {
        self.by_session.len()
    }

    /// The result to wait for, if a lookup is in progress.
    pub(super) fn find(&self, session: SessionId) -> Option<LookupReceiver<T>> {
        self.by_session.get(&session).map(|flight| flight.answer.clone())
    }

    /// Starts a lookup; returns its number.
    pub(super) fn start(&mut self, session: SessionId, answer: LookupReceiver<T>) -> u64 {
        self.started = self.started.wrapping_add(1);
        let number = self.started;
        let flight = InFlightLookup { number, answer, in_doubt: false, changed_users: Vec::new() };
        self.by_session.insert(session, flight);
        number
    }

    /// Ends a lookup, completed or cancelled: no more waiters can join it. A later lookup for the same session is not
    /// affected.
    pub(super) fn end(&mut self, session: SessionId, number: u64) {
        if self.by_session.get(&session).is_some_and(|flight| flight.number == number) {
            self.by_session.remove(&session);
        }
    }

    /// Clears recorded changes, because the query starts after them.
    pub(super) fn restart(&mut self, session: SessionId) {
        if let Some(flight) = self.by_session.get_mut(&session) {
            flight.in_doubt = false;
            flight.changed_users.clear();
        }
    }

    /// Whether a change since the start of the lookup may make its result outdated.
    pub(super) fn doubts(&self, session: SessionId, user: Option<UserId>) -> bool {
        self.by_session.get(&session).is_none_or(|flight| {
            flight.in_doubt || user.is_some_and(|user| flight.changed_users.contains(&user))
        })
    }

    /// The session was revoked.
    pub(super) fn doubt_session(&mut self, session: SessionId) {
        if let Some(flight) = self.by_session.get_mut(&session) {
            flight.in_doubt = true;
        }
    }

    /// The user changed.
    pub(super) fn doubt_user(&mut self, user: UserId) {
        for flight in self.by_session.values_mut() {
            if flight.changed_users.len() < MAX_CHANGED_USERS {
                flight.changed_users.push(user);
            } else {
                flight.in_doubt = true;
            }
        }
    }

    /// Anything may have changed.
    pub(super) fn doubt_all(&mut self) {
        for flight in self.by_session.values_mut() {
            flight.in_doubt = true;
        }
    }
}
