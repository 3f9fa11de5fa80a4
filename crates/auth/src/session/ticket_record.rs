//! The content of a WebSocket ticket, encrypted for the gateway that receives it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ticket::Ticket;
use guarita_core::{
    Identity, RevocationKeys, Roles, Scopes, SessionId, Source, Subject, Timestamp, UserId,
};

/// The content as plain text and numbers.
#[derive(Serialize, Deserialize)]
pub(super) struct TicketRecord {
    subject: String,
    user: Option<i64>,
    session: String,
    roles: Vec<String>,
    source: From,
    jti: Option<String>,
    second_factor: bool,
    of_provider: bool,
    provider_roles: bool,
    scopes: Vec<String>,
    marks: Option<Arc<RevocationKeys>>,
    as_of: i64,
    ends_at: Option<i64>,
    place: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    ApiKey,
    Bearer,
    Session,
}

impl std::convert::From<Ticket> for TicketRecord {
    fn from(ticket: Ticket) -> Self {
        let identity = &ticket.identity;
        Self {
            subject: identity.subject().as_str().to_owned(),
            user: identity.user().map(UserId::get),
            session: ticket.session.to_string(),
            roles: identity.roles().iter().map(str::to_owned).collect(),
            source: match identity.source() {
                Source::ApiKey => From::ApiKey,
                Source::Bearer => From::Bearer,
                Source::Session => From::Session,
            },
            jti: identity.token_id().map(str::to_owned),
            second_factor: identity.second_factor(),
            of_provider: identity.is_of_provider(),
            provider_roles: identity.has_provider_roles(),
            scopes: identity.scopes().iter().map(str::to_owned).collect(),
            marks: identity.marks().cloned(),
            as_of: ticket.as_of.seconds(),
            ends_at: ticket.ends_at.map(Timestamp::seconds),
            place: ticket.place,
        }
    }
}

/// The format is not that of this version.
#[derive(Debug, thiserror::Error)]
#[error("a ticket has an unknown format")]
pub(super) struct Unreadable;

impl TryFrom<TicketRecord> for Ticket {
    type Error = Unreadable;

    fn try_from(written: TicketRecord) -> Result<Self, Unreadable> {
        let session = SessionId::parse(&written.session).ok_or(Unreadable)?;
        let roles = Roles::parse(written.roles.iter().map(String::as_str));
        let scopes = Scopes::parse(written.scopes.iter().map(String::as_str));
        let identity = Identity::new(
            Subject::parse(&written.subject).map_err(|_| Unreadable)?,
            written.user.map(UserId::new),
            Some(session),
            roles.map_err(|_| Unreadable)?,
            match written.source {
                From::ApiKey => Source::ApiKey,
                From::Bearer => Source::Bearer,
                From::Session => Source::Session,
            },
            written.jti.as_deref(),
        );
        let identity = identity.map_err(|_| Unreadable)?;
        let identity = identity
            .with_second_factor(written.second_factor)
            .with_scopes(scopes.map_err(|_| Unreadable)?);
        let identity = if written.of_provider { identity.of_provider() } else { identity };
        let identity =
            if written.provider_roles { identity.with_provider_roles() } else { identity };
        let identity = match written.marks {
            Some(marks) => identity.with_marks(marks),
            None => identity,
        };
        Ok(Self {
            identity: Arc::new(identity),
            session,
            as_of: Timestamp::from_seconds(written.as_of),
            ends_at: written.ends_at.map(Timestamp::from_seconds),
            place: written.place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::revocation_key::Said;
    use guarita_core::{Scope, random};

    #[test]
    fn what_another_gateway_reads_is_what_this_one_wrote() {
        let session = SessionId::new(random::ordered_uuid());
        let roles = Roles::parse(["b", "a"]).unwrap();
        let subject = Subject::parse("alice").unwrap();
        let user = Some(UserId::new(7));
        let identity =
            Identity::new(subject, user, Some(session), roles, Source::Session, Some("t")).unwrap();
        let scopes = Scopes::new(vec![Scope::parse("read").unwrap()]).unwrap();
        let identity = identity
            .with_second_factor(true)
            .with_scopes(scopes)
            .of_provider()
            .with_provider_roles()
            .with_marks(Arc::new(RevocationKeys::new(Said {
                issuer: "https://login.test",
                token_id: Some("t"),
                session: Some("s"),
                subject: "alice",
                also: ["7"; 2],
                issued_at: Timestamp::from_seconds(5),
                expires_at: Timestamp::from_seconds(9),
            })));
        let ticket = Ticket {
            identity: Arc::new(identity),
            session,
            as_of: Timestamp::from_seconds(5),
            ends_at: Some(Timestamp::from_seconds(9)),
            place: "place".into(),
        };
        let text = serde_json::to_string(&ticket).unwrap();
        let read: Ticket = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.identity.subject_header(), "alice");
        assert_eq!(read.identity.roles().header(), "a,b");
        assert_eq!(read.identity.marks(), ticket.identity.marks());
        assert!(read.identity.is_of_provider() && read.identity.has_provider_roles());
        assert_eq!(
            (read.as_of, read.ends_at, read.session),
            (ticket.as_of, ticket.ends_at, session)
        );
        assert!(serde_json::from_str::<Ticket>(&text.replace("alice", "a\\nb")).is_err());
    }
}
