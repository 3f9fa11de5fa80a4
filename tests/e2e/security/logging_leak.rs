//! What is written down, told to callers or sent on: nothing that opens anything.

use std::path::PathBuf;

use serde_json::json;

use super::Stage;
use crate::harness::authenticator::{
    CHALLENGE, ENROLL, complete, completion, early_in_a_step, ticket, with_factors,
};
use crate::harness::certificates::{Authority, Client};
use crate::harness::tokens::{Genuine, encode};
use crate::harness::{
    Answer, Authenticator, Gateway, HOST, Http2, Request, Response, Setup, canary, cli, database,
    password_of, until,
};

/// What every canary has in it.
const MARK: &str = "c4nary";

/// A secret that stands for one of its kind.
fn secret(kind: &str) -> String {
    format!("{MARK}-{kind}-9f2b7c61d0e8")
}

/// Everything that the gateway told the operator, to the last line: it is ended by this.
async fn told_by(mut gateway: Gateway) -> String {
    let metrics = canary::metrics_text(gateway.ops);
    gateway.terminate().await;
    gateway.ended().await;
    until("the last line", || async {
        gateway.log.text().contains("server.draining").then_some(())
    })
    .await;
    format!("{}\n{}\n{metrics}", gateway.log.text(), canary::audit_text(&gateway.data()))
}

#[track_caller]
fn assert_no_canary(text: &str) {
    let found = text.lines().find(|line| line.contains(MARK));
    assert!(found.is_none(), "{found:?}");
    canary::assert_silent("what was told", text);
}

/// Refused, in words that repeat nothing.
#[track_caller]
fn assert_refused(answer: &Response) {
    assert!((400..600).contains(&answer.status), "{}: {}", answer.status, answer.text());
    let headers: String = answer.headers.iter().map(|(name, value)| name.clone() + value).collect();
    assert!(!answer.text().contains(MARK) && !headers.contains(MARK), "{}", answer.text());
}

/// Credentials of every kind in one request.
fn laden(request: Request) -> Request {
    request
        .header(
            "cookie",
            &format!("__Host-guarita-device={}; sid={}", secret("device"), secret("sid")),
        )
        .header("x-service-api-key", &secret("api-key"))
        .header("proxy-authorization", &format!("Basic {}", encode(secret("proxy"))))
        .header("x-csrf-token", &secret("csrf"))
        .header("referer", &format!("https://a.test/x?token={}", secret("referer")))
}

/// With the log as loud as it can be.
fn loud(setup: Setup) -> Setup {
    with_factors(setup).set("log.level", "\"trace\"")
}

#[tokio::test]
async fn logging_leak_001_no_credential_of_any_kind_is_ever_written_down() {
    let stage = Stage::with(|setup| {
        loud(setup)
            .upstream("dead", &["http://127.0.0.1:1"])
            .route("path = \"/dead/{*rest}\"\nupstream = \"dead\"")
            .user_with("carol", Some("carol@corp.test"), &["user"])
            .user("joao@firma.test", &["user"])
    })
    .await;
    early_in_a_step().await;
    let anonymous = stage.anonymous();

    // Bad credentials, alone and together, over both versions and on the plain listener.
    let mut bad = Vec::new();
    for authorization in [
        format!("Bearer {}", secret("bearer")),
        format!("Bearer {}.{}.{}", secret("a"), secret("b"), secret("c")),
        format!("Basic {}", encode(secret("basic"))),
        format!("Token {}", secret("token")),
        secret("bare").to_string(),
    ] {
        bad.push(laden(Request::get("/api/x")).header("authorization", &authorization));
    }
    for request in bad {
        assert_refused(&anonymous.send(request.clone()).await);
        let http2 = Http2::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        assert_refused(&http2.send(&request, HOST).await.unwrap());
        let mut wire = stage.gateway.wire().await;
        assert_refused(&wire.exchange(&request.header("connection", "close"), HOST).await);
    }
    // Heads that cannot be read.
    for line in
        ["x-api-key : ", "authorization\t: Bearer ", " folded: ", "a\0b: ", "transfer-encoding: "]
    {
        let mut wire = stage.gateway.secure_wire().await;
        let head =
            format!("GET /api/x HTTP/1.1\r\nHost: {HOST}\r\n{line}{}\r\n\r\n", secret("head"));
        wire.send(head).await;
        assert_refused(&wire.response().await);
    }
    // Bodies that no endpoint takes, and some that they do.
    for path in [
        "/auth/login",
        "/auth/token",
        "/auth/refresh",
        "/auth/logout",
        CHALLENGE,
        "/recover",
        "/recover/confirm",
        "/verify-email",
        "/verify-email/confirm",
        "/oauth2/introspect",
    ] {
        let value = secret("body");
        let whole = json!({
            "username": value, "password": value, "refreshToken": value, "mfaToken": value,
            "method": "totp", "code": value, "token": value, "email": format!("{value}@corp.test"),
        });
        let text = whole.to_string();
        for body in [text.clone(), text[..text.len() - 1].to_owned(), format!("\"{value}\""), value]
        {
            let request = laden(Request::post(path)).header("content-type", "application/json");
            let answer = anonymous.send(request.body(body.clone())).await;
            assert!(!answer.text().contains(MARK), "{path}: {}", answer.text());
            let form =
                Request::post(path).header("content-type", "application/x-www-form-urlencoded");
            let answer = anonymous.send(form.body(format!("password={body}"))).await;
            assert!(!answer.text().contains(MARK), "{path}: {}", answer.text());
        }
    }
    // Real ones of a whole life.
    assert_refused(&anonymous.log_in("alice", &secret("wrong-password")).await);
    let (alice, application, codes) = Authenticator::enrol(&stage.gateway, "alice").await;
    assert_refused(&alice.post(ENROLL, &json!({ "password": secret("password") })).await);
    let first = ticket(&stage.gateway, "alice").await;
    for code in [secret("code"), application.wrong(), application.code(-1)] {
        assert_refused(&complete(&stage.gateway, &first, "totp", &code).await);
    }
    let pair = complete(&stage.gateway, &first, "totp", &application.code(0)).await;
    assert_eq!(pair.status, 200, "{}", pair.text());
    let spare = ticket(&stage.gateway, "alice").await;
    let pair = complete(&stage.gateway, &spare, "recovery_code", &codes[0]).await;
    let alice = anonymous.holding(&pair.json());
    let body = completion(&spare, "totp", &application.code(1));
    assert_refused(&anonymous.post(CHALLENGE, &body).await);
    for path in ["/api/x", "/dead/x", "/public/x", "/nowhere", "/auth/sessions"] {
        alice.send(laden(Request::get(path))).await;
        alice.send(laden(Request::post(path)).body(secret("forwarded"))).await;
    }
    let refreshed = alice.holding(&alice.refresh().await.json());
    let forged = Genuine::of(&refreshed).claim("sub", json!("root")).text;
    anonymous.with_token(&format!("{forged}x")).get("/api/x").await;
    let cookie = format!("__Host-guarita-device={}", secret("device"));
    let body = json!({ "email": "Carol@Corp.Test", "password": password_of("carol") });
    let by_mail = Request::post("/auth/login").header("cookie", &cookie).json(&body);
    assert_eq!(anonymous.send(by_mail).await.status, 200);
    // A name that is an address is one all the same.
    let joao = stage.gateway.bearer("joao@firma.test").await;
    assert_eq!(joao.get("/api/x").await.status, 200);
    assert_eq!(refreshed.log_out().await.status, 204);
    refreshed.refresh().await;

    let Stage { gateway, upstream: _upstream } = stage;
    assert_no_canary(&told_by(gateway).await);
}

#[tokio::test]
async fn logging_leak_002_no_query_and_no_referer_is_written_down() {
    let stage = Stage::with(loud).await;
    let alice = stage.alice().await;
    let value = secret("query");
    let query = ["token", "code", "state", "rd", "ticket", "access_token", "id_token_hint", "x"]
        .map(|name| format!("{name}={value}"))
        .join("&");
    for path in [
        "/public/x",
        "/api/x",
        "/admin/x",
        "/nowhere",
        "/auth/oidc/entra/callback",
        "/recover",
        "/reset",
        "/verify-email",
        "/login",
        "/auth/sessions",
        "/public/%zz",
    ] {
        for caller in [&alice, &stage.anonymous()] {
            let request = laden(Request::get(&format!("{path}?{query}")));
            let answer = caller.send(request).await;
            if answer.status >= 400 {
                assert_refused(&answer);
            }
        }
    }
    let Stage { gateway, upstream } = stage;
    assert!(upstream.requests().iter().any(|it| it.target().contains(&value)), "it goes on whole");
    assert_no_canary(&told_by(gateway).await);
}

#[tokio::test]
async fn logging_leak_003_no_refusal_tells_of_keys_libraries_or_the_reason() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let genuine = Genuine::of(&alice);
    let (message, signature) = genuine.text.rsplit_once('.').unwrap();
    let tokens = [
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        genuine.clone().parameter("alg", json!("none")).signed(),
        genuine.clone().parameter("alg", json!("HS256")).signed(),
        genuine.clone().parameter("kid", json!("../../etc/passwd")).signed(),
        genuine.clone().claim("exp", json!(1)).signed(),
        genuine.clone().claim("exp", json!("soon")).signed(),
        genuine.clone().claim("iss", json!("other")).signed(),
        genuine.clone().claim("sid", json!("x")).signed(),
        "é".repeat(10),
        "x".repeat(17 << 10),
    ];
    let mut bodies = Vec::new();
    for token in &tokens {
        let answer = stage.anonymous().send(Request::get("/api/x").bearer(token)).await;
        assert!(matches!(answer.status, 400 | 401 | 431), "{}", answer.text());
        bodies.push(answer);
    }
    let invalid = &bodies[0];
    for answer in bodies.iter().filter(|answer| answer.status == 401) {
        // Why it is bad is nobody's business.
        assert_eq!(answer.json()["title"], invalid.json()["title"]);
        assert_eq!(answer.header("www-authenticate"), invalid.header("www-authenticate"));
    }
    for body in ["", "{", "[1,2", "{\"password\":1}", "null", "\u{0}", "{\"username\":{}}"] {
        for path in ["/auth/login", "/auth/refresh", CHALLENGE] {
            let request = Request::post(path).header("content-type", "application/json");
            bodies.push(stage.anonymous().send(request.body(body)).await);
        }
    }
    stage.upstream.script(|_| Answer::Bytes(b"HTTP/1.1 nonsense\r\n\r\n".to_vec()));
    bodies.push(alice.get("/api/x").await);
    for answer in bodies {
        assert!((400..=599).contains(&answer.status));
        let text = answer.text().to_ascii_lowercase();
        for telling in [
            "begin",
            "key",
            "signature",
            "expired",
            "audience",
            "issuer",
            "serde",
            "expected",
            "line 1",
            "column",
            "jsonwebtoken",
            "sqlx",
            "rustls",
            "pingora",
            "panick",
            "127.0.0.1",
            "nonsense",
            "/tmp",
            "etc/passwd",
            ".rs:",
        ] {
            assert!(!text.contains(telling), "{telling}: {text}");
        }
    }
}

/// As far as there are such addresses; of the servers none is there.
#[tokio::test]
async fn logging_leak_004_no_password_in_an_address_is_told() {
    let password = secret("database");
    let of = |scheme: &str| format!("{scheme}://guarita:{password}@127.0.0.1:1/guarita");
    let quoted = |scheme: &str| format!("\"{}\"", of(scheme));
    let base = || Setup::new().upstream("u", &["http://127.0.0.1:1"]).set("store.wait", "\"0s\"");
    let setups = [
        base().set("store.database", &quoted("postgres")),
        base().set("store.database", &quoted("postgresql")),
        base().set("store.database", &quoted("mysql")),
        base().set("store.database", &format!("[{}]", quoted("postgres"))),
        base().set("store.redis", &quoted("redis")),
        base().set("store.redis", &quoted("rediss")),
        base()
            .unset("store.database")
            .set("store.database_file", "\"database.txt\"")
            .file("database.txt", of("postgres")),
        base().environment("GUARITA_STORE__DATABASE", &of("postgres")),
        base().environment("GUARITA_STORE__REDIS", &of("redis")),
        base()
            .environment("DB_DRIVER", "postgres")
            .environment("DB_HOST", "127.0.0.1")
            .environment("DB_PORT", "1")
            .environment("DB_DATABASE", "guarita")
            .environment("DB_USERNAME", "guarita")
            .environment("DB_PASSWORD", &password),
        base().environment("DATABASE_URL", &of("postgres")),
        base().environment("TOTP_ENC_KEY", &password[..20]),
        base().environment("INTROSPECTION_CLIENTS", &password),
        base().environment("SERVICE_API_KEY", &format!("{password} ")),
        base().upstream("v", &[&of("http")]),
    ];
    for (number, setup) in setups.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        setup.write(directory.path());
        for verb in ["check", "serve", "migrate"] {
            let mut command = cli::command(directory.path());
            command.args([verb, "--config", "guarita.toml"]);
            command.envs(setup.variables().iter().cloned());
            let outcome = cli::finish(&mut command, "").await;
            // What is well written can be checked, whether or not the server is there.
            let is_well = verb == "check" || outcome.code != 0;
            assert!(is_well, "{number} {verb}: {}", outcome.output());
            assert!(!outcome.output().contains(MARK), "{verb}: {}", outcome.output());
        }
    }
}

/// About SQLite, which takes a text where a number should be.
#[tokio::test]
async fn logging_leak_005_a_session_that_cannot_be_read_is_not_told() {
    if database::is_postgres() {
        return;
    }
    let stage = Stage::with(loud).await;
    for column in ["created_at", "expires_at", "user_id"] {
        let alice = stage.alice().await;
        let sid = alice.sid.clone().unwrap();
        let broken = secret("row");
        let statement = format!(
            "PRAGMA foreign_keys = OFF; UPDATE sessions SET {column} = '{broken}' WHERE id = '{sid}'"
        );
        let statement = statement.split("; ").last().unwrap();
        database::execute(&stage.gateway.data().join("guarita.db"), statement).await;
        let answer = alice.get("/api/x").await;
        assert!(matches!(answer.status, 401 | 503), "{column}: {}", answer.text());
        assert_refused(&answer);
        assert!(!answer.text().contains(&sid));
        let log = stage.gateway.log.text();
        assert!(!log.contains(&sid) && !log.contains(MARK), "{log}");
    }
    stage.assert_nothing_forwarded("a session that cannot be read");
}

#[tokio::test]
async fn logging_leak_007_an_upstream_sees_no_credential_of_the_gateway() {
    let clients = Authority::new("Clients");
    let stage = Stage::with(|setup| with_factors(setup).client_auth("optional", &clients)).await;
    let alice = stage.alice().await;
    let identity = clients.client(&Client::named("robot"));
    let caller = alice.over(stage.gateway.tls().identity(&identity));
    let refresh = alice.refresh_token.clone().unwrap();
    for path in ["/api/x", "/public/x"] {
        let request = laden(Request::get(path))
            .header("cookie", "theme=dark")
            .header("cookie", &format!("__Host-guarita-session={refresh}; __Host-guarita-csrf=x"))
            .header("x-forwarded-client-cert", "Cert=x")
            .header("x-ssl-client-cert", "x")
            .header("via", "1.1 inner.corp.test")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive");
        assert_eq!(caller.send(request).await.status, 200, "{path}");
        let received = stage.upstream.last();
        let text = received.text();
        for kind in ["device", "api-key", "csrf"] {
            let sent_on = text.contains(&secret(kind));
            // What belongs to others may go on: this one is no name of ours.
            assert!(!sent_on || kind == "csrf", "{kind}: {text}");
        }
        for credential in [&refresh, alice.token.as_ref().unwrap(), &encode(secret("proxy"))] {
            assert!(!text.contains(credential.as_str()), "{text}");
        }
        assert!(!text.contains("BEGIN ") && !text.contains("guarita-"), "{text}");
        for name in [
            "authorization",
            "x-service-api-key",
            "proxy-authorization",
            "proxy-connection",
            "keep-alive",
            "te",
            "upgrade",
            "x-forwarded-client-cert",
            "x-ssl-client-cert",
        ] {
            assert!(received.folded(name).is_empty(), "{name}: {text}");
        }
        assert_eq!(received.all("cookie"), [format!("sid={}; theme=dark", secret("sid"))]);
    }
}

/// The only audit file of the gateway, by name and lines.
fn audit_file(gateway: &Gateway) -> (PathBuf, Vec<String>) {
    let files = std::fs::read_dir(gateway.data().join("audit")).unwrap();
    let paths: Vec<_> =
        files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    let text = std::fs::read_to_string(&paths[0]).unwrap();
    (paths[0].clone(), text.split_inclusive('\n').map(str::to_owned).collect())
}

/// Where the line with the text stands.
fn place(lines: &[String], text: &str) -> usize {
    lines.iter().position(|line| line.contains(text)).unwrap()
}

/// What the log told last of the seals.
fn told_seal(gateway: &Gateway) -> String {
    let told: Vec<_> = gateway.log.events();
    told.iter().rev().find_map(|line| line["seal"].as_str()).unwrap().to_owned()
}

/// A gateway that stopped after some batches of lines.
async fn stopped() -> Stage {
    let mut stage = Stage::with(|setup| setup.set("audit.keep", "\"3650d\"")).await;
    let alice = stage.alice().await;
    for path in ["/api/first", "/api/second", "/api/third"] {
        assert_eq!(alice.get(path).await.status, 200);
        let sealed = || async {
            let lines = stage.gateway.audit();
            let written = lines.iter().position(|line| line["path"] == path)?;
            lines[written..].iter().any(|line| line["event"] == "audit.seal").then_some(())
        };
        until("the line and its seal", sealed).await;
    }
    stop(&mut stage.gateway).await;
    stage
}

async fn stop(gateway: &mut Gateway) {
    gateway.terminate().await;
    gateway.ended().await;
    until("the last seal in the log", || async {
        let told = gateway.log.events();
        let after = told.iter().skip_while(|line| line["event"] != "server.draining");
        after.filter(|line| line["event"] == "audit.seal").count().checked_sub(1)
    })
    .await;
}

#[tokio::test]
async fn logging_leak_006_whoever_edits_deletes_or_cuts_audit_lines_is_seen() {
    let stage = stopped().await;
    let told = told_seal(&stage.gateway);
    let verify = ["audit", "verify"];
    let expect = ["audit", "verify", "--expect", &told];
    let whole = stage.gateway.verb(&expect, "").await.succeeded();
    assert!(whole.stdout.starts_with("ok: 1 files") && whole.stdout.contains(&told), "{whole:?}");

    let (path, lines) = audit_file(&stage.gateway);
    let name = path.file_name().unwrap().to_str().unwrap();
    let second = place(&lines, "/api/second");
    let seal = second + place(&lines[second..], "audit.seal");
    let third = place(&lines, "/api/third");
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.concat()
    };
    let edits = [
        ("edit", changed(&|lines| lines[second] = lines[second].replace("alice", "root"))),
        ("delete", changed(&|lines| drop(lines.remove(second)))),
        ("add", changed(&|lines| lines.insert(second, lines[second].clone()))),
        ("swap", changed(&|lines| lines.swap(second, third))),
        ("delete a seal", changed(&|lines| drop(lines.remove(seal)))),
        (
            "edit a seal",
            changed(&|lines| lines[seal] = lines[seal].replace("\"lines\":", "\"lines\":1")),
        ),
        ("delete a batch", changed(&|lines| drop(lines.drain(second..=seal)))),
        ("delete the beginning", changed(&|lines| drop(lines.drain(..second)))),
        ("cut in a batch", changed(&|lines| lines.truncate(third + 1))),
        (
            "cut in a line",
            changed(&|lines| {
                lines.truncate(third + 1);
                lines[third].truncate(20);
            }),
        ),
    ];
    for (what, text) in edits {
        std::fs::write(&path, text).unwrap();
        let seen = stage.gateway.verb(&verify, "").await.failed(1);
        assert!(seen.stdout.starts_with(&format!("{name}:")), "{what}: {seen:?}");
        stage.gateway.verb(&expect, "").await.failed(1);
    }
    // Cut where a seal is, everything that is left holds: the log knows better.
    std::fs::write(&path, lines[..=seal].concat()).unwrap();
    stage.gateway.verb(&verify, "").await.succeeded();
    let seen = stage.gateway.verb(&expect, "").await.failed(1);
    assert!(seen.stdout.contains("is in no file"), "{seen:?}");
    std::fs::remove_file(&path).unwrap();
    stage.gateway.verb(&verify, "").await.failed(1);
    for bad in ["1", "x:y", "1:AAAA"] {
        let outcome = stage.gateway.verb(&["audit", "verify", "--expect", bad], "").await;
        assert_eq!(outcome.code, 2, "{outcome:?}");
    }
}

#[tokio::test]
async fn logging_leak_006_a_restart_hides_no_change() {
    for reason in ["unsealed_lines", "seal_does_not_fit", "not_stopped"] {
        let stage = stopped().await;
        let told = told_seal(&stage.gateway);
        let (path, lines) = audit_file(&stage.gateway);
        let third = place(&lines, "/api/third");
        let changed = match reason {
            "unsealed_lines" => lines[..=third].concat(),
            "seal_does_not_fit" => lines.concat().replace("\"server.stopped\"", "\"x\""),
            _ => lines[..third].concat(),
        };
        std::fs::write(&path, changed).unwrap();
        let gateway = stage.gateway.crash_and_restart().await;
        let resumed =
            gateway.audited("what was found", |line| line["event"] == "audit.resumed").await;
        assert_eq!(resumed["reason"], reason);
        gateway.log.wait_for(reason, |line| line["reason"] == reason).await;
        assert_eq!(gateway.bearer("alice").await.get("/api/x").await.status, 200);
        gateway.verb(&["audit", "verify", "--expect", &told], "").await.failed(1);
        let seen = gateway.verb(&["audit", "verify"], "").await;
        assert!(seen.stdout.contains(reason), "{seen:?}");
    }
}

#[tokio::test]
async fn audit_files_hold_over_stops_crashes_and_days() {
    let stage = stopped().await;
    let first = told_seal(&stage.gateway);
    // As if all that had been yesterday.
    let (path, _) = audit_file(&stage.gateway);
    std::fs::rename(&path, path.with_file_name("audit-2026-01-01.jsonl")).unwrap();
    let gateway = stage.gateway.crash_and_restart().await;
    gateway
        .audited("the start", |line| {
            line["event"] == "audit.continued" && line["after"] == "audit-2026-01-01.jsonl"
        })
        .await;
    assert!(gateway.audit().iter().all(|line| line["event"] != "audit.resumed"));
    // While it runs.
    gateway.bearer("alice").await;
    gateway.verb(&["audit", "verify", "--expect", &first], "").await.succeeded();
    let mut gateway = gateway.crash_and_restart().await;
    let resumed = gateway.audited("the crash", |line| line["event"] == "audit.resumed").await;
    assert_eq!(resumed["reason"], "not_stopped");
    stop(&mut gateway).await;
    let second = told_seal(&gateway);
    let arguments = ["audit", "verify", "--expect", &first, "--expect", &second];
    let whole = gateway.verb(&arguments, "").await.succeeded();
    assert!(whole.stdout.contains("ok: 2 files"), "{whole:?}");
}

#[tokio::test]
async fn a_second_gateway_does_not_write_to_the_same_audit_files() {
    let stage = Stage::new().await;
    let second = stage.gateway.verb(&["serve"], "").await.failed(2);
    assert!(second.stderr.contains("audit file: another process writes there"), "{second:?}");
}
