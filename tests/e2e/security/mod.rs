//! Published mistakes of gateways and token libraries, one test per case, named by the case.
//!
//! Each test tries every variant of its case. Whatever the status: nobody is let in, nothing is forwarded that should not be, nothing is
//! revealed.

mod admin_exposure;
mod csrf_origin;
mod enumeration_timing;
mod header_spoofing;
mod hop_by_hop;
mod introspection;
mod jwks_dos;
mod jwt_claims;
mod jwt_forgery;
mod logging_leak;
mod mtls;
mod path_confusion;
mod rate_limit_lockout;
mod redirect;
mod recovery;
mod refresh;
mod resource_exhaustion;
mod session_revocation;
mod smuggling;
mod totp;
mod websocket;

use crate::harness::frames::{Frames, Outcome};
use crate::harness::{Gateway, HOST, Persona, Request, Response, Setup, Upstream, Wire};

/// The standard arrangement.
struct Stage {
    upstream: Upstream,
    gateway: Gateway,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    /// The standard arrangement, changed.
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        let gateway = change(Setup::standard(&upstream.url())).start().await;
        Self { upstream, gateway }
    }

    /// The standard arrangement with an upstream that is never ejected.
    async fn patient() -> Self {
        let upstream = Upstream::start().await;
        let setup = Setup::standard(&upstream.url()).without_table("[[upstreams]]").upstream_with(
            "u",
            &[&upstream.url()],
            "eject_after = 1000",
        );
        Self { upstream, gateway: setup.start().await }
    }

    #[track_caller]
    fn assert_nothing_forwarded(&self, what: &str) {
        let requests = self.upstream.requests();
        assert!(requests.is_empty(), "{what} was forwarded: {}", requests[0].text());
    }

    /// The target is refused with one of these statuses over HTTP/1.1 and HTTP/2, and nothing
    /// reaches the upstream.
    async fn refuses(&self, caller: &Persona, target: &str, statuses: &[u16]) {
        let answer = caller.get(target).await;
        assert!(statuses.contains(&answer.status), "{target}: {} {}", answer.status, answer.text());
        self.assert_nothing_forwarded(target);
        let outcome = self.ask_http2(caller, target, &[]).await;
        match outcome {
            Outcome::Status(status) => {
                assert!(statuses.contains(&status), "{target} over HTTP/2: {status}");
            }
            refused => assert!(refused.is_refusal(), "{target} over HTTP/2: {refused:?}"),
        }
        self.assert_nothing_forwarded(target);
    }

    /// One request over a fresh HTTP/2 connection.
    async fn ask_http2(&self, caller: &Persona, target: &str, more: &[(&str, &str)]) -> Outcome {
        let mut frames = Frames::connect(self.gateway.https(), &self.gateway.tls()).await;
        let credential = caller.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut fields =
            vec![(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", target)];
        fields.extend(credential.as_deref().map(|value| ("authorization", value)));
        fields.extend(more);
        frames.request(1, &fields, true).await;
        frames.outcome(1).await
    }

    /// Sends bytes over TLS and reads one answer.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> (Wire, Option<Response>) {
        let mut wire = self.gateway.secure_wire().await;
        wire.send(bytes).await;
        let answer = wire.answer().await;
        (wire, answer)
    }

    /// The bytes get one answer with one of these statuses, the connection closes after it, and
    /// nothing reaches the upstream.
    async fn refuses_bytes(&self, what: &str, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
        let (mut wire, answer) = self.raw(bytes).await;
        if let Some(answer) = answer {
            assert!(
                statuses.contains(&answer.status),
                "{what}: {} {}",
                answer.status,
                answer.text()
            );
        }
        let rest = wire.closed().await;
        assert!(rest.is_empty(), "{what}: more followed: {}", String::from_utf8_lossy(&rest));
        self.assert_nothing_forwarded(what);
    }

    async fn alice(&self) -> Persona {
        self.gateway.bearer("alice").await
    }

    async fn root(&self) -> Persona {
        self.gateway.bearer("root").await
    }

    fn anonymous(&self) -> Persona {
        self.gateway.anonymous()
    }

    /// A token is refused on an authenticated route, and nothing reaches the upstream.
    async fn refuses_token(&self, what: &str, token: &str) {
        let answer = self.anonymous().send(Request::get("/api/x").bearer(token)).await;
        assert!(
            matches!(answer.status, 400 | 401 | 431),
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        self.assert_nothing_forwarded(what);
    }
}

const SAME: &str = "Host: app.example.test\r\n";

/// A raw request to the standard host.
fn raw_request(line: &str, fields: &str, body: &str) -> String {
    format!("{line}\r\n{SAME}{fields}\r\n{body}")
}
