//! Tickets for WebSockets: an authenticated caller obtains one for a handshake in which its script cannot set
//! headers. Each can be used once, on any gateway that shares the backend.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::status::StatusUnavailable;
use super::ticket_record::TicketRecord;
use guarita_kv as ephemeral;
use guarita_kv::{CapacityReached, Counted, Ephemeral, KvUnavailable, Rate, RateCounters};
use serde::{Deserialize, Serialize};

use guarita_core::http::PresentedTicket;
use guarita_core::identity::InvalidIdentity;
use guarita_core::jose::{opaque, session_cookie};
use guarita_core::random;
use guarita_core::random::RandomFault;
use guarita_core::{Identity, Principal, Secret, SessionId, Timestamp};

/// The kind of these tickets in the backend.
const KIND: &str = "websocket";

/// Lifetime of a ticket.
pub const LIFETIME: Duration = Duration::from_secs(30);
/// Maximum number of unused tickets.
const CAPACITY: usize = 65_536;
/// Rate of tickets per session: so many per lifetime of a ticket, so at most twice as many are unused.
const PER_SESSION: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Maximum number of sessions whose tickets are counted.
const SESSIONS: usize = 65_536;

/// The content of a ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "TicketRecord", try_from = "TicketRecord")]
pub(super) struct Ticket {
    pub(super) identity: Arc<Identity>,
    pub(super) session: SessionId,
    pub(super) as_of: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
    /// A digest of host and path, so that its size is constant.
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

/// The verified ticket.
#[derive(Debug)]
pub struct Redeemed {
    /// The identity, with the source of the credential that obtained it.
    pub identity: Arc<Identity>,
    /// The session of that credential.
    pub session: SessionId,
    /// The time as of which the identity has its roles.
    pub as_of: Timestamp,
    /// When that credential expires, if it does.
    pub ends_at: Option<Timestamp>,
}

/// Why no ticket is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TicketRefusal {
    /// The caller has no session.
    NoSession,
    /// Too many tickets of this session.
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many tickets in total.
    Full,
    /// The shared backend is unavailable.
    OutOfReach,
}

/// Why a ticket could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TicketFault {
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] RandomFault),
    /// The caller's identity could not be serialized.
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
}

/// Issues and redeems tickets, each once. Only their digests are stored.
pub struct WsTickets {
    tickets: ephemeral::Tickets<Ticket>,
    rates: RateCounters,
}

impl std::fmt::Debug for WsTickets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl WsTickets {
    /// Creates it with this backend.
    pub fn new(ephemeral: &Ephemeral) -> Self {
        Self { tickets: ephemeral.tickets(KIND, CAPACITY), rates: ephemeral.rates(SESSIONS) }
    }

    /// Issues a ticket for this canonical host and path, valid for [`LIFETIME`].
    ///
    /// # Errors
    /// [`TicketFault`]
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
            Ok(Err(CapacityReached)) => Err(TicketRefusal::Full),
            Err(KvUnavailable) => Err(TicketRefusal::OutOfReach),
        })
    }

    /// Redeems a ticket. It is used up even if it is expired, or for another host or path.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if the shared backend is unavailable.
    pub async fn redeem(
        &self,
        presented: PresentedTicket<'_>,
        now: Timestamp,
    ) -> Result<Option<Redeemed>, StatusUnavailable> {
        if !session_cookie::is_secret(presented.secret.expose()) {
            return Ok(None);
        }
        let ticket = self.tickets.take(presented.secret, now).await;
        let Some(ticket) = ticket.map_err(|KvUnavailable| StatusUnavailable)? else {
            return Ok(None);
        };
        let meant = ticket.place == place(presented.host, presented.path);
        Ok(meant.then_some(Redeemed {
            identity: ticket.identity,
            session: ticket.session,
            as_of: ticket.as_of,
            ends_at: ticket.ends_at,
        }))
    }
}

/// The concatenation is unambiguous: no host has a slash, and every path begins with one.
fn place(host: &str, path: &str) -> String {
    opaque::digest(&[host, path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::{Roles, Source, Subject, UserId};

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
        tickets: &WsTickets,
        secret: &Secret,
        host: &str,
        path: &str,
        now: Timestamp,
    ) -> bool {
        tickets.redeem(PresentedTicket { secret, host, path }, now).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_ticket_is_good_once_for_one_place_and_for_seconds() {
        let (tickets, at) = (WsTickets::new(&Ephemeral::memory()), Instant::now());
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
        let (tickets, at) = (WsTickets::new(&Ephemeral::memory()), Instant::now());
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
        let few = WsTickets { tickets: memory.tickets(KIND, 1), rates: memory.rates(1) };
        assert!(few.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap().is_ok());
        let refused = few.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap();
        assert_eq!(refused.unwrap_err(), TicketRefusal::Full);
    }

    #[tokio::test]
    async fn of_many_who_bring_one_ticket_one_is_let_in() {
        let (tickets, at) = (WsTickets::new(&Ephemeral::memory()), Instant::now());
        let caller = principal(Some(session()));
        let ticket = tickets.issue(&caller, "app.test", "/a", (NOW, at)).await.unwrap().unwrap();
        let bring = |_| redeem(&tickets, &ticket, "app.test", "/a", NOW);
        let let_in = futures_util::future::join_all((0..50).map(bring)).await;
        assert_eq!(let_in.into_iter().filter(|let_in| *let_in).count(), 1);
    }
}
