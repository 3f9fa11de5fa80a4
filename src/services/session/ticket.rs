//! Tickets for WebSockets (contract section 6): a caller that is proven now takes one along where its
//! script can set no header. They are in the memory of this node only.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::adapters::ephemeral::{Limiter, Memory, Rate};
use crate::model::identity::InvalidIdentity;
use crate::model::random::{self, RandomFault};
use crate::model::{Identity, Principal, Secret, SessionId, Timestamp};
use crate::rules::request::PresentedTicket;
use crate::rules::token::{browser, opaque};

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(30);
/// Tickets in all that wait to be used.
const CAPACITY: usize = 65_536;
/// Tickets of one session in one life of a ticket, all at once or spread; so at most twice as many wait.
const PER_SESSION: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Sessions whose tickets are counted.
const SESSIONS: usize = 65_536;

/// What a ticket stands for.
#[derive(Clone, Debug)]
struct Ticket {
    identity: Arc<Identity>,
    session: SessionId,
    as_of: Timestamp,
    ends_at: Option<Timestamp>,
    /// A digest of host and path: a long path takes no more room.
    place: String,
}

/// What a ticket proved.
#[derive(Debug)]
pub struct Redeemed {
    /// Whose it is, with the source of the credential that it was made by.
    pub identity: Arc<Identity>,
    /// The session of that credential.
    pub session: SessionId,
    /// The moment whose roles the identity has.
    pub as_of: Timestamp,
    /// When that credential ends, where it does so by itself.
    pub ends_at: Option<Timestamp>,
}

/// Why there is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TicketRefusal {
    /// The caller has no session that a ticket could hang on.
    NoSession,
    /// Too many of this session.
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many in all.
    Full,
}

/// A ticket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TicketFault {
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] RandomFault),
    /// The caller's identity could not be written down.
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
}

/// Makes tickets and takes them back, each once. Only their digests are kept.
pub struct Tickets {
    memory: Memory<Ticket>,
    rates: Limiter,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Default for Tickets {
    fn default() -> Self {
        Self { memory: Memory::new(CAPACITY), rates: Limiter::new(SESSIONS) }
    }
}

impl Tickets {
    /// A ticket for that canonical host and path, good for [`LIFETIME`].
    ///
    /// # Errors
    /// [`TicketFault`]: ours.
    pub fn issue(
        &self,
        principal: &Principal,
        host: &str,
        path: &str,
        (now, at): (Timestamp, Instant),
    ) -> Result<Result<Secret, TicketRefusal>, TicketFault> {
        let Some(session) = principal.identity().session() else {
            return Ok(Err(TicketRefusal::NoSession));
        };
        let key = self.rates.key(session);
        let rate = Rate { count: PER_SESSION, period: LIFETIME };
        if let Err(retry_after) = self.rates.take(key, rate, at) {
            return Ok(Err(TicketRefusal::TooMany { retry_after }));
        }
        let ticket = Ticket {
            identity: principal.settled()?,
            session,
            as_of: now,
            ends_at: principal.ends_at(),
            place: place(host, path),
        };
        let secret = random::token()?;
        let digest = opaque::digest(secret.expose());
        let kept = self.memory.put(digest, ticket, 1, now.plus(LIFETIME), now);
        Ok(kept.map(|()| secret).map_err(|_| TicketRefusal::Full))
    }

    /// What a ticket proves. It is used up, also where it proves nothing: it is late, or for another
    /// host or path.
    pub fn redeem(&self, presented: PresentedTicket<'_>, now: Timestamp) -> Option<Redeemed> {
        let secret = presented.secret.expose();
        if !browser::is_secret(secret) {
            return None;
        }
        let ticket = self.memory.take(&opaque::digest(secret), now)?;
        let meant = ticket.place == place(presented.host, presented.path);
        meant.then_some(Redeemed {
            identity: ticket.identity,
            session: ticket.session,
            as_of: ticket.as_of,
            ends_at: ticket.ends_at,
        })
    }
}

/// No host has a slash, and every path begins with one.
fn place(host: &str, path: &str) -> String {
    opaque::digest(&[host, path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Roles, Source, Subject, UserId};

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn principal(session: Option<SessionId>) -> Principal {
        let subject = Subject::parse("alice").unwrap();
        let user = Some(UserId::new(7));
        let identity = Identity::new(subject, user, session, Roles::none(), Source::Bearer, None);
        Principal::new(Arc::new(identity.unwrap()))
    }

    fn session() -> SessionId {
        SessionId::new(random::ordered_uuid())
    }

    fn redeem(tickets: &Tickets, secret: &Secret, host: &str, path: &str, now: Timestamp) -> bool {
        tickets.redeem(PresentedTicket { secret, host, path }, now).is_some()
    }

    #[test]
    fn a_ticket_is_good_once_for_one_place_and_for_seconds() {
        let (tickets, at) = (Tickets::default(), Instant::now());
        let caller = principal(Some(session()));
        let issue = || tickets.issue(&caller, "app.test", "/a", (NOW, at)).unwrap().unwrap();
        let ticket = issue();
        let found = tickets.redeem(
            PresentedTicket { secret: &ticket, host: "app.test", path: "/a" },
            NOW.plus(Duration::from_secs(29)),
        );
        assert_eq!(found.unwrap().identity.subject().as_str(), "alice");
        assert!(!redeem(&tickets, &ticket, "app.test", "/a", NOW), "twice");
        for (host, path, now) in [
            ("other.test", "/a", NOW),
            ("app.test", "/b", NOW),
            ("app.test", "/a/", NOW),
            ("app.test", "/a", NOW.plus(LIFETIME)),
        ] {
            let ticket = issue();
            assert!(!redeem(&tickets, &ticket, host, path, now), "{host} {path}");
            assert!(!redeem(&tickets, &ticket, "app.test", "/a", NOW), "it was not used up");
        }
        for text in ["", "x", &"x".repeat(43), &"x".repeat(100_000)] {
            assert!(!redeem(&tickets, &Secret::new(text), "app.test", "/a", NOW));
        }
    }

    #[test]
    fn tickets_are_bounded_for_a_session_and_in_all() {
        let (tickets, at) = (Tickets::default(), Instant::now());
        let caller = principal(Some(session()));
        let issue =
            |caller: &Principal| tickets.issue(caller, "app.test", "/a", (NOW, at)).unwrap();
        for _ in 0..PER_SESSION.get() {
            assert!(issue(&caller).is_ok());
        }
        assert!(matches!(issue(&caller), Err(TicketRefusal::TooMany { .. })));
        assert!(issue(&principal(Some(session()))).is_ok(), "others have their own");
        assert!(matches!(issue(&principal(None)), Err(TicketRefusal::NoSession)));
        let few = Tickets { memory: Memory::new(1), rates: Limiter::new(1) };
        assert!(few.issue(&caller, "app.test", "/a", (NOW, at)).unwrap().is_ok());
        let refused = few.issue(&caller, "app.test", "/a", (NOW, at)).unwrap();
        assert_eq!(refused.unwrap_err(), TicketRefusal::Full);
    }

    #[test]
    fn of_many_who_bring_one_ticket_one_is_let_in() {
        let (tickets, at) = (Tickets::default(), Instant::now());
        let caller = principal(Some(session()));
        let ticket = tickets.issue(&caller, "app.test", "/a", (NOW, at)).unwrap().unwrap();
        let let_in: usize = std::thread::scope(|scope| {
            let bring = || usize::from(redeem(&tickets, &ticket, "app.test", "/a", NOW));
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(bring)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_in, 1);
    }
}
