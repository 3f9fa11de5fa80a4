//! Keys that several gateways have alike, and how they are changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::browser::SESSION;
use crate::harness::setup::{password_of, replace};
use crate::harness::tokens::Genuine;
use crate::harness::wait::{DEADLINE, within_minutes};
use crate::harness::{
    Browser, Gateway, Mailbox, Persona, Request, Setup, Upstream, canary, cli, until,
};
use crate::recovery;

const MASTER: &str = "kT7hUq2Zs9vB4nXw8cLr3mYd6pFg1aJe5oWi0tHx";
const OTHER_MASTER: &str = "Zx0tHiW5oeJ1agF6pdY3mrL8cwX4nBv9sZ2qUh7Tk";

/// No key is given: the gateways make them.
fn without_given_keys(upstream: &Upstream) -> Setup {
    Setup::standard(&upstream.url())
        .unset("tokens.signing_key_file")
        .set("tokens.algorithm", "\"ES256\"")
        .set("rate_limits.login.per_source", "\"off\"")
        .set("rate_limits.login.per_account", "\"off\"")
        .set("rate_limits.refresh.per_source", "\"off\"")
}

fn sealed(upstream: &Upstream) -> Setup {
    canary::keep(MASTER);
    canary::keep(OTHER_MASTER);
    without_given_keys(upstream).environment("GUARITA_MASTER_KEY", MASTER)
}

/// The ids of the published keys.
async fn published(gateway: &Gateway) -> BTreeSet<String> {
    let set = gateway.anonymous().get("/.well-known/jwks.json").await.json();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn key_id(caller: &Persona) -> String {
    Genuine::of(caller).header["kid"].as_str().unwrap().to_owned()
}

async fn rows(gateway: &Gateway) -> Vec<Value> {
    let listed = gateway.verb(&["keys", "list", "--json"], "").await.succeeded();
    serde_json::from_str(&listed.stdout).unwrap()
}

/// The ids of the keys of tokens that are in that state.
async fn in_state(gateway: &Gateway, state: &str) -> Vec<String> {
    let rows = rows(gateway).await.into_iter();
    let found = rows.filter(|row| row["for"] == "tokens" && row["state"] == state);
    found.map(|row| row["kid"].as_str().unwrap().to_owned()).collect()
}

async fn rotate(gateway: &Gateway, more: &[&str]) -> String {
    let verb: Vec<_> = ["keys", "rotate"].iter().chain(more).copied().collect();
    let said = gateway.verb(&verb, "").await.succeeded().stdout;
    said.split_whitespace().next().unwrap().to_owned()
}

async fn is_let_in(gateway: &Gateway, caller: &Persona) -> bool {
    gateway.anonymous().like(caller).get("/api/x").await.status == 200
}

#[tokio::test]
async fn what_one_gateway_gives_another_takes() {
    let (upstream, mailbox) = (Upstream::start().await, Mailbox::start().await);
    let one = recovery::unlimited(sealed(&upstream).mail(mailbox.address)).start().await;
    let create = ["user", "create", "--password-stdin", "--username", "ana", "--role", "user"];
    let create: Vec<_> = create.into_iter().chain(["--email", recovery::ANA]).collect();
    one.verb(&create, &password_of("ana")).await.succeeded();
    let other = one.another_node().await;
    assert_eq!(published(&one).await, published(&other).await);
    let alice = one.bearer("alice").await;
    assert!(is_let_in(&other, &alice).await);

    // A refresh token is exchanged at one; within the grace the other gives the same successor.
    let first = alice.refresh().await.json();
    let again = other.anonymous().like(&alice).refresh().await.json();
    assert_eq!(first["refreshToken"], again["refreshToken"]);

    // A cookie, and the proof that a request was meant.
    let browser = Browser::signed_in(&one, "alice").await;
    let proof = browser.csrf_token().await;
    let elsewhere = Browser::new(&other);
    for name in [SESSION, "__Host-guarita-csrf"] {
        elsewhere.keep(name, &browser.cookie(name).unwrap());
    }
    let request = Request::post("/api/x").header("sec-fetch-site", "same-origin").body("");
    assert_eq!(elsewhere.send(request.clone()).await.status, 403);
    assert_eq!(elsewhere.send(request.header("x-csrf-token", &proof)).await.status, 200);

    // The link of a mail.
    let asked = one.anonymous().post("/recover", &json!({ "email": recovery::ANA })).await;
    assert_eq!(asked.status, 202);
    let mail = mailbox.first(recovery::RESET, recovery::ANA).await;
    let body = json!({ "token": mail.token(), "password": recovery::NEW });
    assert_eq!(other.anonymous().post("/recover/confirm", &body).await.status, 204);
    assert!(!one.directory().join("data/outbox.key").exists());
    assert!(!one.directory().join("data/keys").exists());
}

/// A store with accounts, and what gateways on it are started with.
async fn prepared(setup: &Setup, directory: &Path) -> Setup {
    let setup = setup.clone().on_file();
    setup.write(directory);
    let create =
        ["user", "create", "--config", "guarita.toml", "--password-stdin", "--username", "alice"];
    let mut command = cli::command(directory);
    command.args(create).args(["--role", "user"]).envs(setup.variables().iter().cloned());
    cli::finish(&mut command, &password_of("alice")).await.succeeded();
    let database = directory.join("data/guarita.db");
    setup.set("store.database", &format!("\"sqlite:{}\"", database.display()))
}

async fn start_at_once(setup: &Setup, count: usize) -> Vec<Gateway> {
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (directory, setup) = (tempfile::tempdir().unwrap(), setup.clone());
        setup.write(directory.path());
        starting.spawn(Gateway::start_in(directory, setup));
    }
    starting.join_all().await
}

#[tokio::test]
async fn ten_gateways_that_start_at_once_make_one_set_of_keys() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = prepared(&sealed(&upstream), directory.path()).await;
    let gateways = start_at_once(&setup, 10).await;
    let mut sets = BTreeSet::new();
    for gateway in &gateways {
        sets.insert(published(gateway).await);
    }
    assert_eq!(sets.len(), 1, "{sets:?}");
    assert_eq!(rows(&gateways[0]).await.len(), 3);
    let alice = gateways[0].bearer("alice").await;
    for gateway in &gateways {
        assert!(is_let_in(gateway, &alice).await);
    }
}

/// Somebody who verifies tokens by the published keys, and keeps those as long as is allowed.
struct Verifier {
    keys: BTreeMap<String, jsonwebtoken::DecodingKey>,
    until: Instant,
}

impl Verifier {
    fn new() -> Self {
        Self { keys: BTreeMap::new(), until: Instant::now() }
    }

    async fn verify(&mut self, gateway: &Gateway, token: &str) {
        if Instant::now() >= self.until {
            let asked = Instant::now();
            let answer = gateway.anonymous().get("/.well-known/jwks.json").await;
            let caching = answer.header("cache-control").unwrap();
            let seconds = caching.strip_prefix("public, max-age=").unwrap().parse().unwrap();
            self.until = asked + Duration::from_secs(seconds);
            let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&answer.body).unwrap();
            let keys = set.keys.iter().map(|key| {
                let id = key.common.key_id.clone().unwrap();
                (id, jsonwebtoken::DecodingKey::from_jwk(key).unwrap())
            });
            self.keys = keys.collect();
        }
        let id = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = self.keys.get(&id).expect("a key that was published ahead");
        let mut expected = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        expected.set_audience(&["api"]);
        jsonwebtoken::decode::<Value>(token, key, &expected).expect("a token that holds");
    }
}

#[tokio::test]
async fn nobody_meets_a_key_that_it_could_not_know() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = sealed(&upstream)
        .set("tokens.publish_ahead", "\"6s\"")
        .set("tokens.refresh_rotation", "\"static\"");
    let setup = prepared(&setup, directory.path()).await;
    let gateways = start_at_once(&setup, 3).await;
    let mut verifiers = [Verifier::new(), Verifier::new(), Verifier::new()];
    let mut callers = Vec::new();
    for gateway in &gateways {
        callers.push(gateway.bearer("alice").await);
    }
    let old = key_id(&callers[0]);
    for (at, verifier) in verifiers.iter_mut().enumerate() {
        verifier.verify(&gateways[at], callers[0].token.as_deref().unwrap()).await;
    }
    let new = rotate(&gateways[0], &[]).await;
    let before: BTreeSet<_> = [old.clone(), new.clone()].into();
    for gateway in &gateways {
        until("the new key to be published", || async {
            (published(gateway).await == before).then_some(())
        })
        .await;
    }
    let mut seen = BTreeMap::<String, u32>::new();
    let began = Instant::now();
    // On for a while after the switch: so long others may keep what they know.
    while seen.get(&new).is_none_or(|count| *count < 90) {
        assert!(began.elapsed() < DEADLINE * 3 / 2, "{seen:?}");
        for (at, verifier) in verifiers.iter_mut().enumerate() {
            for caller in &callers {
                let pair = caller.refresh().await;
                assert_eq!(pair.status, 200, "{}", pair.text());
                let fresh = caller.holding(&pair.json());
                verifier.verify(&gateways[at], fresh.token.as_deref().unwrap()).await;
                assert!(is_let_in(&gateways[(at + 1) % 3], &fresh).await);
                *seen.entry(key_id(&fresh)).or_default() += 1;
            }
        }
    }
    assert!(seen[&old] > 0 && seen.len() == 2, "{seen:?}");
    // What the old key signed holds on.
    for gateway in &gateways {
        assert!(is_let_in(gateway, &callers[0]).await);
    }
    assert_eq!(in_state(&gateways[1], "verifying").await, [old]);
}

#[tokio::test]
async fn stolen_keys_are_void_on_every_gateway_whatever_its_configuration_says_by_now() {
    let upstream = Upstream::start().await;
    let one = sealed(&upstream).start().await;
    let other = one.another_node().await;
    let alice = one.bearer("alice").await;
    assert!(is_let_in(&other, &alice).await);
    replace(&other.directory().join("guarita.toml"), b"nonsense = 1\n");
    let new = rotate(&one, &["--compromised"]).await;
    for gateway in [&one, &other] {
        until("the stolen key to be void", || async {
            let void = !is_let_in(gateway, &alice).await;
            (void && published(gateway).await == [new.clone()].into()).then_some(())
        })
        .await;
    }
    assert!(is_let_in(&one, &other.bearer("alice").await).await);
}

#[tokio::test]
async fn a_gateway_that_is_killed_between_announcement_and_switch_goes_on_with_both_keys() {
    let upstream = Upstream::start().await;
    for setup in [sealed(&upstream), without_given_keys(&upstream).on_file()] {
        let gateway = setup.start().await;
        let alice = gateway.bearer("alice").await;
        let new = rotate(&gateway, &[]).await;
        let both: BTreeSet<_> = [key_id(&alice), new.clone()].into();
        let gateway = gateway.crash_and_restart().await;
        assert_eq!(published(&gateway).await, both);
        assert!(is_let_in(&gateway, &alice).await);
        assert_eq!(key_id(&gateway.bearer("alice").await), key_id(&alice));
        assert_eq!(in_state(&gateway, "announced").await, [new]);
        let refused = gateway.verb(&["keys", "rotate"], "").await.failed(1);
        assert!(refused.stderr.contains("one change at a time"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_rotation_that_is_killed_happens_or_does_not() {
    let upstream = Upstream::start().await;
    for setup in [sealed(&upstream), without_given_keys(&upstream).on_file()] {
        let gateway = setup.start().await;
        let variables: Vec<_> = gateway.setup.variables().to_vec();
        for wait in 0..10 {
            let mut command = cli::command(gateway.directory());
            command
                .args(["keys", "rotate", "--compromised", "--config", "guarita.toml"])
                .envs(variables.iter().cloned());
            let mut rotating = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            let patience = Duration::from_millis(5 * wait);
            if tokio::time::timeout(patience, rotating.wait()).await.is_err() {
                rotating.kill().await.unwrap();
            }
            assert_eq!(in_state(&gateway, "signing").await.len(), 1);
        }
        // Whatever was left behind, the next one puts it in order.
        let last = rotate(&gateway, &["--compromised"]).await;
        until("the last key alone", || async {
            (published(&gateway).await == [last.clone()].into()).then_some(())
        })
        .await;
        let gateway = gateway.crash_and_restart().await;
        assert_eq!(key_id(&gateway.bearer("alice").await), last);
    }
}

#[tokio::test]
async fn a_start_with_another_a_short_or_no_master_key_is_refused_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let gateway = sealed(&upstream).on_file().start().await;
    let before = rows(&gateway).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let database = format!("\"sqlite:{}\"", gateway.data().join("guarita.db").display());
    gateway.setup().set("store.database", &database).write(elsewhere.path());
    let serve = async |name: &str, value: &str| {
        let mut command = cli::command(elsewhere.path());
        command.args(["serve", "--config", "guarita.toml"]).env(name, value);
        cli::finish(&mut command, "").await.failed(2)
    };
    for (value, told) in [
        (OTHER_MASTER, "the master key does not decrypt the keys of this database"),
        (&MASTER[..31], "must be 32 to 4096 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "must be 32 to 4096 bytes"),
    ] {
        let refused = serve("GUARITA_MASTER_KEY", value).await.output();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains(value), "{refused}");
    }
    let doctor = async |masters: &str| {
        let mut command = cli::command(elsewhere.path());
        command.args(["doctor", "--config", "guarita.toml"]).env("GUARITA_MASTER_KEY", masters);
        cli::finish(&mut command, "").await.stdout
    };
    assert!(doctor(MASTER).await.contains("ok      keys in the database"));
    assert!(doctor(OTHER_MASTER).await.contains("FAILED  keys: the master key does not decrypt"));
    let refused = serve("UNRELATED", "x").await.output();
    assert!(refused.contains("no master key is configured"), "{refused}");
    let verb = ["keys", "rotate", "--config", "guarita.toml"];
    let refused = cli::run(gateway.directory(), &verb, "").await.failed(2);
    assert!(refused.stderr.contains("no master key is configured"), "{}", refused.stderr);
    assert_eq!(rows(&gateway).await, before);
}

#[tokio::test]
async fn the_master_key_is_changed_while_gateways_run() {
    let upstream = Upstream::start().await;
    let gateway = sealed(&upstream).start().await;
    let alice = gateway.bearer("alice").await;
    let other = gateway.another_node().await;
    let verb = async |masters: &str, verb: &[&str]| {
        let mut command = cli::command(gateway.directory());
        command.args(verb).args(["--config", "guarita.toml"]).env("GUARITA_MASTER_KEY", masters);
        cli::finish(&mut command, "").await
    };
    let both = format!("{OTHER_MASTER} {MASTER}");
    verb(OTHER_MASTER, &["keys", "reseal"]).await.failed(2);
    let said = verb(&both, &["keys", "reseal"]).await.succeeded().stdout;
    assert_eq!(said, "re-encrypted 3 keys\n");
    // One that was started before keeps what it read; one that starts now needs the new one.
    assert!(is_let_in(&other, &alice).await);
    verb(MASTER, &["keys", "list"]).await.failed(2);
    verb(OTHER_MASTER, &["keys", "list"]).await.succeeded();
    assert!(is_let_in(&gateway, &alice).await);
}

#[tokio::test]
async fn what_a_gateway_had_in_files_counts_on_when_its_keys_move_to_the_database() {
    let upstream = Upstream::start().await;
    let mut gateway = without_given_keys(&upstream).on_file().start().await;
    let alice = gateway.bearer("alice").await;
    let before = published(&gateway).await;
    gateway.setup = gateway.setup().environment("GUARITA_MASTER_KEY", MASTER);
    let gateway = gateway.crash_and_restart().await;
    assert!(is_let_in(&gateway, &alice).await);
    let other = gateway.another_node().await;
    assert!(is_let_in(&other, &alice).await);
    assert_eq!(published(&other).await, before);
}

#[tokio::test]
async fn a_store_that_was_copied_opens_to_what_was_given_before() {
    let upstream = Upstream::start().await;
    let gateway = sealed(&upstream).on_file().start().await;
    let alice = gateway.bearer("alice").await;
    let browser = Browser::signed_in(&gateway, "root").await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = format!("sqlite:{}", gateway.data().join("guarita.db").display());
    let new = format!("sqlite:{}", to.path().join("new.db").display());
    let copy = ["store", "copy", "--from", &old, "--to", &new];
    let said = cli::run(from.path(), &copy, "").await.succeeded().stdout;
    assert!(said.contains("         2  sessions\n") && said.contains("counts match"), "{said}");
    let again = cli::run(from.path(), &copy, "").await.failed(1).stderr;
    assert!(again.contains("the target is not empty"), "{again}");
    let missing = format!("sqlite:{}", to.path().join("missing.db").display());
    let none = ["store", "copy", "--from", &missing, "--to", &new];
    cli::run(from.path(), &none, "").await.failed(1);

    let setup = gateway.setup().set("store.database", &format!("\"{new}\""));
    setup.write(from.path());
    let moved = Gateway::start_in(from, setup).await;
    assert!(is_let_in(&moved, &alice).await);
    let elsewhere = Browser::new(&moved);
    elsewhere.keep(SESSION, &browser.cookie(SESSION).unwrap());
    assert_eq!(elsewhere.get("/api/x").await.status, 200);
    moved.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    until("the revocation", || async { (!is_let_in(&moved, &alice).await).then_some(()) }).await;
    assert!(is_let_in(&gateway, &alice).await, "the old one is not touched");
}

#[tokio::test]
async fn a_key_in_files_is_announced_and_then_signs() {
    let upstream = Upstream::start().await;
    let setup = without_given_keys(&upstream).on_file().set("tokens.publish_ahead", "\"3s\"");
    let gateway = setup.start().await;
    let alice = gateway.bearer("alice").await;
    let new = rotate(&gateway, &[]).await;
    until("the new key to be published", || async {
        published(&gateway).await.contains(&new).then_some(())
    })
    .await;
    until("the new key to sign", || async {
        (key_id(&gateway.bearer("alice").await) == new).then_some(())
    })
    .await;
    assert!(is_let_in(&gateway, &alice).await);
    assert_eq!(in_state(&gateway, "verifying").await, [key_id(&alice)]);
    let table = gateway.verb(&["keys", "list"], "").await.succeeded().stdout;
    assert!(table.contains("verifying until ") && !table.contains("BEGIN"), "{table}");
}

#[tokio::test]
async fn a_key_of_another_system_is_taken_over_by_all_gateways() {
    let upstream = Upstream::start().await;
    let setup = sealed(&upstream).set("tokens.algorithm", "\"RS256\"");
    let gateway = setup.start().await;
    let other = gateway.another_node().await;
    let key = crate::harness::tokens::Rsa::another();
    let file = gateway.directory().join("private.pem");
    replace(&file, key.private_pem().as_bytes());
    let path = file.display().to_string();
    gateway.verb(&["keys", "import", "--now", &path], "").await.succeeded();
    let genuine = Genuine::of(&gateway.bearer("alice").await);
    until("the other gateway to take what the key signed elsewhere", || async {
        let (new, forged) = (in_state(&other, "signing").await, genuine.clone());
        let forged = forged.parameter("kid", json!(new[0]));
        let signed = forged.signed_by(&crate::harness::tokens::Signer::Rs256(&key));
        (other.anonymous().with_token(&signed).get("/api/x").await.status == 200).then_some(())
    })
    .await;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = gateway.verb(&["keys", "import", &path], "").await.failed(1);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
}

#[tokio::test]
async fn assertions_of_several_gateways_are_verified_by_one_set() {
    let upstream = Upstream::start().await;
    let setup = sealed(&upstream).set("assertion.enabled", "true");
    let one = setup.start().await;
    let other = one.another_node().await;
    let sets =
        within_minutes("both sets", async { [published(&one).await, published(&other).await] });
    let [first, second] = sets.await;
    assert_eq!(first, second);
    assert_eq!(first.len(), 2);
    let new = rotate(&one, &["--for", "assertions"]).await;
    until("the new key at the other gateway", || async {
        published(&other).await.contains(&new).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stolen_key_of_assertions_is_published_no_more() {
    let upstream = Upstream::start().await;
    let gateway = sealed(&upstream).set("assertion.enabled", "true").start().await;
    let before = published(&gateway).await;
    let new = rotate(&gateway, &["--for", "assertions", "--compromised"]).await;
    until("the stolen key to be gone", || async {
        let now = published(&gateway).await;
        let left = before.intersection(&now).count();
        (now.contains(&new) && now.len() == 2 && left == 1).then_some(())
    })
    .await;
}

/// Wherever they are called, with whatever algorithm in the configuration there.
#[tokio::test]
async fn verbs_about_users_make_and_change_no_keys() {
    let (upstream, mailbox) = (Upstream::start().await, Mailbox::start().await);
    let mut gateway = without_given_keys(&upstream).on_file().mail(mailbox.address).start().await;
    let alice = gateway.bearer("alice").await;
    let before = published(&gateway).await;
    gateway.setup = gateway.setup().environment("GUARITA_MASTER_KEY", MASTER);
    let elsewhere = tempfile::tempdir().unwrap();
    let database = format!("\"sqlite:{}\"", gateway.data().join("guarita.db").display());
    let other = gateway.setup().set("store.database", &database);
    other.set("tokens.algorithm", "\"RS256\"").write(elsewhere.path());
    let user = async |verb: &[&str]| {
        let mut command = cli::command(elsewhere.path());
        command.arg("user").args(verb).args(["--config", "guarita.toml"]);
        cli::finish(command.env("GUARITA_MASTER_KEY", MASTER), &password_of("ana")).await
    };
    user(&["show", "--username", "alice"]).await.succeeded();
    let create = ["create", "--password-stdin", "--username", "ana", "--email", recovery::ANA];
    let refused = user(&create).await.failed(2);
    assert!(refused.stderr.contains("start a gateway first"), "{}", refused.stderr);
    user(&["show", "--username", "ana"]).await.failed(1);

    // The first gateway takes over the keys that it had in files.
    let gateway = gateway.crash_and_restart().await;
    assert!(is_let_in(&gateway, &alice).await);
    assert_eq!(published(&gateway).await, before);
    user(&create).await.succeeded();
    assert!(mailbox.first(recovery::PROOF, recovery::ANA).await.token().contains('.'));
    assert!(in_state(&gateway, "announced").await.is_empty());
    assert!(!elsewhere.path().join("data/outbox.key").exists());
}
