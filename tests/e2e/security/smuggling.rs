//! One message is one message, to the gateway and to the upstream.

use super::{SAME, Stage, raw_request};
use crate::harness::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, encode};
use crate::harness::{Answer, HOST, Http2, Request};

const POST: &str = "POST /public/x HTTP/1.1";
const HIDDEN: &str = "GET /admin/x HTTP/1.1\r\nHost: app.example.test\r\n\r\n";

#[tokio::test]
async fn smuggling_001_length_and_coding_together_are_refused() {
    let stage = Stage::new().await;
    let body = format!("2f\r\n{HIDDEN}\r\n0\r\n\r\n");
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    ] {
        stage.refuses_bytes(fields, raw_request(POST, fields, &body), &[400]).await;
    }
}

#[tokio::test]
async fn smuggling_002_a_length_is_digits_once() {
    let stage = Stage::new().await;
    for value in [
        "+5",
        "5, 5",
        "5 5",
        "0x5",
        "-1",
        "5\u{b}",
        "05;",
        "18446744073709551617",
        "",
        "5\r\nContent-Length: 6",
        "5\r\nContent-Length: 5",
    ] {
        let bytes = raw_request(POST, &format!("Content-Length: {value}\r\n"), "hello");
        stage.refuses_bytes(value, bytes, &[400]).await;
    }
}

#[tokio::test]
async fn smuggling_003_a_coding_is_chunked_once() {
    let stage = Stage::new().await;
    for value in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "chunked\u{b}",
        "\u{b}chunked",
        "\"chunked\"",
        "chunked;q=1",
        "Chunked\r\n foo",
        "chunked\r\nTransfer-Encoding: x",
    ] {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        let bytes = raw_request(POST, &fields, &format!("0\r\n\r\n{HIDDEN}"));
        stage.refuses_bytes(value, bytes, &[400, 501]).await;
    }
}

#[tokio::test]
async fn smuggling_004_http_1_0_has_no_chunks() {
    let stage = Stage::new().await;
    let fields = "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n";
    let bytes = raw_request("POST /public/x HTTP/1.0", fields, &format!("0\r\n\r\n{HIDDEN}"));
    stage.refuses_bytes("chunks in HTTP/1.0", bytes, &[400]).await;
}

#[tokio::test]
async fn smuggling_005_no_request_body_ends_with_the_connection() {
    let stage = Stage::new().await;
    let (mut wire, answer) = stage.raw(raw_request("POST /public/x HTTP/1.0", "", HIDDEN)).await;
    assert!([200, 400, 405, 411].contains(&answer.unwrap().status));
    // What follows is another request with a judgement of its own, or is never read.
    if let Some(second) = wire.answer().await {
        assert!([400, 401].contains(&second.status), "{}", second.status);
    }
    for seen in stage.upstream.requests() {
        assert_eq!((seen.target().as_str(), seen.length), ("/public/x", 0), "{}", seen.text());
    }
}

#[tokio::test]
async fn smuggling_006_the_body_of_a_refused_request_is_not_the_next_request() {
    let stage = Stage::new().await;
    let hidden = "GET /public/x HTTP/1.1\r\nHost: app.example.test\r\nX: y\r\n\r\n";
    let fields = format!("Content-Length: {}\r\n", hidden.len());
    let bytes = raw_request("POST /api/x HTTP/1.1", &fields, hidden);
    let (mut wire, answer) = stage.raw(&bytes).await;
    assert_eq!(answer.unwrap().status, 401);
    // Exactly one answer; the connection is as good as new, or closed.
    wire.send(raw_request("GET /nowhere HTTP/1.1", "", "")).await;
    if let Some(next) = wire.answer().await {
        assert_eq!(next.status, 401, "{}", next.text());
    }
    stage.assert_nothing_forwarded("a request in the body of a refused one");

    let chunked = raw_request(
        "POST /api/x HTTP/1.1",
        "Transfer-Encoding: chunked\r\n",
        &format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
    );
    let (mut wire, answer) = stage.raw(&chunked).await;
    assert_eq!(answer.unwrap().status, 401);
    wire.send(raw_request("GET /nowhere HTTP/1.1", "", "")).await;
    if let Some(next) = wire.answer().await {
        assert_eq!(next.status, 401, "{}", next.text());
    }
    stage.assert_nothing_forwarded("a request in the chunks of a refused one");
}

#[tokio::test]
async fn smuggling_007_no_body_is_asked_for_before_the_caller_is_judged() {
    let stage = Stage::new().await;
    let fields = "Expect: 100-continue\r\nContent-Length: 30\r\n";
    let (mut wire, answer) = stage.raw(raw_request("POST /api/x HTTP/1.1", fields, "")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.interim.is_empty(), "100 came before the judgement");
    let filler = "GET /public/x HTTP/1.1\r\nA: b\r\n".get(..30).unwrap();
    wire.send(format!("{filler}GET /public/2 HTTP/1.1\r\n{SAME}\r\n")).await;
    for next in wire.answers(2).await {
        assert!([200, 400, 401].contains(&next.status), "{}", next.status);
    }
    for seen in stage.upstream.requests() {
        assert_eq!(seen.target(), "/public/2", "{}", seen.text());
    }
}

#[tokio::test]
async fn smuggling_008_chunk_sizes_are_plain_hexadecimal() {
    let stage = Stage::new().await;
    let long = format!("5;{}\r\n", "a".repeat(64 * 1024));
    for size in [
        "FFFFFFFFFFFFFFFFF\r\n",
        "0x5\r\n",
        &long,
        "5\n",
        " 5\r\n",
        "-5\r\n",
        "5 ;x\r\r\n",
        "g\r\n",
        "\r\n\r\n",
        ";x\r\n\r\n",
        " \r\n\r\n",
        "5;x\n",
        "5;\u{0}\u{1}\r\n",
        "0\r\ngarbage no colon\r\n\r\n",
        "0\r\na: \u{0}b\r\n\r\n",
        "0\r\nsub : x\r\n\r\n",
    ] {
        stage.upstream.forget();
        let body = format!("{size}hello\r\n0\r\n\r\n{HIDDEN}");
        let bytes = raw_request(POST, "Transfer-Encoding: chunked\r\n", &body);
        let mut wire = stage.gateway.secure_wire().await;
        wire.send(bytes).await;
        let shown = &size[..size.len().min(20)];
        if let Some(answer) = wire.answer().await {
            assert_eq!(answer.status, 400, "{shown:?}");
        }
        drop(wire.closed().await);
        for seen in stage.upstream.requests() {
            assert!(!seen.complete, "{shown:?} was taken for a whole body: {seen:?}");
            assert_eq!(seen.target(), "/public/x");
        }
    }
}

#[tokio::test]
async fn smuggling_009_http2_lengths_must_be_true() {
    let stage = Stage::new().await;
    let head = |length: &'static str| {
        [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/public/x"),
            ("content-length", length),
        ]
    };
    let (address, tls) = (stage.gateway.https(), stage.gateway.tls());
    let refused = |outcome: Outcome| match outcome {
        Outcome::Status(status) => assert_eq!(status, 400),
        outcome => assert!(outcome.is_refusal()),
    };
    let mut none = Frames::connect(address, &tls).await;
    none.request(1, &head("30"), true).await;
    refused(none.outcome(1).await);

    for (length, data) in [("3", &b"longer"[..]), ("30", b"short")] {
        let mut frames = Frames::connect(address, &tls).await;
        frames.request(1, &head(length), false).await;
        frames.send(DATA, END_STREAM, 1, data).await.unwrap();
        refused(frames.outcome(1).await);
    }
    for seen in stage.upstream.requests() {
        assert!(!seen.complete, "{}", seen.text());
    }
}

#[tokio::test]
async fn smuggling_010_pseudo_header_fields_are_unambiguous() {
    let stage = Stage::with(|setup| {
        setup.route("hosts = [\"open.example.test\"]\npath = \"/{*rest}\"\naccess = \"public\"")
    })
    .await;
    let method = (":method", "GET");
    let scheme = (":scheme", "https");
    let authority = (":authority", HOST);
    let path = (":path", "/public/x");
    for (what, fields) in [
        ("host differs", vec![method, scheme, authority, path, ("host", "open.example.test")]),
        ("two paths", vec![method, scheme, authority, path, (":path", "/admin/x")]),
        ("two authorities", vec![method, scheme, authority, path, (":authority", "x.test")]),
        ("pseudo after regular", vec![method, scheme, authority, ("a", "b"), path]),
        ("missing scheme", vec![method, authority, path]),
        ("missing path", vec![method, scheme, authority]),
        ("missing method", vec![scheme, authority, path]),
        ("unknown pseudo", vec![method, scheme, authority, path, (":x", "y")]),
        ("a response's pseudo", vec![method, scheme, authority, path, (":status", "200")]),
        ("upper case", vec![method, scheme, authority, path, ("Sub", "root")]),
        ("line break", vec![method, scheme, authority, path, ("a", "b\r\nsub: root")]),
        ("NUL", vec![method, scheme, authority, path, ("a", "b\0")]),
    ] {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        frames.request(1, &fields, true).await;
        let outcome = frames.outcome(1).await;
        match outcome {
            Outcome::Status(status) => assert!([400, 421].contains(&status), "{what}: {status}"),
            refused => assert!(refused.is_refusal(), "{what}: {refused:?}"),
        }
        stage.assert_nothing_forwarded(what);
    }
    // `http` over TLS names another resource (RFC 9113 section 8.3.1).
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    frames.request(1, &[method, (":scheme", "http"), authority, path], true).await;
    let outcome = frames.outcome(1).await;
    assert!(outcome.is_refusal(), ":scheme http over TLS: {outcome:?}");
    stage.assert_nothing_forwarded(":scheme http over TLS");
}

#[tokio::test]
async fn smuggling_011_nothing_after_connect_is_read() {
    let stage = Stage::new().await;
    let bytes = format!("CONNECT u:80 HTTP/1.1\r\n{SAME}\r\n{}", HIDDEN.replace("admin", "public"));
    stage.refuses_bytes("CONNECT", bytes, &[400, 405, 501]).await;
}

#[tokio::test]
async fn smuggling_012_a_broken_upstream_poisons_nobody_s_answer() {
    // Only the answers are looked at here: the server must not be ejected for them.
    let stage = Stage::patient().await;
    let anonymous = stage.anonymous();
    let head = "HTTP/1.1 200 OK\r\n";
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for (what, response) in [
        (
            "length and coding",
            format!(
                "{head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ),
        ),
        ("two lengths", format!("{head}content-length: 5, 6\r\n\r\nhello!")),
        ("two responses", format!("{head}content-length: 5\r\n\r\nhello{second}")),
        ("surplus bytes", format!("{head}content-length: 5\r\n\r\nhello-and-more")),
        ("204 with a body", format!("HTTP/1.1 204 No Content\r\n\r\n{second}")),
        ("304 with a body", format!("HTTP/1.1 304 Not Modified\r\n\r\n{second}")),
        ("HEAD with a body", format!("{head}content-length: 5\r\n\r\nhello{second}")),
        ("bare LF", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello".to_owned()),
        ("a length twice", format!("{head}content-length: 5, 5\r\n\r\nhello")),
        ("two equal lengths", format!("{head}content-length: 5\r\ncontent-length: 5\r\n\r\nhello")),
        ("identity", format!("{head}transfer-encoding: identity\r\n\r\nhello")),
        ("gzip", format!("{head}transfer-encoding: gzip\r\n\r\nhello")),
        ("chunked, gzip", format!("{head}transfer-encoding: chunked, gzip\r\n\r\nhello")),
        (
            "chunks in HTTP/1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
        ),
    ] {
        let method = if what.starts_with("HEAD") { "HEAD" } else { "GET" };
        let bytes = response.into_bytes();
        stage.upstream.script(move |request| match request.target().as_str() {
            "/public/broken" => Answer::Bytes(bytes.clone()),
            _ => Answer::Echo,
        });
        let request = Request::new(method, "/public/broken").header("connection", "close");
        let mut wire = anonymous.wire().await;
        wire.send(request.bytes(HOST)).await;
        if let Some(answer) = wire.answer_to(method == "HEAD").await {
            assert!([200, 204, 304, 502].contains(&answer.status), "{what}: {}", answer.status);
            assert!(!answer.text().contains("poison"), "{what}: {}", answer.text());
            let framings = ["content-length", "transfer-encoding"].map(|name| answer.all(name));
            assert!(framings.concat().len() <= 1, "{what}: {framings:?}");
            assert!(!framings.concat().iter().any(|value| value.contains(',')), "{what}");
        }
        for _ in 0..4 {
            let answer = anonymous.get("/public/after").await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            assert_eq!(answer.json()["target"], "/public/after", "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smuggling_013_an_aborted_request_leaves_nothing_on_the_connection() {
    let stage = Stage::new().await;
    let (alice, root) = (stage.alice().await, stage.root().await);
    for round in 0..150 {
        // Breaks off in the middle of a body, over HTTP/1.1.
        let request = Request::post("/api/secret-of-alice").header("content-length", "100");
        let mut wire = alice.wire().await;
        wire.send(alice.signed(request).bytes(HOST)).await;
        wire.send("half of alice's secret").await;
        drop(wire);
        // Resets a stream, over HTTP/2.
        let http2 = Http2::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        let mut sender = http2.sender().ready().await.unwrap();
        let built = http::Request::post(format!("https://{HOST}/api/secret-of-alice"))
            .header("authorization", format!("Bearer {}", alice.token.clone().unwrap()))
            .body(())
            .unwrap();
        let (_answer, mut sending) = sender.send_request(built, false).unwrap();
        sending.send_reset(h2::Reason::CANCEL);

        let answer = root.get(&format!("/admin/{round}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["target"], format!("/admin/{round}"));
        assert_eq!(answer.json()["sub"], serde_json::json!(["root"]));
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    for seen in stage.upstream.requests() {
        assert!(!seen.complete || !seen.target().contains("secret"), "{}", seen.text());
    }
}

#[tokio::test]
async fn smuggling_014_no_answer_is_kept_for_another_caller() {
    let stage = Stage::with(|setup| {
        setup.route("hosts = [\"open.example.test\"]\npath = \"/api/{*rest}\"\naccess = \"public\"")
    })
    .await;
    stage.upstream.script(|request| {
        let body = format!("{:?} at {:?}", request.all("sub"), request.all("host"));
        let headers = vec![("cache-control".into(), "public, max-age=3600".into())];
        Answer::Reply(200, headers, body.into_bytes())
    });
    let (alice, root) = (stage.alice().await, stage.root().await);
    assert!(alice.get("/api/me").await.text().contains("alice"));
    assert!(root.get("/api/me").await.text().contains("root"));
    let anonymous = stage.anonymous().get("/api/me").await;
    assert_eq!(anonymous.status, 401);
    assert!(!anonymous.text().contains("alice") && !anonymous.text().contains("root"));
    let open = stage.anonymous().at("open.example.test").get("/api/me").await;
    assert!(open.text().contains("open.example.test") && !open.text().contains("alice"));
    assert_eq!(stage.upstream.count(), 3);
}

#[tokio::test]
async fn smuggling_015_each_pipelined_request_is_judged_by_itself() {
    let stage = Stage::new().await;
    let request =
        |path: &str, fields: &str| raw_request(&format!("GET {path} HTTP/1.1"), fields, "");
    let mut wire = stage.gateway.secure_wire().await;
    let all = ["/public/1", "/api/2", "/public/3"].map(|path| request(path, ""));
    wire.send(all.concat()).await;
    let statuses: Vec<_> = wire.answers(3).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 200]);

    // Nor does a credential stay with the connection.
    stage.upstream.forget();
    let credential = format!("Authorization: Bearer {}\r\n", stage.alice().await.token.unwrap());
    let mut wire = stage.gateway.secure_wire().await;
    wire.send([request("/api/1", &credential), request("/api/2", "")].concat()).await;
    let statuses: Vec<_> = wire.answers(2).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(stage.upstream.only().target(), "/api/1");
}

/// A header block split over CONTINUATION is one block.
#[tokio::test]
async fn a_split_header_block_is_judged_as_one() {
    let stage = Stage::new().await;
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/admin/x")];
    let block = encode(&fields);
    frames.send(HEADERS, END_STREAM, 1, &block[..20]).await.unwrap();
    let rest = &block[20..];
    frames.send(crate::harness::frames::CONTINUATION, END_HEADERS, 1, rest).await.unwrap();
    assert_eq!(frames.outcome(1).await, Outcome::Status(401));
    stage.assert_nothing_forwarded("a split header block");
}

#[tokio::test]
async fn what_follows_a_chunked_body_is_the_next_request() {
    let stage = Stage::new().await;
    let chunked = |after: &str| {
        let body = format!("5\r\nhello\r\n0\r\na: b\r\n\r\n{after}");
        raw_request(POST, "Transfer-Encoding: chunked\r\n", &body)
    };
    let next = "GET /public/next HTTP/1.1\r\nHost: app.example.test\r\n\r\n";
    // As one, or while the first is with the upstream.
    for (first, then) in [(chunked(next), ""), (chunked(""), next)] {
        let mut wire = stage.gateway.secure_wire().await;
        wire.send(first).await;
        wire.send(then).await;
        for target in ["/public/x", "/public/next"] {
            let answer = wire.answer().await.unwrap();
            assert_eq!((answer.status, answer.json()["target"].clone()), (200, target.into()));
        }
    }
}

/// A method that one compares exactly is another method to the next.
#[tokio::test]
async fn a_method_is_upper_case_over_http2_and_for_other_proxies_too() {
    let stage = Stage::with(|setup| setup.set("trusted_proxies", "[\"127.0.0.0/8\"]")).await;
    let long = "G".repeat(40);
    for method in ["get", "Get", "post", "trace", "TRACE", "TRACK", "connect", "PRI", &long] {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        let path = (":path", "/public/x");
        let fields = [(":method", method), (":scheme", "https"), (":authority", HOST), path];
        frames.request(1, &fields, true).await;
        match frames.outcome(1).await {
            Outcome::Status(status) => assert!([400, 501].contains(&status), "{method}: {status}"),
            refused => assert!(refused.is_refusal(), "{method}: {refused:?}"),
        }
        let line = format!("{method} /public/x HTTP/1.1");
        stage.refuses_bytes(method, raw_request(&line, "", ""), &[400, 501]).await;
        let asked = Request::get("/oauth2/auth")
            .header("x-forwarded-method", method)
            .header("x-forwarded-host", HOST)
            .header("x-forwarded-uri", "/public/x");
        let status = stage.anonymous().send(asked).await.status;
        assert!([400, 501].contains(&status), "{method} at /oauth2/auth: {status}");
    }
    stage.assert_nothing_forwarded("a method with two meanings");
}
