//! Audit events other than forwarded requests.

use std::time::Duration;

use guarita_core::{ApiKeyId, SessionId, UserId};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $error:literal;)+) => {
        /// The name of an event: `event` in the audit file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name { $($(#[$doc])* $name),+ }

        impl Name {
            /// All names.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// The name as written.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Whether it is an error, which is also logged.
            pub(crate) const fn is_error(self) -> bool {
                match self { $(Self::$name => $error),+ }
            }
        }
    };
}

names! {
    /// A login succeeded.
    LoginSucceeded = "auth.login.succeeded", false;
    /// A login was rejected.
    LoginFailed = "auth.login.failed", false;
    /// A login was rejected because the account is locked.
    LoginLocked = "auth.login.locked", false;
    /// A request was rejected by a rate limit.
    RateLimited = "auth.rate_limited", false;
    /// A refresh token was exchanged.
    RefreshSucceeded = "auth.refresh.succeeded", false;
    /// A refresh token was rejected.
    RefreshFailed = "auth.refresh.failed", false;
    /// A used refresh token was presented again: its family is revoked.
    RefreshReuse = "auth.refresh.reuse_detected", true;
    /// One session ended.
    Logout = "auth.logout", false;
    /// All sessions of a user ended.
    LogoutAll = "auth.logout_all", false;
    /// A client ended a session by one of its tokens.
    TokenRevoked = "auth.token.revoked", false;
    /// Client authentication failed at introspection or revocation.
    ClientRefused = "auth.client.refused", false;
    /// A provider's subject was linked to an account, or one was created for it.
    ProviderLinked = "auth.provider.linked", false;
    /// A request in progress was aborted with its session.
    StreamClosed = "session.stream_closed", false;
    /// A WebSocket was opened.
    WebSocketOpened = "ws.connection.opened", false;
    /// A WebSocket was rejected by the gateway or the upstream.
    WebSocketRejected = "ws.connection.rejected", false;
    /// A WebSocket was closed.
    WebSocketClosed = "ws.connection.closed", false;
    /// Enrolment of a second factor was started.
    MfaEnrollStarted = "mfa.enroll.started", false;
    /// A second factor became active.
    MfaEnrollConfirmed = "mfa.enroll.confirmed", false;
    /// Enrolment of a second factor was rejected: re-authentication is required.
    MfaEnrollRefused = "mfa.enroll.refused", false;
    /// The recovery codes were replaced.
    MfaEnrollRenewed = "mfa.enroll.codes_renewed", false;
    /// A second factor was removed.
    MfaEnrollDisabled = "mfa.enroll.disabled", false;
    /// A second factor was verified.
    MfaChallengeSucceeded = "mfa.challenge.succeeded", false;
    /// A code or ticket was invalid.
    MfaChallengeFailed = "mfa.challenge.failed", false;
    /// A used code was sent again.
    MfaChallengeReplayed = "mfa.challenge.replayed", false;
    /// Too many wrong codes.
    MfaChallengeLocked = "mfa.challenge.locked", false;
    /// A password was changed by its user.
    PasswordChanged = "auth.password.changed", false;
    /// A change of password was rejected: the current one was wrong, or the new one too weak.
    PasswordUnchanged = "auth.password.refused", false;
    /// A link to reset a password was requested.
    RecoveryRequested = "recovery.requested", false;
    /// A password was reset with a link.
    RecoveryCompleted = "recovery.completed", false;
    /// A link was invalid, or the new password too weak.
    RecoveryFailed = "recovery.failed", false;
    /// A link to verify an address was requested.
    VerificationRequested = "verification.requested", false;
    /// An address was verified with a link.
    VerificationCompleted = "verification.completed", false;
    /// A link was invalid.
    VerificationFailed = "verification.failed", false;
    /// A configuration was applied.
    ReloadSucceeded = "config.reload.succeeded", false;
    /// A configuration was rejected; the current one is kept.
    ReloadFailed = "config.reload.failed", true;
    /// An operator's command succeeded.
    CommandSucceeded = "admin.command.succeeded", false;
    /// An operator's command was refused or failed.
    CommandFailed = "admin.command.failed", false;
    /// The keys in the database changed and were reloaded.
    KeysChanged = "keys.changed", false;
    /// The newest audit file did not end cleanly.
    AuditResumed = "audit.resumed", false;
    /// The gateway started.
    Started = "server.started", false;
    /// The gateway stopped.
    Stopped = "server.stopped", false;
}

/// An event. Fields that are not set are not written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// The name.
    pub(crate) name: Name,
    /// The request id.
    pub(crate) request_id: Option<&'a str>,
    /// The account; masked.
    pub(crate) user: Option<UserId>,
    /// The subject's name; e-mail addresses and CPFs are masked.
    pub(crate) subject: Option<&'a str>,
    /// The session.
    pub(crate) session: Option<SessionId>,
    /// The named API key.
    pub(crate) api_key: Option<ApiKeyId>,
    /// The client's address.
    pub(crate) address: Option<std::net::IpAddr>,
    /// The route, by its path pattern.
    pub(crate) route: Option<&'a str>,
    /// The reason, one of a fixed set.
    pub(crate) reason: Option<&'a str>,
    /// The duration; written in milliseconds.
    pub(crate) duration: Option<Duration>,
}

impl Event<'_> {
    /// An event with only a name.
    pub(crate) const fn new(name: Name) -> Self {
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
