//! Audit events other than forwarded requests.

use std::time::Duration;

use guarita_core::{ApiKeyId, SessionId, UserId};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $error:literal;)+) => {
        /// The name of an event, as `event` in the audit file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Name { $($(#[$doc])* $name),+ }

        impl Name {
            /// As written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Whether it is an error, which the log repeats.
            pub const fn is_error(self) -> bool {
                match self { $(Self::$name => $error),+ }
            }
        }
    };
}

names! {
    /// A login ended in a session.
    LoginSucceeded = "auth.login.succeeded", false;
    /// A login was refused.
    LoginFailed = "auth.login.failed", false;
    /// A login was refused because the account is locked.
    LoginLocked = "auth.login.locked", false;
    /// A request was refused because there were too many from its source or at its account.
    RateLimited = "auth.rate_limited", false;
    /// A refresh token was exchanged.
    RefreshSucceeded = "auth.refresh.succeeded", false;
    /// A refresh token was refused.
    RefreshFailed = "auth.refresh.failed", false;
    /// A used refresh token came again: its family is revoked.
    RefreshReuse = "auth.refresh.reuse_detected", true;
    /// One session ended.
    Logout = "auth.logout", false;
    /// All sessions of a user ended.
    LogoutAll = "auth.logout_all", false;
    /// A client ended a session by one of its tokens.
    TokenRevoked = "auth.token.revoked", false;
    /// Who asked about a token or wanted it revoked is no client.
    ClientRefused = "auth.client.refused", false;
    /// A provider's subject was linked to an account, or one was made for it.
    ProviderLinked = "auth.provider.linked", false;
    /// An exchange under way was ended with its session.
    StreamClosed = "session.stream_closed", false;
    /// A WebSocket is open.
    WebSocketOpened = "ws.connection.opened", false;
    /// A WebSocket was not let in, or its upstream did not take it.
    WebSocketRejected = "ws.connection.rejected", false;
    /// A WebSocket that was open is closed.
    WebSocketClosed = "ws.connection.closed", false;
    /// A second factor was begun.
    MfaEnrollStarted = "mfa.enroll.started", false;
    /// A second factor became active.
    MfaEnrollConfirmed = "mfa.enroll.confirmed", false;
    /// A second factor was not begun: the session alone was not enough.
    MfaEnrollRefused = "mfa.enroll.refused", false;
    /// There are other recovery codes.
    MfaEnrollRenewed = "mfa.enroll.codes_renewed", false;
    /// A second factor was removed.
    MfaEnrollDisabled = "mfa.enroll.disabled", false;
    /// A second factor was proven.
    MfaChallengeSucceeded = "mfa.challenge.succeeded", false;
    /// A code or a ticket did not count.
    MfaChallengeFailed = "mfa.challenge.failed", false;
    /// A code came again.
    MfaChallengeReplayed = "mfa.challenge.replayed", false;
    /// Too many wrong codes.
    MfaChallengeLocked = "mfa.challenge.locked", false;
    /// A person set another password by the one in force.
    PasswordChanged = "auth.password.changed", false;
    /// The password in force was not shown, or the new one was too weak.
    PasswordUnchanged = "auth.password.refused", false;
    /// Somebody asked for a link to set a new password.
    RecoveryRequested = "recovery.requested", false;
    /// A new password was set by a link.
    RecoveryCompleted = "recovery.completed", false;
    /// A link did not count, or the new password was too weak.
    RecoveryFailed = "recovery.failed", false;
    /// Somebody asked for a link to prove an address.
    VerificationRequested = "verification.requested", false;
    /// An address was proven by a link.
    VerificationCompleted = "verification.completed", false;
    /// A link did not count.
    VerificationFailed = "verification.failed", false;
    /// A new configuration is in force.
    ReloadSucceeded = "config.reload.succeeded", false;
    /// A configuration was refused; the old one stays.
    ReloadFailed = "config.reload.failed", true;
    /// An operator's command did what it was told.
    CommandSucceeded = "admin.command.succeeded", false;
    /// An operator's command was refused, or failed.
    CommandFailed = "admin.command.failed", false;
    /// Other keys of the database are in force.
    KeysChanged = "keys.changed", false;
    /// The newest audit file did not end as a stop leaves it.
    AuditResumed = "audit.resumed", false;
    /// The gateway serves.
    Started = "server.started", false;
    /// The gateway stopped.
    Stopped = "server.stopped", false;
}

/// One event. What is not set is not written.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub name: Name,
    /// Under which request.
    pub request_id: Option<&'a str>,
    /// Whose account; written masked.
    pub user: Option<UserId>,
    /// Whom it is about, by name; written masked where it is an address or a CPF.
    pub subject: Option<&'a str>,
    /// Which session.
    pub session: Option<SessionId>,
    /// Which named API key.
    pub api_key: Option<ApiKeyId>,
    /// From which address.
    pub address: Option<std::net::IpAddr>,
    /// On which route, by its path as configured.
    pub route: Option<&'a str>,
    /// Why, in one of our own words.
    pub reason: Option<&'a str>,
    /// For how long; written in milliseconds.
    pub duration: Option<Duration>,
}

impl Event<'_> {
    /// An event of which only the name is known yet.
    pub const fn new(name: Name) -> Self {
        Self {
            name,
            request_id: None,
            user: None,
            subject: None,
            session: None,
            api_key: None,
            address: None,
            route: None,
            reason: None,
            duration: None,
        }
    }
}
