//! The names of events in the log. Errors in the audit file are logged by their audit name, too.

macro_rules! names {
    ($($name:ident = $text:literal;)+) => {
        /// The name of an event: `event` in the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum LogName { $($name),+ }

        impl LogName {
            /// All names.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// The name as written.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

names! {
    Listening = "listening";
    ServerStarted = "server.started";
    ServerDraining = "server.draining";
    ServerClosing = "server.closing";
    ConfigWarning = "config.warning";
    MailNone = "mail.none";
    ReloadSucceeded = "config.reload.succeeded";
    ReloadFailed = "config.reload.failed";
    RestartNeeded = "config.reload.restart_needed";
    WatchFailed = "config.watch.failed";
    EphemeralDown = "ephemeral.down";
    EphemeralUp = "ephemeral.up";
    EphemeralLate = "ephemeral.late";
    OnUnknownServing = "on_unknown.serving";
    ClockWrong = "clock.wrong";
    ClockRight = "clock.right";
    KeysMade = "keys.made";
    KeysAnnounced = "keys.announced";
    KeysTaken = "keys.taken";
    KeysRead = "keys.read";
    KeysUnread = "keys.unread";
    KeysRefused = "keys.refused";
    KeysAlgorithm = "keys.algorithm";
    KeysRotationFailed = "keys.rotation_failed";
    ProviderKeysChanged = "provider.keys.changed";
    ProviderKeysFailed = "provider.keys.failed";
    ProviderMetadataFailed = "provider.metadata.failed";
    AuditSeal = "audit.seal";
    AuditResumed = "audit.resumed";
}
