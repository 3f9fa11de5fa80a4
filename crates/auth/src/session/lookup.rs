//! Looks up a session in the database.

use super::status::UserStatus;
use guarita_core::{SessionId, Timestamp};
use guarita_store::{Store, StoreError};

/// An active session.
#[derive(Debug)]
pub(super) struct ActiveSession {
    pub(super) expires_at: Timestamp,
    pub(super) second_factor: bool,
    pub(super) standing: UserStatus,
}

/// Looks up a session; [`None`] if it is not active.
pub(super) async fn find(
    store: &Store,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<ActiveSession>, StoreError> {
    let mut transaction = store.read().await?;
    let Some(session) = transaction.find_session(session).await? else { return Ok(None) };
    if !session.is_live(now) {
        return Ok(None);
    }
    let user = transaction.find_user(session.user).await?;
    let Some(user) = user.filter(|user| user.active) else { return Ok(None) };
    let roles = transaction.roles_of(user.id).await?;
    let standing = UserStatus {
        user: user.id,
        roles,
        roles_changed_at: user.roles_changed_at,
        second_factor_required: user.second_factor_required,
    };
    let second_factor = session.second_factor_at.is_some();
    Ok(Some(ActiveSession { expires_at: session.expires_at, second_factor, standing }))
}
