//! Samples of events: what each of them is to write.

use super::*;

/// An event, and what it is expected to write.
pub(super) struct Sample {
    /// The `event` of the audit line.
    pub(super) audit: Option<&'static str>,
    /// The level and the `event` of the log lines that have one.
    pub(super) log: &'static [&'static str],
    /// The series that change, without buckets and sums of histograms.
    pub(super) metrics: &'static [&'static str],
    pub(super) emit: Box<dyn FnOnce(&Telemetry)>,
}

impl Sample {
    pub(super) fn new(emit: impl FnOnce(&Telemetry) + 'static) -> Self {
        Self { audit: None, log: &[], metrics: &[], emit: Box::new(emit) }
    }

    pub(super) fn audit(self, name: &'static str) -> Self {
        Self { audit: Some(name), ..self }
    }

    pub(super) fn log(self, log: &'static [&'static str]) -> Self {
        Self { log, ..self }
    }

    pub(super) fn metrics(self, metrics: &'static [&'static str]) -> Self {
        Self { metrics, ..self }
    }
}

pub(super) fn origin() -> Origin<'static> {
    Origin { request_id: "r-1", address: [192, 0, 2, 1].into() }
}

pub(super) fn caller() -> Caller<'static> {
    Caller { request_id: "r-1", user: Some(user()), session: Some(session()), api_key: None }
}

pub(super) fn user() -> UserId {
    UserId::new(1234)
}

pub(super) fn session() -> SessionId {
    SessionId::parse("01932c07-7f0c-7d5e-8a00-0123456789ab").unwrap()
}

pub(super) fn line(status: u16) -> RequestLine<'static> {
    RequestLine {
        request_id: "r-1",
        principal: None,
        method: "GET",
        path: "/orders",
        status,
        last_known: false,
        duration: Duration::from_millis(1),
    }
}

/// An event at login, with whatever `build` makes of a request, an account and a session.
pub(super) fn about<E: 'static>(
    build: impl FnOnce(Origin<'static>, UserId, SessionId) -> E + 'static,
    emit: fn(E, &Telemetry, Timestamp),
) -> Sample {
    Sample::new(move |telemetry| emit(build(origin(), user(), session()), telemetry, NOW))
}

pub(super) fn logins() -> Vec<Sample> {
    vec![
        about(
            |origin, user, session| LoginSucceeded { origin, user, session, by_provider: false },
            LoginSucceeded::emit,
        )
        .audit("auth.login.succeeded")
        .metrics(&[r#"guarita_logins_total{result="succeeded"}"#]),
        about(|origin, _, _| LoginFailed { origin, reason: "busy" }, LoginFailed::emit)
            .audit("auth.login.failed")
            .metrics(&[r#"guarita_logins_total{result="busy"}"#]),
        about(
            |origin, _, _| ProviderLoginFailed {
                origin,
                provider: "corporate",
                reason: "unknown_state",
                failure: "no such login",
            },
            ProviderLoginFailed::emit,
        )
        .audit("auth.login.failed")
        .metrics(&[r#"guarita_logins_total{result="unknown_state"}"#]),
        about(|origin, _, _| LoginLocked { origin }, LoginLocked::emit)
            .audit("auth.login.locked")
            .metrics(&[r#"guarita_logins_total{result="locked"}"#]),
        Sample::new(|telemetry| LoginRateLimited.emit(telemetry))
            .metrics(&[r#"guarita_logins_total{result="rate_limited"}"#]),
        Sample::new(|telemetry| LoginPending.emit(telemetry))
            .metrics(&[r#"guarita_logins_total{result="mfa_required"}"#]),
        about(
            |origin, _, _| RateLimited { origin, kind: "login", by: "source" },
            RateLimited::emit,
        )
        .audit("auth.rate_limited")
        .metrics(&[r#"guarita_rate_limited_total{by="source",kind="login"}"#]),
        about(
            |origin, user, session| ProviderLinked {
                origin: Some(origin),
                user,
                session,
                how: "created",
            },
            ProviderLinked::emit,
        )
        .audit("auth.provider.linked"),
    ]
}

pub(super) fn refreshes() -> Vec<Sample> {
    let request_id = "r-1";
    vec![
        about(
            move |_, user, session| RefreshSucceeded { request_id, user, session, repeated: false },
            RefreshSucceeded::emit,
        )
        .audit("auth.refresh.succeeded")
        .metrics(&[r#"guarita_refreshes_total{result="succeeded"}"#]),
        about(move |_, _, _| RefreshFailed { request_id, reason: "expired" }, RefreshFailed::emit)
            .audit("auth.refresh.failed")
            .metrics(&[r#"guarita_refreshes_total{result="expired"}"#]),
        about(
            move |_, user, session| RefreshReused { request_id, user, session },
            RefreshReused::emit,
        )
        .audit("auth.refresh.reuse_detected")
        .log(&["ERROR auth.refresh.reuse_detected"])
        .metrics(&[r#"guarita_refreshes_total{result="reused"}"#]),
    ]
}

pub(super) fn second_factors() -> Vec<Sample> {
    vec![
        about(
            |origin, user, session| EnrolmentStarted { origin, user, session },
            EnrolmentStarted::emit,
        )
        .audit("mfa.enroll.started"),
        about(
            |origin, user, session| EnrolmentConfirmed { origin, user, session },
            EnrolmentConfirmed::emit,
        )
        .audit("mfa.enroll.confirmed"),
        about(
            |origin, user, _| EnrolmentRefused { origin, user, reason: "proof_required" },
            EnrolmentRefused::emit,
        )
        .audit("mfa.enroll.refused"),
        about(
            |origin, user, session| RecoveryCodesRenewed { origin, user, session },
            RecoveryCodesRenewed::emit,
        )
        .audit("mfa.enroll.codes_renewed"),
        about(
            |origin, user, session| EnrolmentDisabled { origin, user, session },
            EnrolmentDisabled::emit,
        )
        .audit("mfa.enroll.disabled"),
        about(
            |origin, user, session| ChallengeSucceeded { origin, user, session },
            ChallengeSucceeded::emit,
        )
        .audit("mfa.challenge.succeeded")
        .metrics(&[r#"guarita_mfa_challenges_total{result="succeeded"}"#]),
        about(
            |origin, user, _| ChallengeFailed { origin, user: Some(user), reason: "failed" },
            ChallengeFailed::emit,
        )
        .audit("mfa.challenge.failed")
        .metrics(&[r#"guarita_mfa_challenges_total{result="failed"}"#]),
        about(|origin, user, _| ChallengeReplayed { origin, user }, ChallengeReplayed::emit)
            .audit("mfa.challenge.replayed")
            .metrics(&[r#"guarita_mfa_challenges_total{result="replayed"}"#]),
        about(|origin, user, _| ChallengeLocked { origin, user }, ChallengeLocked::emit)
            .audit("mfa.challenge.locked")
            .metrics(&[r#"guarita_mfa_challenges_total{result="locked"}"#]),
    ]
}

pub(super) fn accounts() -> Vec<Sample> {
    vec![
        about(
            |origin, user, session| PasswordChanged { origin, user, session },
            PasswordChanged::emit,
        )
        .audit("auth.password.changed"),
        about(
            |origin, user, session| PasswordRefused {
                origin,
                user,
                session,
                reason: "weak_password",
            },
            PasswordRefused::emit,
        )
        .audit("auth.password.refused"),
        about(|origin, _, _| RecoveryRequested { origin, user: None }, RecoveryRequested::emit)
            .audit("recovery.requested"),
        about(|origin, user, _| RecoveryCompleted { origin, user }, RecoveryCompleted::emit)
            .audit("recovery.completed"),
        about(
            |origin, _, _| RecoveryFailed { origin, user: None, reason: "invalid_token" },
            RecoveryFailed::emit,
        )
        .audit("recovery.failed"),
        about(
            |origin, user, _| VerificationRequested { origin, user: Some(user) },
            VerificationRequested::emit,
        )
        .audit("verification.requested"),
        about(
            |origin, user, _| VerificationCompleted { origin, user },
            VerificationCompleted::emit,
        )
        .audit("verification.completed"),
        about(
            |origin, _, _| VerificationFailed { origin, reason: "invalid_token" },
            VerificationFailed::emit,
        )
        .audit("verification.failed"),
    ]
}

pub(super) fn sessions() -> Vec<Sample> {
    vec![
        about(
            |origin, user, session| LoggedOut { origin, user: Some(user), session: Some(session) },
            LoggedOut::emit,
        )
        .audit("auth.logout"),
        about(
            |origin, user, _| LoggedOutEverywhere { origin, user: Some(user) },
            LoggedOutEverywhere::emit,
        )
        .audit("auth.logout_all"),
        about(
            |origin, _, session| TokenRevoked { origin, session: Some(session), client: "app" },
            TokenRevoked::emit,
        )
        .audit("auth.token.revoked"),
        about(
            |origin, _, _| ClientRejected { origin, reason: "invalid_client" },
            ClientRejected::emit,
        )
        .audit("auth.client.refused"),
    ]
}

pub(super) fn forwarded() -> Vec<Sample> {
    let duration = Duration::from_millis(1);
    vec![
        Sample::new(|telemetry| {
            StreamClosed { caller: caller(), reason: "revoked" }.emit(telemetry, NOW);
        })
        .audit("session.stream_closed")
        .metrics(&[r#"guarita_streams_closed_total{reason="revoked"}"#]),
        Sample::new(|telemetry| {
            WebSocketOpened { caller: caller(), route: "/ws" }.emit(telemetry, NOW);
        })
        .audit("ws.connection.opened")
        .metrics(&[
            r#"guarita_websocket_handshakes_total{result="opened"}"#,
            "guarita_websockets_open",
        ]),
        Sample::new(move |telemetry| {
            let (caller, route) = (caller(), Some("/ws"));
            WebSocketRejected { caller, route, reason: "upstream", duration }.emit(telemetry, NOW);
        })
        .audit("ws.connection.rejected")
        .metrics(&[r#"guarita_websocket_handshakes_total{result="rejected"}"#]),
        Sample::new(move |telemetry| {
            WebSocketClosed { caller: caller(), route: "/ws", reason: "idle", duration }
                .emit(telemetry, NOW);
        })
        .audit("ws.connection.closed")
        .metrics(&[r#"guarita_websockets_closed_total{reason="idle"}"#, "guarita_websockets_open"]),
        Sample::new(|telemetry| {
            let route = &telemetry.metrics().route("/orders");
            RequestForwarded { line: line(200), route, failure: None }.emit(telemetry, NOW);
        })
        .audit("request")
        .metrics(&[
            r#"guarita_request_duration_seconds_count{route="/orders"}"#,
            r#"guarita_requests_total{route="/orders",status="2xx"}"#,
        ]),
        Sample::new(move |telemetry| {
            RequestUnrouted { status: 404, duration }.emit(telemetry);
        })
        .metrics(&[
            r#"guarita_request_duration_seconds_count{route="none"}"#,
            r#"guarita_requests_total{route="none",status="4xx"}"#,
        ]),
        Sample::new(move |telemetry| OwnRequest { status: 200, duration }.emit(telemetry)).metrics(
            &[
                r#"guarita_request_duration_seconds_count{route="own"}"#,
                r#"guarita_requests_total{route="own",status="2xx"}"#,
            ],
        ),
        Sample::new(|telemetry| {
            RequestRejected { request_id: "r-1", code: Code::NotFound, status: 404 }
                .emit(telemetry);
        })
        .metrics(&[r#"guarita_refusals_total{code="not_found"}"#]),
    ]
}
