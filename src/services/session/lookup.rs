//! Looks up a session in the database.

use super::standing::UserStanding;
use crate::adapters::store::{Fault, Store};
use crate::model::{SessionId, Timestamp};

/// A session in force.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) expires_at: Timestamp,
    pub(super) second_factor: bool,
    pub(super) standing: UserStanding,
}

/// What the store says; `None` for a session that is not in force.
pub(super) async fn find(
    store: &Store,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<Found>, Fault> {
    let mut transaction = store.read().await?;
    let Some(session) = transaction.find_session(session).await? else { return Ok(None) };
    if !session.is_live(now) {
        return Ok(None);
    }
    let user = transaction.find_user(session.user).await?;
    let Some(user) = user.filter(|user| user.active) else { return Ok(None) };
    let roles = transaction.roles_of(user.id).await?;
    let standing = UserStanding {
        user: user.id,
        roles,
        roles_changed_at: user.roles_changed_at,
        second_factor_required: user.second_factor_required,
    };
    let second_factor = session.second_factor_at.is_some();
    Ok(Some(Found { expires_at: session.expires_at, second_factor, standing }))
}
