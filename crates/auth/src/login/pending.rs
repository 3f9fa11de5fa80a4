//! A pending login: the password was right, and the second factor is missing.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

use super::{Identifier, SessionKind};
use crate::login::request::LoginRequest;
use guarita_core::{Secret, Timestamp, UserId};
use guarita_store::Device;

/// A pending login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "PendingLoginRecord", from = "PendingLoginRecord")]
pub(super) struct PendingLogin {
    pub(super) user: UserId,
    /// The hash that the password was verified with: if the account has another one by then, no session is opened.
    pub(super) verified: Secret,
    /// The known device that it comes from.
    pub(super) device: Option<Device>,
    /// The new hash of the account, if it is to be replaced.
    pub(super) hash: Secret,
    /// Without the password.
    pub(super) visit: LoginRequest,
}

/// The serialized form, which is encrypted for the ticket; another gateway may receive it.
#[derive(Serialize, Deserialize)]
struct PendingLoginRecord {
    user: i64,
    #[serde(serialize_with = "exposed")]
    verified: Secret,
    #[serde(serialize_with = "exposed")]
    hash: Secret,
    known: Option<KnownDeviceRecord>,
    opens: Opening,
    #[serde(serialize_with = "exposed_too")]
    device_token: Option<Secret>,
    address: Option<IpAddr>,
    user_agent: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KnownDeviceRecord {
    digest: String,
    user: i64,
    expires_at: i64,
    locked_until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Opening {
    AccessToken,
    Tokens,
    Cookie,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn exposed_too<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

impl From<PendingLogin> for PendingLoginRecord {
    fn from(held: PendingLogin) -> Self {
        let LoginRequest { opens, device, address, user_agent, identifier: _, password: _ } =
            held.visit;
        Self {
            user: held.user.get(),
            verified: held.verified,
            hash: held.hash,
            known: held.device.map(|device| KnownDeviceRecord {
                digest: device.digest,
                user: device.user.get(),
                expires_at: device.expires_at.seconds(),
                locked_until: device.locked_until.map(Timestamp::seconds),
            }),
            opens: match opens {
                SessionKind::AccessToken => Opening::AccessToken,
                SessionKind::Tokens => Opening::Tokens,
                SessionKind::Cookie => Opening::Cookie,
            },
            device_token: device,
            address,
            user_agent,
        }
    }
}

impl From<PendingLoginRecord> for PendingLogin {
    fn from(written: PendingLoginRecord) -> Self {
        Self {
            user: UserId::new(written.user),
            verified: written.verified,
            hash: written.hash,
            device: written.known.map(|known| Device {
                digest: known.digest,
                user: UserId::new(known.user),
                expires_at: Timestamp::from_seconds(known.expires_at),
                locked_until: known.locked_until.map(Timestamp::from_seconds),
            }),
            visit: LoginRequest {
                // Both were looked at before: what follows goes by the account.
                identifier: Identifier::Username(String::new()),
                password: Secret::new(""),
                opens: match written.opens {
                    Opening::AccessToken => SessionKind::AccessToken,
                    Opening::Tokens => SessionKind::Tokens,
                    Opening::Cookie => SessionKind::Cookie,
                },
                device: written.device_token,
                address: written.address,
                user_agent: written.user_agent,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_gateway_reads_is_what_this_one_wrote() {
        let held = PendingLogin {
            user: UserId::new(7),
            verified: Secret::new("$argon2id$old"),
            device: Some(Device {
                digest: "d".into(),
                user: UserId::new(7),
                expires_at: Timestamp::from_seconds(9),
                locked_until: None,
            }),
            hash: Secret::new("$argon2id$new"),
            visit: LoginRequest {
                identifier: Identifier::Username("alice".into()),
                password: Secret::new("hunter2"),
                opens: SessionKind::Cookie,
                device: Some(Secret::new("token")),
                address: Some(IpAddr::from([192, 0, 2, 1])),
                user_agent: Some("agent".into()),
            },
        };
        let text = serde_json::to_string(&held).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("alice"), "{text}");
        let read: PendingLogin = serde_json::from_str(&text).unwrap();
        assert_eq!((read.user, read.verified, read.hash), (held.user, held.verified, held.hash));
        assert_eq!(read.device.unwrap().digest, "d");
        assert_eq!(
            (read.visit.opens, read.visit.address),
            (SessionKind::Cookie, held.visit.address)
        );
        assert_eq!(
            (read.visit.device, read.visit.user_agent),
            (held.visit.device, held.visit.user_agent)
        );
    }
}
