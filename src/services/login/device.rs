//! Devices that an account is known from (decision 0006). Knowing one proves nothing of who uses it:
//! it only decides where failures are counted.

use std::time::Duration;

use super::Fault;
use crate::adapters::store::{self, Device, Transaction};
use crate::model::{Secret, Timestamp, UserId, random};
use crate::rules::token::opaque;

/// How long a device stays known after its last login.
pub const LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// Known devices per account; those not used for longest are forgotten.
const MOST: i64 = 50;
/// Longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 256;

/// The device that keeps the token, while it is known.
pub(super) async fn find(
    transaction: &mut Transaction,
    token: Option<&Secret>,
    now: Timestamp,
) -> Result<Option<Device>, store::Fault> {
    let Some(token) = token.filter(|token| token.expose().len() <= MAX_LENGTH) else {
        return Ok(None);
    };
    let device = transaction.find_device(&opaque::digest(token.expose())).await?;
    Ok(device.filter(|device| now < device.expires_at))
}

/// The device after a login from it.
pub(super) fn used(device: &Device, now: Timestamp) -> Device {
    Device { expires_at: now.plus(LIFETIME), ..device.clone() }
}

/// Makes the device of a login known, beside so many others; the token that it is to keep.
pub(super) async fn remember(
    transaction: &mut Transaction,
    user: UserId,
    others: i64,
    now: Timestamp,
) -> Result<Secret, Fault> {
    let token = random::token()?;
    let digest = opaque::digest(token.expose());
    let new = Device { digest, user, expires_at: now.plus(LIFETIME), locked_until: None };
    transaction.insert_device(&new, now).await?;
    if others >= MOST {
        transaction.forget_oldest_devices(user, MOST).await?;
    }
    Ok(token)
}
