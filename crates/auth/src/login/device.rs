//! Known devices of an account (decision 0007). A known device proves nothing about its user; it only determines
//! where failures are counted.

use std::time::Duration;

use super::TokenError;
use guarita_core::jose::opaque;
use guarita_core::{Secret, Timestamp, UserId, random};
use guarita_store as store;
use guarita_store::{Device, Transaction};

/// How long a device is known after its last login.
pub const LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// Maximum number of known devices per account; the least recently used ones are removed.
const MOST: i64 = 50;
/// Maximum length of a token, in bytes.
const MAX_LENGTH: usize = 256;

/// The known device of a token, if it is still known.
pub(super) async fn find(
    transaction: &mut Transaction,
    token: Option<&Secret>,
    now: Timestamp,
) -> Result<Option<Device>, store::StoreError> {
    let Some(token) = token.filter(|token| token.expose().len() <= MAX_LENGTH) else {
        return Ok(None);
    };
    let device = transaction.find_device(&opaque::digest(token.expose())).await?;
    Ok(device.filter(|device| now < device.expires_at))
}

/// Renews a device after a login from it.
pub(super) fn used(device: &Device, now: Timestamp) -> Device {
    Device { expires_at: now.plus(LIFETIME), ..device.clone() }
}

/// Makes the device of a login known, up to the limit; returns its token.
pub(super) async fn remember_device(
    transaction: &mut Transaction,
    user: UserId,
    others: i64,
    now: Timestamp,
) -> Result<Secret, TokenError> {
    let token = random::token()?;
    let digest = opaque::digest(token.expose());
    let new = Device { digest, user, expires_at: now.plus(LIFETIME), locked_until: None };
    transaction.insert_device(&new, now).await?;
    if others >= MOST {
        transaction.forget_oldest_devices(user, MOST).await?;
    }
    Ok(token)
}
