//! Tickets for WebSockets (contract section 6): a caller that is proven now takes one along where its
//! script can set no header. Each is used once, over all gateways that share it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::standing::Unknowable;
use super::ticket_record::Written;
use crate::adapters::ephemeral::{self, Counted, Ephemeral, Full, OutOfReach, Rate, Rates};
use serde::{Deserialize, Serialize};

use crate::model::identity::InvalidIdentity;
use crate::model::random::{self, RandomFault};
use crate::model::{Identity, Principal, Secret, SessionId, Timestamp};
use crate::rules::request::PresentedTicket;
use crate::rules::token::{browser, opaque};

/// What these tickets are kept as.
const KIND: &str = "websocket";

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(30);
/// Tickets in all that wait to be used.
const CAPACITY: usize = 65_536;
/// Tickets of one session in one life of a ticket, all at once or spread; so at most twice as many wait.
const PER_SESSION: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Sessions whose tickets are counted.
const SESSIONS: usize = 65_536;

/// What a ticket stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub(super) struct Ticket {
    pub(super) identity: Arc<Identity>,
    pub(super) session: SessionId,
    pub(super) as_of: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
    /// A digest of host and path: a long path takes no more room.
    pub(super) place: String,
}

/// The session whose tickets are counted.
#[derive(Hash)]
struct Holder(SessionId);

impl Counted for Holder {
    fn name(&self) -> String {
        format!("websocket ticket {}", self.0)
    }
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
    /// What all gateways share cannot be asked.
    OutOfReach,
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
    tickets: ephemeral::Tickets<Ticket>,
    rates: Rates,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// Kept there.
    pub fn new(ephemeral: &Ephemeral) -> Self {
        Self { tickets: ephemeral.tickets(KIND, CAPACITY), rates: ephemeral.rates(SESSIONS) }
    }

    /// A ticket for that canonical host and path, good for [`LIFETIME`].
    ///
    /// # Errors
    /// [`TicketFault`]: ours.
    pub async fn issue(
        &self,
        principal: &Principal,
        host: &str,
        path: &str,
        (now, at): (Timestamp, Instant),
    ) -> Result<Result<Secret, TicketRefusal>, TicketFault> {
        let Some(session) = principal.identity().session() else {
            return Ok(Err(TicketRefusal::NoSession));
        };
        let rate = Rate { count: PER_SESSION, period: LIFETIME };
        if let Err(retry_after) = self.rates.take(&Holder(session), rate, at).await {
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
        Ok(match self.tickets.put(&secret, ticket, 1, LIFETIME, now).await {
            Ok(Ok(())) => Ok(secret),
            Ok(Err(Full)) => Err(TicketRefusal::Full),
            Err(OutOfReach) => Err(TicketRefusal::OutOfReach),
        })
    }

    /// What a ticket proves. It is used up, also where it proves nothing: it is late, or for another
    /// host or path.
    ///
    /// # Errors
    /// [`Unknowable`] where what all gateways share cannot be asked.
    pub async fn redeem(
        &self,
        presented: PresentedTicket<'_>,
        now: Timestamp,
    ) -> Result<Option<Redeemed>, Unknowable> {
        if !browser::is_secret(presented.secret.expose()) {
            return Ok(None);
        }
        let ticket = self.tickets.take(presented.secret, now).await;
        let Some(ticket) = ticket.map_err(|OutOfReach| Unknowable)? else { return Ok(None) };
        let meant = ticket.place == place(presented.host, presented.path);
        Ok(meant.then_some(Redeemed {
            identity: ticket.identity,
            session: ticket.session,
            as_of: ticket.as_of,
            ends_at: ticket.ends_at,
        }))
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

    async fn redeem(
        tickets: &Tickets,
        secret: &Secret,
        host: &str,
        path: &str,
        now: Timestamp,
    ) -> bool {
        tickets.redeem(PresentedTicket { secret, host, path }, now).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_ticket_is_good_once_for_one_place_and_for_seconds() {
        let (tickets, at) = (Tickets::new(&Ephemeral::memory()), Instant::now());
        let caller = principal(Some(session()));
        let issue =
            async || tickets.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap().unwrap();
        let ticket = issue().await;
        let found = tickets.redeem(
            PresentedTicket { secret: &ticket, host: "app.test", path: "/a" },
            NOW.plus(Duration::from_secs(29)),
        );
        assert_eq!(found.await.unwrap().unwrap().identity.subject().as_str(), "alice");
        assert!(!redeem(&tickets, &ticket, "app.test", "/a", NOW).await, "twice");
        for (host, path, now) in [
            ("other.test", "/a", NOW),
            ("app.test", "/b", NOW),
            ("app.test", "/a/", NOW),
            ("app.test", "/a", NOW.plus(LIFETIME)),
        ] {
            let ticket = issue().await;
            assert!(!redeem(&tickets, &ticket, host, path, now).await, "{host} {path}");
            assert!(!redeem(&tickets, &ticket, "app.test", "/a", NOW).await, "it was not used up");
        }
        for text in ["", "x", &"x".repeat(43), &"x".repeat(100_000)] {
            assert!(!redeem(&tickets, &Secret::new(text), "app.test", "/a", NOW).await);
        }
    }

    #[tokio::test]
    async fn tickets_are_bounded_for_a_session_and_in_all() {
        let (tickets, at) = (Tickets::new(&Ephemeral::memory()), Instant::now());
        let caller = principal(Some(session()));
        let issue = async |caller: &Principal| {
            tickets.issue(caller, "app.test", "/a", (NOW, at)).await.unwrap()
        };
        for _ in 0..PER_SESSION.get() {
            assert!(issue(&caller).await.is_ok());
        }
        assert!(matches!(issue(&caller).await, Err(TicketRefusal::TooMany { .. })));
        assert!(issue(&principal(Some(session()))).await.is_ok(), "others have their own");
        assert!(matches!(issue(&principal(None)).await, Err(TicketRefusal::NoSession)));
        let memory = Ephemeral::memory();
        let few = Tickets { tickets: memory.tickets(KIND, 1), rates: memory.rates(1) };
        assert!(few.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap().is_ok());
        let refused = few.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap();
        assert_eq!(refused.unwrap_err(), TicketRefusal::Full);
    }

    #[tokio::test]
    async fn of_many_who_bring_one_ticket_one_is_let_in() {
        let (tickets, at) = (Tickets::new(&Ephemeral::memory()), Instant::now());
        let caller = principal(Some(session()));
        let ticket = tickets.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap().unwrap();
        let bring = |_| redeem(&tickets, &ticket, "app.test", "/a", NOW);
        let let_in = futures_util::future::join_all((0..50).map(bring)).await;
        assert_eq!(let_in.into_iter().filter(|let_in| *let_in).count(), 1);
    }
}
