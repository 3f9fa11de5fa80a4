//! A verified credential and its session.

use std::sync::Arc;

use guarita_core::{Identity, SessionId, Timestamp};

/// Whose it is, which session it hangs on, and the moment whose roles the identity has; when the
/// credential itself ends, and whether a browser may have sent it by itself.
#[derive(Debug)]
pub(super) struct VerifiedCredential {
    pub(super) identity: Arc<Identity>,
    /// None where it hangs on none of ours.
    pub(super) session: Option<SessionId>,
    pub(super) as_of: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
    pub(super) ambient: bool,
}
