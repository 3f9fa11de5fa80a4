//! Events: one type per happening, which knows its log line, its metric and its audit line.
//!
//! Whoever observes the happening builds the value and calls `emit` once; what is written is decided here. An event
//! takes what it writes to: [`Telemetry`] and the time if it has a metric or an audit line, nothing if it is only logged.
//! Its names are those of `docs/operations.md`; the tests compare them.

mod admin;
mod audit_file;
mod config_reload;
mod ephemeral;
mod keys;
mod log_name;
mod login;
mod mail;
mod mfa;
mod origin;
mod password;
mod provider;
mod rate_limit;
mod recovery;
mod refresh;
mod request;
mod server;
mod session;
mod telemetry;
#[cfg(test)]
mod tests;
mod token;
mod websocket;

pub use admin::CommandEnded;
pub(crate) use audit_file::{AuditResumed, AuditSealed};
pub use config_reload::{
    ConfigWarning, ConfigWatchFailed, ReloadFailed, ReloadSucceeded, RestartNeeded,
};
pub use ephemeral::{EphemeralDown, EphemeralLate, EphemeralUp, OnUnknownServing};
pub use keys::{
    KeyAlgorithmKept, KeyAnnounced, KeyRotationFailed, KeysMade, KeysRead, KeysRefused, KeysTaken,
    KeysUnread,
};
pub use login::{
    LoginFailed, LoginLocked, LoginPending, LoginRateLimited, LoginSucceeded, ProviderLoginFailed,
};
pub use mail::{MailExpired, MailFailed, MailSent};
pub use mfa::{
    ChallengeFailed, ChallengeLocked, ChallengeReplayed, ChallengeSucceeded, EnrolmentConfirmed,
    EnrolmentDisabled, EnrolmentRefused, EnrolmentStarted, RecoveryCodesRenewed,
};
pub use origin::{Caller, Origin};
pub use password::{PasswordChanged, PasswordRefused};
pub use provider::{
    ProviderKeysChanged, ProviderKeysFailed, ProviderLinked, ProviderMetadataFailed,
};
pub use rate_limit::RateLimited;
pub use recovery::{
    RecoveryCompleted, RecoveryFailed, RecoveryRequested, VerificationCompleted,
    VerificationFailed, VerificationRequested,
};
pub use refresh::{RefreshFailed, RefreshReused, RefreshSucceeded};
pub use request::{
    ForwardingFailure, OwnRequest, RequestForwarded, RequestRejected, RequestUnrouted,
};
pub use server::{
    ClockRight, ClockWrong, Listening, MailMissing, ServerClosing, ServerDraining, ServerStarted,
    ServerStopped,
};
pub use session::{LoggedOut, LoggedOutEverywhere, StreamClosed};
pub use telemetry::Telemetry;
pub use token::{ClientRejected, TokenRevoked};
pub use websocket::{WebSocketClosed, WebSocketOpened, WebSocketRejected};
