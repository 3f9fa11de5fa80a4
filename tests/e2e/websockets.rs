//! WebSockets: how they are let in, by tickets among others, and what is written down of them.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::browser::SESSION;
use crate::harness::{
    Answer, Authority, Browser, Gateway, HOST, Persona, Request, Setup, Socket, Upstream, until,
};

const TICKET: &str = "/auth/ws-ticket";

async fn echoing() -> (Upstream, Gateway) {
    echoing_with(|setup| setup).await
}

async fn echoing_with(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::answering(|_| Answer::WebSocket).await;
    let gateway = change(Setup::standard(&upstream.url())).start().await;
    (upstream, gateway)
}

async fn ticket(caller: &Persona, path: &str) -> String {
    let answer = caller.post(TICKET, &json!({ "path": path })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json()["expiresIn"], 30);
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_ticket_opens_one_websocket_and_never_reaches_the_upstream() {
    let (upstream, gateway) = echoing().await;
    let alice = gateway.bearer("alice").await;
    let ticket = ticket(&alice, "/api/%77s").await;
    let target = format!("/api/ws?a=%20b&ticket={ticket}&c=+&&d");
    let mut socket = Socket::open(&gateway, &target, &[]).await.unwrap();
    socket.echoes("hello").await;
    let request = upstream.only();
    assert_eq!(request.target(), "/api/ws?a=%20b&c=+&&d");
    assert!(!request.text().contains(&ticket), "{}", request.text());
    assert_eq!(request.one("sub").as_deref(), Some("alice"));
    assert_eq!(request.one("x-auth-source").as_deref(), Some("bearer"));
    assert_eq!(request.one("x-auth-sid"), alice.sid);
    assert_eq!(Socket::open(&gateway, &target, &[]).await.err(), Some(401), "twice");
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_page_gets_a_ticket_by_its_cookie_and_needs_no_origin_with_it() {
    let (upstream, gateway) = echoing().await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let body = json!({ "path": "/api/ws" });
    let forged = browser.send(Request::post(TICKET).json(&body)).await;
    forged.assert_problem(403, "csrf_failed");
    for origin in [None, Some("https://elsewhere.test")] {
        let answer = browser.call("POST", TICKET, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let target = format!("/api/ws?ticket={}", answer.json()["ticket"].as_str().unwrap());
        let fields: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        Socket::open(&gateway, &target, &fields).await.unwrap().echoes("hello").await;
        let request = upstream.last();
        assert_eq!(request.target(), "/api/ws");
        assert_eq!(request.one("x-auth-source").as_deref(), Some("session"));
        assert_eq!(request.one("sub").as_deref(), Some("alice"));
    }
}

/// A ticket that does not count is used up all the same, also where another credential did.
#[tokio::test]
async fn a_ticket_is_for_one_place_and_used_up_wherever_it_is_brought() {
    let (upstream, gateway) =
        echoing_with(|setup| setup.route("hosts = [\"*.example.test\"]\npath = \"/api/{*rest}\""))
            .await;
    let alice = gateway.bearer("alice").await;
    for (target, fields) in [
        ("/api/other?ticket=", &[][..]),
        ("/api/ws/?ticket=", &[]),
        ("/public/ws?ticket=", &[]),
        ("/admin/ws?ticket=", &[]),
        ("/nowhere?ticket=", &[]),
        ("/api/ws?ticket=", &[("x-service-api-key", "wrong"), ("authorization", "Bearer wrong")]),
    ] {
        let ticket = ticket(&alice, "/api/ws").await;
        let opened = Socket::open(&gateway, &format!("{target}{ticket}"), fields).await;
        let counts = fields.len() == 2 || target.starts_with("/public");
        assert_eq!(opened.is_ok(), counts, "{target}: {:?}", opened.err());
        let again = Socket::open(&gateway, &format!("/api/ws?ticket={ticket}"), &[]).await;
        assert_eq!(again.err(), Some(401), "{target} left it good");
    }
    // On a public route what does not count leaves the caller nobody, without its ticket.
    let public = upstream.requests().into_iter().find(|it| it.target().starts_with("/public"));
    let public = public.unwrap();
    assert_eq!((public.target(), public.one("sub")), ("/public/ws".to_owned(), None));

    let elsewhere = ticket(&alice.at("other.example.test"), "/api/ws").await;
    let target = format!("/api/ws?ticket={elsewhere}");
    assert_eq!(Socket::open(&gateway, &target, &[]).await.err(), Some(401), "another host's");

    let beside = ticket(&alice, "/api/ws").await;
    let target = format!("/api/ws?ticket={beside}");
    Socket::under(&gateway, &target, alice.token.as_ref().unwrap()).await.unwrap();
    assert_eq!(upstream.last().target(), "/api/ws");
    assert_eq!(Socket::open(&gateway, &target, &[]).await.err(), Some(401), "beside a bearer");

    let revoked = ticket(&alice, "/api/ws").await;
    assert_eq!(alice.log_out().await.status, 204);
    let target = format!("/api/ws?ticket={revoked}");
    assert_eq!(Socket::open(&gateway, &target, &[]).await.err(), Some(401), "of an ended session");
}

#[tokio::test]
async fn two_tickets_are_none_and_neither_is_what_we_never_made() {
    let (upstream, gateway) = echoing().await;
    let alice = gateway.bearer("alice").await;
    let (one, other) = (ticket(&alice, "/api/ws").await, ticket(&alice, "/api/ws").await);
    let made_up = "A".repeat(43);
    for query in [
        format!("ticket={one}&ticket={other}"),
        format!("ticket={one}&x&ticket={one}"),
        format!("ticket={one}&ticket="),
        format!("Ticket={one}"),
        format!("tick%65t={one}"),
        format!("ticket={made_up}"),
        format!("ticket={one}A"),
        format!("ticket={}", "A".repeat(4_000)),
        "ticket=".to_owned(),
        "ticket".to_owned(),
    ] {
        let opened = Socket::open(&gateway, &format!("/api/ws?{query}"), &[]).await;
        assert_eq!(opened.err(), Some(401), "{query}");
    }
    assert_eq!(upstream.count(), 0);
}

/// Anywhere but in a handshake the parameter is the upstream's.
#[tokio::test]
async fn on_a_plain_request_a_ticket_is_no_credential_and_is_left_alone() {
    let (upstream, gateway) = echoing().await;
    let alice = gateway.bearer("alice").await;
    let ticket = ticket(&alice, "/api/ws").await;
    upstream.script(|_| Answer::status(204));
    let target = format!("/api/ws?a&ticket={ticket}&b");
    let plain = Request::get(&target);
    let other_upgrade = plain.clone().header("connection", "upgrade").header("upgrade", "h2c");
    for request in [plain, other_upgrade, Request::post(&target).body("")] {
        let answer = gateway.anonymous().send(request.clone()).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(alice.send(request).await.status, 204);
        assert_eq!(upstream.last().target(), target);
    }
    upstream.script(|_| Answer::WebSocket);
    Socket::open(&gateway, &target, &[]).await.unwrap().echoes("it is still good").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_connections_with_one_ticket_one_is_let_in() {
    let (upstream, gateway) = echoing().await;
    let alice = gateway.bearer("alice").await;
    let target = format!("/api/ws?ticket={}", ticket(&alice, "/api/ws").await);
    let opening = (0..50).map(|_| Socket::open(&gateway, &target, &[]));
    let opened = futures_util::future::join_all(opening).await;
    let refused = opened.iter().filter(|opened| matches!(opened, Err(401))).count();
    assert_eq!((opened.iter().filter(|opened| opened.is_ok()).count(), refused), (1, 49));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn tickets_are_for_the_signed_in_for_paths_and_bounded() {
    let (_upstream, gateway) = echoing().await;
    let (anonymous, alice) = (gateway.anonymous(), gateway.bearer("alice").await);
    anonymous.post(TICKET, &json!({ "path": "/api/ws" })).await.assert_problem(401, "unauthorized");
    for body in [
        json!({}),
        json!({ "path": 7 }),
        json!({ "path": "" }),
        json!({ "path": "api/ws" }),
        json!({ "path": "/api/ws?x" }),
        json!({ "path": "/api/../admin" }),
        json!({ "path": "//evil.test/" }),
        json!({ "path": "/".to_owned() + &"x".repeat(9_000) }),
    ] {
        alice.post(TICKET, &body).await.assert_problem(400, "invalid_body");
    }
    let mut given = 0;
    let refused = loop {
        let answer = alice.post(TICKET, &json!({ "path": "/api/ws" })).await;
        match answer.status {
            200 => given += 1,
            _ => break answer,
        }
        assert!(given <= 120, "they are not bounded");
    };
    assert!(given >= 60, "{given}");
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    let root = gateway.bearer("root").await;
    ticket(&root, "/api/ws").await;
}

/// The first event that says this.
async fn event(gateway: &Gateway, name: &str, reason: Option<&str>) -> Value {
    let is = |line: &Value| line["event"] == name && line["reason"].as_str() == reason;
    gateway.audited(name, is).await
}

#[tokio::test]
async fn what_becomes_of_a_websocket_is_written_down_and_counted() {
    let (upstream, gateway) = echoing().await;
    let alice = gateway.bearer("alice").await;
    let token = format!("Bearer {}", alice.token.as_ref().unwrap());
    let fields = |id| [("authorization", token.as_str()), ("x-request-id", id)];
    let mut socket = Socket::open(&gateway, "/api/ws?x", &fields("ws-1")).await.unwrap();
    let opened = event(&gateway, "ws.connection.opened", None).await;
    assert_eq!(opened["requestId"], "ws-1");
    assert_eq!(opened["sid"], json!(alice.sid));
    assert_eq!(opened["route"], "/api/{*rest}");
    assert!(opened["userId"].as_str().unwrap().starts_with("***"), "{opened}");
    assert_eq!(gateway.metric("guarita_websockets_open", "").await, 1.0);
    socket.0.close(None).await.unwrap();
    let closed = event(&gateway, "ws.connection.closed", Some("ended")).await;
    assert_eq!((&closed["requestId"], &closed["sid"]), (&opened["requestId"], &opened["sid"]));
    assert!(closed["durationMs"].as_f64().unwrap() > 0.0, "{closed}");
    assert_eq!(gateway.metric("guarita_websockets_open", "").await, 0.0);
    assert_eq!(gateway.metric("guarita_websockets_closed_total", "ended").await, 1.0);

    let refused = Socket::open(&gateway, "/admin/ws", &fields("ws-2")).await;
    assert_eq!(refused.err(), Some(403));
    let rejected = event(&gateway, "ws.connection.rejected", Some("forbidden")).await;
    assert_eq!(rejected["requestId"], "ws-2");
    assert_eq!((&rejected["userId"], &rejected["sid"]), (&opened["userId"], &opened["sid"]));
    assert_eq!(rejected["route"], "/admin/{*rest}");
    assert_eq!(Socket::open(&gateway, "/nowhere", &[]).await.err(), Some(401));
    let rejected = event(&gateway, "ws.connection.rejected", Some("unauthorized")).await;
    assert_eq!((&rejected["userId"], &rejected["route"]), (&Value::Null, &Value::Null));
    upstream.script(|_| Answer::status(404));
    assert_eq!(Socket::open(&gateway, "/api/ws", &fields("ws-3")).await.err(), Some(404));
    event(&gateway, "ws.connection.rejected", Some("upstream")).await;
    until("the count", || async {
        let rejected = gateway.metric("guarita_websocket_handshakes_total", "rejected").await;
        (rejected == 3.0).then_some(())
    })
    .await;
}

/// A handshake must be taken within the upstream's time; an open WebSocket may be silent for longer.
#[tokio::test]
async fn silence_ends_a_handshake_and_not_a_websocket() {
    let upstream = Upstream::answering(|request| match request.target().ends_with("silent") {
        true => Answer::Silence,
        false => Answer::WebSocket,
    })
    .await;
    let setup = Setup::standard(&upstream.url()).without_table("[[upstreams]]").upstream_with(
        "u",
        &[&upstream.url()],
        "read_timeout = \"1s\"\nretries = 0\neject_after = 1000",
    );
    let gateway = setup.start().await;
    let alice = gateway.bearer("alice").await;
    let token = alice.token.as_ref().unwrap();
    let mut socket = Socket::under(&gateway, "/api/ws", token).await.unwrap();
    for _ in 0..2 {
        let silent = Socket::under(&gateway, "/api/silent", token).await;
        assert_eq!(silent.err(), Some(504));
    }
    socket.echoes("still here").await;
}

/// The same way over TLS, where what is read is not what was said.
#[tokio::test]
async fn an_upstream_with_tls_is_waited_for_and_left_alone_alike() {
    let authority = Authority::new("Upstream CA");
    let identity = authority.server(&["localhost"]);
    let upstream = Upstream::start_tls(&identity, None).await;
    upstream.script(|request| match request.target().as_str() {
        "/api/silent" => Answer::Silence,
        "/api/greeting" => Answer::Greeting,
        _ => Answer::WebSocket,
    });
    let gateway = Setup::standard(&upstream.url())
        .without_table("[[upstreams]]")
        .file("upstream-ca.pem", authority.pem())
        .upstream_with(
            "u",
            &[&upstream.url()],
            "read_timeout = \"1s\"\nretries = 0\neject_after = 1000\n\
             tls = { ca = \"upstream-ca.pem\", server_name = \"localhost\" }",
        )
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    let token = alice.token.as_ref().unwrap();
    let mut socket = Socket::under(&gateway, "/api/ws", token).await.unwrap();
    for _ in 0..50 {
        let mut greeted = Socket::under(&gateway, "/api/greeting", token).await.unwrap();
        assert_eq!(greeted.next().await, Message::text("hello"));
        greeted.echoes("hello to you").await;
    }
    for _ in 0..2 {
        let silent = Socket::under(&gateway, "/api/silent", token).await;
        assert_eq!(silent.err(), Some(504));
    }
    socket.echoes("still here").await;
    assert_eq!(alice.log_out().await.status, 204);
    assert_eq!(socket.closed().await, Some(4401));
}

/// cloudflare/pingora issue 946: an upstream that answers at once, and speaks first.
#[tokio::test]
async fn an_early_101_tears_nothing_down() {
    let upstream = Upstream::answering(|_| Answer::Greeting).await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let token = alice.token.as_ref().unwrap();
    for round in 0..300 {
        let mut socket = Socket::under(&gateway, "/api/ws", token).await.unwrap();
        assert_eq!(socket.next().await, Message::text("hello"), "round {round}");
        socket.echoes("hello to you").await;
        socket.0.send(Message::Close(None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_cookie_opens_a_websocket_from_our_own_pages() {
    let (upstream, gateway) = echoing().await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let cookie = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
    let own = format!("https://{HOST}");
    let fields = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    Socket::open(&gateway, "/api/ws", &fields).await.unwrap().echoes("hello").await;
    assert_eq!(upstream.only().one("x-auth-source").as_deref(), Some("session"));
    assert_eq!(upstream.only().one("cookie"), None);
}

#[tokio::test]
async fn a_websocket_is_judged_and_then_left_alone() {
    let (_upstream, gateway) = echoing().await;
    assert_eq!(Socket::open(&gateway, "/api/ws", &[]).await.err(), Some(401));
    let alice = gateway.bearer("alice").await;
    let token = alice.token.as_ref().unwrap();
    let mut socket = Socket::under(&gateway, "/api/ws", token).await.unwrap();
    for size in [0, 1, 125, 65_536, 1_000_000] {
        let message = Message::binary(vec![7; size]);
        socket.0.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await, message);
    }
}
