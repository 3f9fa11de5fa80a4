//! One canonical path for matching, judging and forwarding.

use super::{Stage, raw_request};
use crate::harness::frames::Frames;
use crate::harness::{HOST, Request, Upstream};

const REFUSED: [u16; 4] = [400, 401, 403, 404];

async fn all_refused(stage: &Stage, targets: &[&str], statuses: &[u16]) {
    for target in targets {
        stage.refuses(&stage.anonymous(), target, statuses).await;
    }
}

#[tokio::test]
async fn path_confusion_001_dot_segments_do_not_escape() {
    let stage = Stage::new().await;
    let targets = ["/public/../admin/x", "/public/./../admin/x", "/public/a/../../admin/x"];
    all_refused(&stage, &targets, &REFUSED).await;
}

#[tokio::test]
async fn path_confusion_002_nothing_is_decoded_twice() {
    let stage = Stage::new().await;
    for target in ["/public/%252e%252e/admin/x", "/public/%252e%252e%252fadmin/x"] {
        let answer = stage.anonymous().get(target).await;
        match answer.status {
            200 => assert_eq!(stage.upstream.last().target(), target),
            status => {
                assert!(REFUSED.contains(&status), "{target}: {status}");
                stage.assert_nothing_forwarded(target);
            }
        }
    }
}

#[tokio::test]
async fn path_confusion_003_path_parameters_do_not_hide_a_segment() {
    let stage = Stage::new().await;
    let targets =
        ["/public/..;/admin/x", "/public;x=1/../admin/x", "/admin;a=b/x", "/public/x;/../../admin"];
    all_refused(&stage, &targets, &REFUSED).await;
}

#[tokio::test]
async fn path_confusion_004_empty_segments_do_not_become_an_authority() {
    let stage = Stage::new().await;
    let targets = ["//admin/x", "///admin/x", "/public//../admin/x", "//public/..//admin"];
    all_refused(&stage, &targets, &REFUSED).await;
}

#[tokio::test]
async fn path_confusion_005_encoded_delimiters_stay_data() {
    let stage = Stage::new().await;
    all_refused(&stage, &["/admin/x%23/public", "/admin/x%3f/public"], &[401, 403, 404]).await;
}

#[tokio::test]
async fn path_confusion_006_malformed_percent_escapes_are_refused() {
    let stage = Stage::new().await;
    let targets = ["/admin/%", "/admin/%zz", "/admin/%2", "/admin/%u002e"];
    all_refused(&stage, &targets, &[400]).await;
}

#[tokio::test]
async fn path_confusion_007_absolute_form_is_judged_by_its_path() {
    let stage = Stage::new().await;
    let line = "GET https://app.example.test/admin/x HTTP/1.1";
    let (_wire, answer) = stage.raw(raw_request(line, "", "")).await;
    assert!([400, 401].contains(&answer.unwrap().status));
    stage.assert_nothing_forwarded(line);
}

#[tokio::test]
async fn path_confusion_008_two_authorities_that_differ_are_refused() {
    let stage = Stage::with(|setup| {
        setup.route("hosts = [\"open.example.test\"]\npath = \"/{*rest}\"\naccess = \"public\"")
    })
    .await;
    for (target, host) in
        [("app.example.test", "open.example.test"), ("open.example.test", "app.example.test")]
    {
        let bytes = format!("GET https://{target}/admin/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (_wire, answer) = stage.raw(&bytes).await;
        assert!([400, 401, 421].contains(&answer.unwrap().status), "{bytes}");
        stage.assert_nothing_forwarded(&bytes);
    }
}

#[tokio::test]
async fn path_confusion_009_connect_is_never_a_tunnel() {
    let stage = Stage::new().await;
    let bytes = raw_request("CONNECT app.example.test:443 HTTP/1.1", "", "");
    stage.refuses_bytes("CONNECT", bytes, &[400, 405, 501]).await;
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    frames
        .request(1, &[(":method", "CONNECT"), (":authority", "app.example.test:443")], true)
        .await;
    let outcome = frames.outcome(1).await;
    assert!(
        outcome.is_refusal() || outcome == crate::harness::frames::Outcome::Status(501),
        "{outcome:?}"
    );
    stage.assert_nothing_forwarded("CONNECT over HTTP/2");
}

#[tokio::test]
async fn path_confusion_010_asterisk_form_reaches_no_route() {
    let stage = Stage::new().await;
    let (_wire, answer) = stage.raw(raw_request("OPTIONS * HTTP/1.1", "", "")).await;
    assert!([200, 204, 400, 405].contains(&answer.unwrap().status));
    stage.assert_nothing_forwarded("OPTIONS *");
}

#[tokio::test]
async fn path_confusion_011_http2_paths_that_are_no_paths_are_refused() {
    let stage = Stage::new().await;
    for target in ["admin/x", "", "?x", "*", "/adm in", "\\admin"] {
        let outcome = stage.ask_http2(&stage.anonymous(), target, &[]).await;
        assert!(outcome.is_refusal(), "{target:?}: {outcome:?}");
        stage.assert_nothing_forwarded(target);
        // Nor for somebody who may use every route.
        let outcome = stage.ask_http2(&stage.root().await, target, &[]).await;
        assert!(outcome.is_refusal(), "{target:?} as root: {outcome:?}");
        stage.assert_nothing_forwarded(target);
    }
}

#[tokio::test]
async fn path_confusion_012_a_prefix_ends_at_a_segment() {
    let stage = Stage::new().await;
    let targets = ["/publicadmin", "/public-internal/x", "/public.bak"];
    all_refused(&stage, &targets, &[401, 403, 404]).await;
}

#[tokio::test]
async fn path_confusion_013_a_nested_route_keeps_its_own_policy() {
    let stage = Stage::with(|setup| {
        setup
            .route("path = \"/app/{*rest}\"")
            .route("path = \"/app/admin/{*rest}\"\nallow = { roles = [\"admin\"] }")
    })
    .await;
    let alice = stage.alice().await;
    for target in ["/app/%2e%2e/admin", "/app//admin", "/app%2fadmin", "/app/./admin/x"] {
        stage.refuses(&alice, target, &REFUSED).await;
        stage.refuses(&stage.anonymous(), target, &REFUSED).await;
    }
}

#[tokio::test]
async fn path_confusion_014_nothing_escapes_from_an_open_prefix() {
    let stage =
        Stage::with(|setup| setup.route("path = \"/v1/{*rest}\"\naccess = \"public\"")).await;
    all_refused(&stage, &["/v1/../admin/x", "/v1/%2e%2e/admin", "/v1//admin"], &REFUSED).await;
}

#[tokio::test]
async fn path_confusion_015_another_case_is_another_path() {
    let stage = Stage::new().await;
    all_refused(&stage, &["/ADMIN/x", "/Admin/x", "/%41dmin/x"], &[401, 403, 404]).await;
}

#[tokio::test]
async fn path_confusion_016_encoded_letters_are_the_letters() {
    let stage = Stage::new().await;
    stage.refuses(&stage.alice().await, "/%61%64min/x", &[403]).await;
    let root = stage.root().await;
    assert_eq!(root.get("/%61%64min/x").await.status, 200);
    assert_eq!(stage.upstream.only().target(), "/admin/x");
}

#[tokio::test]
async fn path_confusion_017_trailing_characters_do_not_change_the_route() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    for target in ["/admin/", "/admin", "/admin.", "/admin%20", "/admin%09", "/admin/x/"] {
        stage.refuses(&alice, target, &[400, 403, 404]).await;
    }
}

#[tokio::test]
async fn path_confusion_018_an_exact_path_ends_where_it_ends() {
    let stage = Stage::new().await;
    all_refused(&stage, &["/health%0a/admin", "/health%0d%0a", "/health/"], &[400, 401, 404]).await;
}

#[tokio::test]
async fn path_confusion_019_every_spelling_of_a_host_has_its_policy() {
    let stage = Stage::new().await;
    for host in
        ["APP.EXAMPLE.TEST", "app.example.test.", "app.example.test:443", "app.example.test.:443"]
    {
        let answer = stage.anonymous().at(host).get("/admin/x").await;
        assert!([400, 401, 421].contains(&answer.status), "{host}: {}", answer.status);
        let answer = stage.alice().await.at(host).get("/admin/x").await;
        assert!([400, 403, 421].contains(&answer.status), "{host}: {}", answer.status);
        stage.assert_nothing_forwarded(host);
    }
}

#[tokio::test]
async fn path_confusion_020_an_ambiguous_host_is_refused() {
    let stage = Stage::new().await;
    for host in [
        "",
        "Host: app.example.test\r\nHost: app.example.test\r\n",
        "Host: app.example.test\r\nHost: open.example.test\r\n",
        "Host: a, b\r\n",
        "Host: app.example.test/x\r\n",
        "Host: \r\n",
        "Host: app.example.test@evil.test\r\n",
    ] {
        for path in ["/public/x", "/admin/x"] {
            let bytes = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
            stage.refuses_bytes(&bytes, &bytes, &[400]).await;
        }
    }
}

#[tokio::test]
async fn path_confusion_021_the_query_never_opens_a_route() {
    let stage = Stage::with(|setup| setup.route("path = \"/t\"")).await;
    for target in ["/t?tenant=public&tenant=x", "/t?%74enant=public", "/t?tenant=public;x=1"] {
        stage.refuses(&stage.anonymous(), target, &[400, 401]).await;
    }
}

/// A small generator of the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_confusion_022_what_is_forwarded_is_what_was_judged() {
    const PIECES: [&str; 22] = [
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%2F", ";", "//", "\\", "%5c", "%00", "é",
        "%c3%a9", "a", "admin", "public", "api", "%61", "x",
    ];
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let mut numbers = Numbers(22);
    let mut wire = alice.wire().await;
    let mut forwarded = 0;
    for _ in 0..5000 {
        let start = ["/public/", "/api/", "/admin/", "/"][numbers.below(4)];
        let pieces = (0..numbers.below(7)).map(|_| PIECES[numbers.below(PIECES.len())]);
        let target = format!("{start}{}", pieces.collect::<String>());
        wire.send(alice.signed(Request::get(&target)).bytes(HOST)).await;
        let Some(answer) = wire.answer().await else {
            wire = alice.wire().await;
            continue;
        };
        if answer.status == 200 {
            forwarded += 1;
            let seen = stage.upstream.last().target();
            let open = ["/public", "/api", "/health"];
            assert!(open.iter().any(|prefix| seen.starts_with(prefix)), "{target} as {seen}");
            for hidden in ["//", "/.", "\\", ";", "%2E", "%2e", "%2F", "%2f", "%5C", "%00"] {
                let harmless = hidden == "/." && !has_dot_segment(&seen);
                assert!(harmless || !seen.contains(hidden), "{target} as {seen}");
            }
            let again = alice.get(&seen).await;
            assert_eq!(again.status, 200, "{target}, canonically {seen}, is judged differently");
            assert_eq!(stage.upstream.last().target(), seen);
        } else {
            assert!([400, 401, 403, 404].contains(&answer.status), "{target}: {}", answer.status);
        }
        if answer.header("connection") == Some("close") {
            wire = alice.wire().await;
        }
    }
    assert!(forwarded > 100, "only {forwarded} paths were forwarded: nothing was shown");
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| segment == "." || segment == "..")
}

#[tokio::test]
async fn path_confusion_023_the_request_target_is_bounded() {
    let stage = Stage::new().await;
    let target = |length: usize| format!("/public/{}", "a".repeat(length - 8));
    let fits = stage.anonymous().get(&target(4096)).await;
    assert_eq!(fits.status, 200);
    stage.upstream.forget();
    for length in [8 * 1024 + 1, 20 * 1024] {
        let bytes = raw_request(&format!("GET {} HTTP/1.1", target(length)), "", "");
        stage.refuses_bytes("a long target", bytes, &[414, 400]).await;
        let outcome = stage.ask_http2(&stage.anonymous(), &target(length), &[]).await;
        assert!(outcome.is_refusal(), "{length} over HTTP/2: {outcome:?}");
        stage.assert_nothing_forwarded("a long target");
    }
}

/// A second upstream must not see what was refused for the first.
#[tokio::test]
async fn an_ambiguous_request_reaches_no_upstream_at_all() {
    let other = Upstream::start().await;
    let stage = Stage::with(|setup| {
        setup
            .upstream("other", &[&other.url()])
            .route("path = \"/{*rest}\"\nupstream = \"other\"\naccess = \"public\"")
    })
    .await;
    for target in ["/public/../x", "//x", "/x;y", "/%2e%2e/x", "/x%00", "/x\\y"] {
        stage.refuses(&stage.anonymous(), target, &[400]).await;
        assert_eq!(other.count(), 0, "{target}");
    }
}
