//! Where an event comes from.

use std::net::IpAddr;

use crate::audit::{Event, Name};
use guarita_core::{ApiKeyId, Identity, SessionId, UserId};

/// The request to an endpoint that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The client's address.
    pub address: IpAddr,
}

impl<'a> Origin<'a> {
    /// An audit event of this request.
    pub(super) const fn event(self, name: Name) -> Event<'a> {
        Event { request_id: Some(self.request_id), address: Some(self.address), ..Event::new(name) }
    }
}

/// The caller of a forwarded request that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The account.
    pub user: Option<UserId>,
    /// The session.
    pub session: Option<SessionId>,
    /// The named API key.
    pub api_key: Option<ApiKeyId>,
}

impl<'a> Caller<'a> {
    /// The caller with this identity, if it has one.
    pub fn new(request_id: &'a str, identity: Option<&Identity>) -> Self {
        Self {
            request_id,
            user: identity.and_then(Identity::user),
            session: identity.and_then(Identity::session),
            api_key: identity.and_then(Identity::api_key),
        }
    }

    /// An audit event of this caller.
    pub(super) const fn event(self, name: Name) -> Event<'a> {
        Event {
            request_id: Some(self.request_id),
            user: self.user,
            session: self.session,
            api_key: self.api_key,
            ..Event::new(name)
        }
    }
}
