//! Credentials that count once, and how many callers use one at the same time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Mutex;

use super::history::{Outcome, Promise};
use super::world::{Mark, Random, Use, Verdict, World};
use crate::harness::authenticator::{self, CHALLENGE, CONFIRM, ENROLL, completion};
use crate::harness::{Authenticator, Gateway, Persona, Request, Response, password_of};
use crate::recovery::NEW;

/// How the names of credentials begin.
pub(crate) const KINDS: [&str; 7] = [
    "refresh token",
    "TOTP of",
    "recovery code of",
    "login ticket",
    "recovery link",
    "verification link",
    "WebSocket ticket",
];

const CHAINS: usize = 6;
const ACCOUNTS: usize = 16;
const LINKED: usize = 6;
const OPENERS: usize = 6;
/// Uses of one credential in a volley.
const USES: usize = 6;
/// Below the grace, and the life of every ticket.
const FRESH: Duration = Duration::from_secs(20);

/// A refresh token, which another takes the place of.
pub(crate) struct Chain {
    username: String,
    token: String,
    generation: usize,
    logins: usize,
    first_used: Option<Instant>,
}

/// Somebody with a second factor.
pub(crate) struct Account {
    username: String,
    application: Authenticator,
    codes: Vec<String>,
}

pub(crate) struct Credentials {
    chains: Vec<Mutex<Chain>>,
    accounts: Vec<Mutex<Account>>,
    /// Names of accounts with mailed links, and how many links they had.
    linked: Vec<Mutex<(String, usize)>>,
    /// Who opens WebSockets.
    openers: Vec<Mutex<Persona>>,
}

/// What is answered once the gateway has time for it: all tests may run beside this one.
async fn served<F: Future<Output = Response>>(mut ask: impl FnMut() -> F) -> Response {
    loop {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
    }
}

async fn log_in(gateway: &Gateway, username: &str) -> Persona {
    let anonymous = gateway.anonymous();
    let password = password_of("alice");
    let answer = served(|| anonymous.log_in(username, &password)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    anonymous.holding(&answer.json())
}

async fn enrol(gateway: &Gateway, username: String) -> Mutex<Account> {
    let caller = log_in(gateway, &username).await;
    let nothing = json!({});
    let enrolment = served(|| caller.post(ENROLL, &nothing)).await;
    assert_eq!(enrolment.status, 200, "{}", enrolment.text());
    let application = Authenticator::of(&enrolment);
    loop {
        // The code of the step before now, until it is that of the one before that.
        let body = json!({ "code": application.code(-1) });
        let confirmed = caller.post(CONFIRM, &body).await;
        if confirmed.status == 200 {
            let codes = serde_json::from_value(confirmed.json()["recoveryCodes"].clone()).unwrap();
            return Mutex::new(Account { username, application, codes });
        }
        let again = ["unavailable", "invalid_code"].contains(&confirmed.code().as_str());
        assert!(again, "{}", confirmed.text());
    }
}

impl Credentials {
    /// Accounts with the password of alice, their sessions and factors.
    pub(crate) async fn make(nodes: &[Gateway], database: &PgPool) -> Self {
        for (prefix, count) in [("r", CHAINS), ("c", ACCOUNTS), ("l", LINKED), ("w", OPENERS)] {
            let insert = "INSERT INTO users (username, username_folded, email, email_folded, \
                 password_hash, roles_changed_at, created_at) \
                 SELECT name, name, name || '@example.test', name || '@example.test', \
                 password_hash, roles_changed_at, created_at \
                 FROM users, (SELECT $1 || n AS name FROM generate_series(0, $2 - 1) AS n) AS names \
                 WHERE username = 'alice'";
            let insert = sqlx::query(insert).bind(prefix).bind(i32::try_from(count).unwrap());
            insert.execute(database).await.unwrap();
        }
        let roles = "INSERT INTO user_roles (user_id, role) SELECT id, 'user' FROM users \
             WHERE username NOT IN ('alice', 'root')";
        sqlx::query(roles).execute(database).await.unwrap();
        let node = |number: usize| &nodes[number % nodes.len()];
        let chains = join_all((0..CHAINS).map(async |number| {
            let username = format!("r{number}");
            let token = log_in(node(number), &username).await.refresh_token.unwrap();
            Mutex::new(Chain { username, token, generation: 0, logins: 0, first_used: None })
        }));
        let accounts =
            join_all((0..ACCOUNTS).map(|number| enrol(node(number), format!("c{number}"))));
        let openers = join_all(
            (0..OPENERS)
                .map(async |number| Mutex::new(log_in(node(number), &format!("w{number}")).await)),
        );
        let linked = (0..LINKED).map(|number| Mutex::new((format!("l{number}"), 0))).collect();
        let (chains, accounts, openers) = (chains.await, accounts.await, openers.await);
        Self { chains, accounts, linked, openers }
    }
}

/// Some credential, used by several callers at several nodes.
pub(crate) async fn volley(world: &World, random: &mut Random) {
    let credentials = &world.credentials;
    match random.below(20) {
        0..=7 => {
            let chain = &credentials.chains[random.below(CHAINS)];
            refresh(world, random, &mut *chain.lock().await).await;
        }
        8..=13 => {
            let account = &credentials.accounts[random.below(ACCOUNTS)];
            prove(world, random, &mut *account.lock().await).await;
        }
        14..=16 => {
            let linked = &credentials.linked[random.below(LINKED)];
            confirm(world, random, &mut *linked.lock().await).await;
        }
        _ => {
            let opener = &credentials.openers[random.below(OPENERS)];
            open(world, random, &*opener.lock().await).await;
        }
    }
}

fn mark(credential: String, verdict: Verdict) -> Mark {
    let fresh_until = Instant::now() + FRESH;
    Mark { credential, promise: Promise::Once, level: 0, verdict, fresh_until }
}

fn yielded() -> Option<Outcome> {
    Some(Outcome::Yielded(String::new()))
}

async fn refresh(world: &World, random: &mut Random, chain: &mut Chain) {
    let credential =
        format!("refresh token {}/{}/{}", chain.username, chain.logins, chain.generation);
    let first_used = *chain.first_used.get_or_insert_with(Instant::now);
    let mark = Mark {
        promise: Promise::Same,
        fresh_until: first_used + FRESH,
        ..mark(credential, |answer| match answer.status {
            200 => {
                let pair = answer.json();
                Some(Outcome::Yielded(format!("{} {}", pair["refreshToken"], pair["accessToken"])))
            }
            401 => Some(Outcome::Refused),
            _ => None,
        })
    };
    let request = Request::post("/auth/refresh").json(&json!({ "refreshToken": chain.token }));
    let uses =
        (0..USES).map(|_| Use { request: request.clone(), marks: vec![mark.clone()] }).collect();
    let outcomes = world.volley(random, uses).await;
    let next = outcomes.iter().flatten().find_map(|outcome| match outcome {
        Outcome::Yielded(pair) => pair.split(' ').next().map(|token| token.trim_matches('"')),
        Outcome::Refused | Outcome::Unknown => None,
    });
    if let Some(token) = next {
        chain.token = token.to_owned();
        chain.generation += 1;
        chain.first_used = None;
    } else if first_used.elapsed() > FRESH {
        // Past the grace its session may be over.
        let body = json!({ "username": chain.username, "password": password_of("alice") });
        let answer = world.ask(random, &Request::post("/auth/login").json(&body)).await;
        if let Some(answer) = answer.filter(|answer| answer.status == 200) {
            chain.token = answer.json()["refreshToken"].as_str().unwrap().to_owned();
            chain.logins += 1;
            chain.generation = 0;
            chain.first_used = None;
        }
    }
}

/// A code of a TOTP step or of the ten, with three tickets of logins that wait for it.
async fn prove(world: &World, random: &mut Random, account: &mut Account) {
    let body = json!({ "username": account.username, "password": password_of("alice") });
    let login = Request::post("/auth/login").json(&body);
    let mut tickets = Vec::new();
    for _ in 0..USES / 2 {
        let Some(answer) = world.ask(random, &login).await else { return };
        let Some(ticket) = (answer.code() == "mfa_required").then(|| answer.json()) else { return };
        tickets.push(ticket["mfaToken"].as_str().unwrap().to_owned());
    }
    let of_code: Verdict = |answer| match (answer.status, refusal(answer).as_str()) {
        (200, _) => yielded(),
        (401, "invalid_code") => Some(Outcome::Refused),
        _ => None,
    };
    let of_ticket: Verdict = |answer| match (answer.status, refusal(answer).as_str()) {
        (200, _) => yielded(),
        (401, "invalid_mfa_token") => Some(Outcome::Refused),
        _ => None,
    };
    let by_application = account.codes.is_empty() || random.below(2) == 0;
    let (method, code, mark_of_code) = if by_application {
        let step = authenticator::step() + u64::try_from(random.below(2)).unwrap();
        let mark = mark(format!("TOTP of {}", account.username), of_code);
        ("totp", account.application.code_of(step), Mark { level: step, ..mark })
    } else {
        let code = account.codes[random.below(account.codes.len())].clone();
        let credential = format!("recovery code of {}: {code}", account.username);
        ("recovery_code", code, mark(credential, of_code))
    };
    let uses = (0..USES)
        .map(|number| {
            let ticket = &tickets[number % tickets.len()];
            let of_ticket = mark(format!("login ticket {ticket}"), of_ticket);
            Use {
                request: Request::post(CHALLENGE).json(&completion(ticket, method, &code)),
                marks: vec![mark_of_code.clone(), of_ticket],
            }
        })
        .collect();
    let outcomes = world.volley(random, uses).await;
    // One that was used stays among them for some volleys more.
    if outcomes.iter().flatten().any(|it| matches!(it, Outcome::Yielded(_))) && random.below(2) == 0
    {
        account.codes.retain(|known| *known != code);
    }
}

/// The code of a refusal.
fn refusal(answer: &Response) -> String {
    if answer.status == 401 { answer.code() } else { String::new() }
}

/// A link that sets a password, or one that proves an address: as if it had been mailed. Its secret is the
/// password of alice, whose hash there is.
async fn confirm(world: &World, random: &mut Random, linked: &mut (String, usize)) {
    let (username, number) = linked;
    *number += 1;
    let is_reset = random.below(2) == 0;
    let (table, path, kind) = if is_reset {
        ("password_resets", "/recover/confirm", "recovery link")
    } else {
        ("email_verifications", "/verify-email/confirm", "verification link")
    };
    let id = uuid::Uuid::new_v4().to_string();
    let statement = format!(
        "INSERT INTO {table} (id, user_id, email, secret_hash, created_at, expires_at) \
         SELECT $1, users.id, users.email, alice.password_hash, 0, 4000000000 \
         FROM users, users AS alice WHERE users.username = $2 AND alice.username = 'alice' \
         ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, used_at = NULL"
    );
    let made = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&id).bind(&*username);
    made.execute(&world.database).await.unwrap();
    let token = format!("{id}.{}", password_of("alice"));
    let mark = mark(format!("{kind} {username}/{number}"), |answer| match answer.status {
        204 => yielded(),
        400 => Some(Outcome::Refused),
        _ => None,
    });
    let uses = (0..USES)
        .map(|number| {
            let mut body = json!({ "token": token });
            if is_reset {
                body["password"] = json!(format!("{NEW} {number}"));
            }
            Use { request: Request::post(path).json(&body), marks: vec![mark.clone()] }
        })
        .collect();
    world.volley(random, uses).await;
}

async fn open(world: &World, random: &mut Random, opener: &Persona) {
    let request = Request::post("/auth/ws-ticket").json(&json!({ "path": "/api/ws" }));
    let answer = world.ask(random, &opener.signed(request)).await;
    let Some(answer) = answer.filter(|answer| answer.status == 200) else { return };
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let target = format!("/api/ws?ticket={ticket}");
    let request = Request::get(&target)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mark = mark(format!("WebSocket ticket {ticket}"), |answer| match answer.status {
        101 => yielded(),
        401 => Some(Outcome::Refused),
        _ => None,
    });
    let uses =
        (0..USES).map(|_| Use { request: request.clone(), marks: vec![mark.clone()] }).collect();
    world.volley(random, uses).await;
}
