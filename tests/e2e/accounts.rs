//! Accounts: made with a profile, imported from another system.

use std::fmt::Write as _;

use serde_json::json;

use crate::harness::database::execute;
use crate::harness::{Gateway, Setup, Upstream, password_of};

/// bcrypt of [`PASSWORD`], at cost 4, as PHP writes it.
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
const PASSWORD: &str = "correct horse battery staple";
const CPF: &str = "529.982.247-25";

async fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    (upstream, gateway)
}

/// A number whose check digits match.
fn cpf(number: u32) -> String {
    let mut digits: Vec<u32> =
        format!("{number:09}").chars().map(|digit| digit.to_digit(10).unwrap()).collect();
    for length in [9, 10] {
        let weights = (2..=length + 1).rev();
        let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        digits.push((sum * 10) % 11 % 10);
    }
    digits.iter().map(ToString::to_string).collect()
}

async fn import(gateway: &Gateway, format: &str, text: &str) -> crate::harness::cli::Outcome {
    gateway.verb(&["user", "import", "--format", format, "-"], text).await
}

async fn users(gateway: &Gateway) -> String {
    let file = gateway.data().join("guarita.db");
    execute(&file, "SELECT COUNT(*) FROM users").await.remove(0)
}

#[tokio::test]
async fn ten_thousand_users_are_imported_log_in_with_bcrypt_and_are_upgraded() {
    let (_upstream, gateway) = start().await;
    let mut text = "username,email,password_hash,roles,nome_completo,cpf,oab,uf_oab\n".to_owned();
    for number in 1..=10_000 {
        let cpf = cpf(number);
        writeln!(
            text,
            "user{number},user{number}@firma.test,{BCRYPT},user,Pessoa {number},{cpf},{number},SP"
        )
        .unwrap();
    }
    let done = import(&gateway, "csv", &text).await.succeeded();
    assert_eq!(done.stdout.trim(), "10000 users imported");
    assert_eq!(users(&gateway).await, "10002");

    let anonymous = gateway.anonymous();
    anonymous.log_in("user7", "wrong password").await.assert_problem(401, "invalid_credentials");
    let by_email = json!({ "email": "USER9999@Firma.test", "password": PASSWORD });
    assert_eq!(anonymous.post("/auth/login", &by_email).await.status, 200);
    let file = gateway.data().join("guarita.db");
    let kinds = "SELECT SUBSTR(password_hash, 1, 9) FROM users WHERE username IN ('user9999', 'user7') ORDER BY username";
    let before = execute(&file, kinds).await;
    assert!(before[0].starts_with("$2y$04$"), "{before:?}");
    assert_eq!(before[1], "$argon2id");
    // The new hash is of the same password, and alone.
    assert_eq!(anonymous.post("/auth/login", &by_email).await.status, 200);
    let again = import(&gateway, "csv", &text).await.failed(1);
    assert_eq!(again.stderr.lines().count(), 30_001);
    assert_eq!(users(&gateway).await, "10002");
}

#[tokio::test]
async fn a_bad_import_does_nothing_and_tells_every_row_without_its_secrets() {
    let (_upstream, gateway) = start().await;
    let dear = BCRYPT.replacen("$04$", "$31$", 1);
    let text = format!(
        "username,email,password_hash,cpf\n\
         good,good@firma.test,{BCRYPT},{CPF}\n\
         alice,,,\n\
         dear,dear@firma.test,{dear},\n\
         plain,not an address,hunter2-in-the-clear,529.982.247-26\n\
         good,,,52998224725\n\
         \u{1b}[2J,,,\n\
         few\n"
    );
    let bad = import(&gateway, "csv", &text).await.failed(1);
    let lines: Vec<_> = bad.stderr.lines().collect();
    for (line, column) in [
        (3, "username"),
        (4, "password_hash"),
        (5, "email"),
        (5, "password_hash"),
        (5, "cpf"),
        (6, "username"),
        (6, "cpf"),
        (7, "username"),
        (8, "row"),
    ] {
        let start = format!("line {line}: {column}: ");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{start}\n{}", bad.stderr);
    }
    assert_eq!(lines.len(), 10, "{}", bad.stderr);
    for secret in ["hunter2", "abcdefgh", "529", "not an address", "firma", "\u{1b}"] {
        assert!(!bad.output().contains(secret), "{secret}\n{}", bad.output());
    }
    assert_eq!(users(&gateway).await, "2");
    let json = "{\"username\":\"ana\",\"password_hash\":7}\n{\"username\":\"bob\"}\n";
    let bad = import(&gateway, "jsonl", json).await.failed(1);
    assert!(bad.stderr.starts_with("line 1: row: password_hash"), "{}", bad.stderr);
    let dry = ["user", "import", "--dry-run", "--format", "jsonl", "-"];
    let told = gateway.verb(&dry, "{\"username\":\"bob\"}\n").await.succeeded();
    assert_eq!(told.stdout.trim(), "1 users would be imported");
    assert_eq!(users(&gateway).await, "2");
    let huge = "x".repeat((64 << 20) + 1);
    let refused = import(&gateway, "csv", &huge).await.failed(1);
    assert!(refused.stderr.contains("larger than 64 MiB"), "{}", refused.stderr);
    assert_eq!(
        gateway.verb(&["user", "import", "--format", "csv", "missing.csv"], "").await.code,
        2
    );
}

#[tokio::test]
async fn what_operators_change_holds_for_tokens_that_are_out() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/admin/x").await.status, 403);
    let grant = ["user", "grant", "--username", "alice", "--role", "admin"];
    gateway.verb(&grant, "").await.succeeded();
    crate::harness::until("the new role", || async {
        (alice.get("/admin/x").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(upstream.last().one("app_roles").as_deref(), Some("admin,user"));
    gateway.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    crate::harness::until("the end of her session", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
}

/// Case rate-limit-lockout-003 of accounts: what is not active is refused everywhere at once.
#[tokio::test]
async fn an_account_that_is_not_active_is_refused_everywhere_at_once() {
    let (_upstream, gateway) = start().await;
    let line = format!("{{\"username\":\"off\",\"password_hash\":\"{BCRYPT}\",\"ativo\":false}}\n");
    import(&gateway, "jsonl", &line).await.succeeded();
    let anonymous = gateway.anonymous();
    anonymous.log_in("off", PASSWORD).await.assert_problem(401, "invalid_credentials");
    gateway.verb(&["user", "enable", "--username", "off"], "").await.succeeded();
    let answer = anonymous.log_in("off", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let caller = anonymous.holding(&answer.json());
    assert_eq!(caller.get("/api/x").await.status, 200);
    gateway.verb(&["user", "disable", "--username", "off"], "").await.succeeded();
    crate::harness::until("the token to be refused", || async {
        (caller.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    caller.refresh().await.assert_problem(401, "invalid_refresh_token");
    anonymous.log_in("off", PASSWORD).await.assert_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn a_profile_is_checked_kept_and_masked() {
    let (_upstream, gateway) = start().await;
    let create = |name: &'static str, more: &'static [&'static str]| {
        let gateway = &gateway;
        async move {
            let mut verb = vec!["user", "create", "--password-stdin", "--username", name];
            verb.extend(more);
            gateway.verb(&verb, PASSWORD).await
        }
    };
    let whole = &[
        "--nome-completo",
        "Ana Souza",
        "--cpf",
        CPF,
        "--email",
        "Ana@Firma.test",
        "--oab",
        "123456",
        "--uf-oab",
        "sp",
        "--auth-user-id",
        "01932c07-7f0c-7d5e-8a00-0123456789ab",
    ];
    create("ana", whole).await.succeeded();
    for more in [
        &["--cpf", "529.982.247-26"][..],
        &["--cpf", "111.111.111-11"],
        &["--cpf", "52998224725"],
        &["--email", "ana@firma.test"],
        &["--email", "ａｎａ@firma.test"],
        &["--email", "аna@firma.test"],
        &["--email", "ana@firma..test"],
        &["--oab", "123456"],
        &["--uf-oab", "SP"],
        &["--oab", "1", "--uf-oab", "XX"],
        &["--nome-completo", "Ana\nSouza"],
        &["--auth-user-id", "01932c07-7f0c-7d5e-8a00-0123456789ab"],
    ] {
        let refused = create("eve", more).await.failed(1);
        assert!(!refused.output().contains("529"), "{}", refused.output());
        assert!(!refused.output().contains("firma"), "{}", refused.output());
    }
    create("late", &["--ativo", "false"]).await.succeeded();
    let show = gateway.verb(&["user", "show", "--json", "--username", "ana"], "").await.succeeded();
    let shown: serde_json::Value = serde_json::from_str(&show.stdout).unwrap();
    assert_eq!(
        shown["profile"],
        json!({
            "nome_completo": "Ana Souza", "cpf": "***.***.***-25",
            "email_corporativo": "Ana@Firma.test", "oab": "123456", "uf_oab": "SP", "ativo": true,
            "auth_user_id": "01932c07-7f0c-7d5e-8a00-0123456789ab",
        })
    );
    let show = gateway.verb(&["user", "show", "--username", "ana"], "").await.succeeded();
    assert!(show.stdout.contains("cpf: ***.***.***-25\n"), "{}", show.stdout);
    let list = gateway.verb(&["user", "list"], "").await.succeeded();
    assert!(!list.output().contains("529"), "{}", list.output());
    assert!(list.stdout.lines().any(|line| line.contains("late") && line.contains("disabled")));
}

/// Case logging-leak-001, for what this capability handles: no password, hash, device token, CPF or
/// whole address is in a log, a metric, an audit line or an answer, at the loudest level.
#[tokio::test]
async fn logging_leak_001_nothing_of_a_person_is_written_down() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .set("log.level", "\"trace\"")
        .set("rate_limits.login.per_account", "\"20/1h\"")
        .start()
        .await;
    let line = format!(
        "{{\"username\":\"ana\",\"email\":\"ana.canary@firma.test\",\"cpf\":\"{CPF}\",\
         \"nome_completo\":\"Canary Souza\",\"password_hash\":\"{BCRYPT}\"}}\n"
    );
    let outcome = import(&gateway, "jsonl", &line).await.succeeded();
    let anonymous = gateway.anonymous();
    let mut answers = vec![outcome.output()];
    let mut cookie = String::new();
    for (name, value, password) in [
        ("email", "ana.canary@firma.test", PASSWORD),
        ("email", "ana.canary@firma.test", "canary password one"),
        ("email", "other.canary@firma.test", "canary password two"),
        ("username", CPF, "canary password three"),
        ("username", "52998224725", PASSWORD),
    ] {
        let body = json!({ name: value, "password": password });
        for _ in 0..7 {
            let answer = anonymous.post("/auth/login", &body).await;
            if let Some(field) = answer.header("set-cookie") {
                cookie = field.split(['=', ';']).nth(1).unwrap().to_owned();
            }
            answers.push(if answer.status == 200 { String::new() } else { answer.text() });
        }
    }
    assert_eq!(cookie.len(), 43);
    answers.push(gateway.operations("/metrics").await.text());
    gateway.audited("the lines to be written", |line| line["event"] == "auth.login.locked").await;
    answers.push(gateway.log.text());
    answers.push(gateway.audit().iter().map(ToString::to_string).collect());
    let secrets = [
        PASSWORD,
        "canary",
        "Canary",
        "529.982",
        "52998224725",
        "$2y$",
        "$argon2",
        &cookie,
        &password_of("alice"),
    ];
    for text in &answers {
        for secret in secrets {
            let found = text.lines().find(|line| line.contains(secret));
            assert!(found.is_none(), "{secret}: {found:?}");
        }
    }
}

/// Lines of commands, at the node where they ran.
fn commands(gateway: &crate::harness::Gateway) -> Vec<serde_json::Value> {
    let files = std::fs::read_dir(gateway.data().join("audit/commands")).unwrap();
    let text: String =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &serde_json::Value| line["event"].as_str().unwrap().starts_with("admin."))
        .collect()
}

#[tokio::test]
async fn what_operators_change_at_the_command_line_is_in_the_audit_files() {
    let gateway = crate::harness::Setup::standard("http://127.0.0.1:9").on_file().start().await;
    let create = ["user", "create", "--username", "carol", "--password-stdin"];
    gateway.verb(&create, "a password, of many words").await.succeeded();
    let grant = ["user", "grant", "--username", "alice", "--role", "auditor"];
    gateway.verb(&grant, "").await.succeeded();
    let set = ["user", "set-password", "--username", "alice", "--password-stdin"];
    gateway.verb(&set, "another password, of many words").await.succeeded();
    let unknown = ["user", "disable", "--username", "nobody@example.test"];
    gateway.verb(&unknown, "").await.failed(1);
    gateway.verb(&["apikey", "create", "--name", "job"], "").await.succeeded();
    gateway.verb(&["user", "list"], "").await.succeeded();
    let lines = commands(&gateway);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            ["event", "reason", "sub"].map(|name| line[name].as_str().unwrap_or("").to_owned())
        })
        .collect();
    let of = |result: &str, verb: &str, about: &str| {
        [format!("admin.command.{result}"), verb.to_owned(), about.to_owned()]
    };
    for line in [
        of("succeeded", "user create", "carol"),
        of("succeeded", "user grant auditor", "alice"),
        of("succeeded", "user set-password", "alice"),
        of("failed", "user disable", "n***@example.test"),
        of("succeeded", "apikey create", "job"),
    ] {
        assert_eq!(told.iter().filter(|told| **told == line).count(), 1, "{line:?}: {told:?}");
    }
    assert_eq!(told.len(), 5, "what only looks is no line: {told:?}");
    let verify = ["audit", "verify", "--commands"];
    let verified = gateway.verb(&verify, "").await.succeeded();
    assert!(verified.stdout.starts_with("ok: "), "{}", verified.stdout);
    // Several at once take turns, and what cannot be audited is not done.
    let disable = ["user", "disable", "--username", "alice"];
    let enable = ["user", "enable", "--username", "root"];
    let (one, other) = tokio::join!(gateway.verb(&disable, ""), gateway.verb(&enable, ""));
    for outcome in [one, other] {
        outcome.succeeded();
    }
    let directory = gateway.data().join("audit/commands");
    std::fs::rename(&directory, gateway.data().join("kept")).unwrap();
    std::fs::write(&directory, "in the way").unwrap();
    let refused = gateway.verb(&["user", "enable", "--username", "alice"], "").await.failed(2);
    assert!(refused.stderr.contains("nothing was done"), "{}", refused.stderr);
    let shown = gateway.verb(&["user", "show", "--username", "alice"], "").await.succeeded();
    assert!(shown.stdout.contains("disabled"), "{}", shown.stdout);
}
