//! A verified credential and its session.

use std::sync::Arc;

use guarita_core::{Identity, SessionId, Timestamp};

/// A verified credential: its identity, its session, the time as of which the identity has its roles, when the
/// credential itself expires, and whether a browser may have sent it automatically.
#[derive(Debug)]
pub(super) struct VerifiedCredential {
    pub(super) identity: Arc<Identity>,
    /// [`None`] if it depends on no local session.
    pub(super) session: Option<SessionId>,
    pub(super) as_of: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
    pub(super) ambient: bool,
}
