//! Guarita itself, with real sessions in its database and tokens signed with its key.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use guarita_store::{self as store, NewSession, NewUser, Store};

use guarita_auth::login::{Hashing, Passwords};
use guarita_core::jose::{Algorithm, Claims, Keyring, SigningKey};
use guarita_core::{Role, Roles, Secret, SessionId, Subject, Timestamp, UserId, random, time};

use crate::process::{self, Running};

/// Accounts that log in.
pub(crate) const KNOWN: usize = 10;
/// Of each of them.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

const SESSIONS: usize = 10_000;
/// A user may have so many sessions at once.
const PER_USER: usize = 500;
const LIFE: Duration = Duration::from_secs(4 * 3600);

/// The instance that shares PostgreSQL and Redis with others, as far as it knows.
pub(crate) const SHARING: usize = 3;
const REDIS: &str = "127.0.0.1:18105";

/// Where PostgreSQL is: `scripts/with-servers.sh` says so.
pub(crate) fn postgres() -> Option<String> {
    std::env::var("TEST_POSTGRES").ok()
}

/// A Redis that keeps nothing.
pub(crate) fn redis() -> Running {
    let address: SocketAddr = REDIS.parse().unwrap();
    let port = address.port().to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    process::start(1, address, "redis-server", &arguments)
}

/// Files with one token a line.
pub(crate) struct Tokens {
    pub(crate) one: PathBuf,
    pub(crate) many: PathBuf,
    /// Known to the gateway on PostgreSQL, where there is one.
    pub(crate) shared: Option<PathBuf>,
    /// Known where passwords are.
    pub(crate) logins: PathBuf,
}

/// Key, configuration, database and tokens.
pub(crate) fn prepare(folder: &Path) -> Tokens {
    let keys = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&keys).unwrap();
    let private = pem::encode(&pem::Pem::new("PRIVATE KEY", private.as_ref()));
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(keys.public_key()).unwrap();
    fs::write(folder.join("signing.pem"), &private).unwrap();
    let public = pem::encode(&pem::Pem::new("PUBLIC KEY", public.as_ref()));
    fs::write(folder.join("public.pem"), public).unwrap();
    let sharing = postgres().map(|_| SHARING);
    for instance in (0..3).chain(sharing) {
        fs::create_dir_all(folder.join(format!("data{instance}"))).unwrap();
        fs::write(folder.join(format!("guarita{instance}.toml")), configuration(folder, instance))
            .unwrap();
    }
    let key = SigningKey::parse(Algorithm::Rs256, &Secret::new(private)).unwrap();
    let keyring = Keyring::new(key, vec![]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let one = runtime.block_on(sessions(folder, 0, 1, &keyring));
    let many = runtime.block_on(sessions(folder, 1, SESSIONS, &keyring));
    let logins = runtime.block_on(sessions(folder, 2, 1, &keyring));
    runtime.block_on(accounts(folder, 2));
    let shared = sharing.map(|instance| runtime.block_on(sessions(folder, instance, 1, &keyring)));
    Tokens { one, many, shared, logins }
}

/// Gateways (b) and (c) know the one token: the file of (b) is used for the floor and the rivals too.
fn configuration(folder: &Path, instance: usize) -> String {
    let data = folder.join(format!("data{instance}"));
    let (data, upstream) = (data.display(), crate::rivals::UPSTREAM);
    let database = database(folder, instance);
    let redis =
        if instance == SHARING { format!("redis = \"redis://{REDIS}\"") } else { String::new() };
    format!(
        r#"data_dir = "{data}"

[[listeners]]
address = "{}"

[ops]
address = "{}"

[store]
database = "{database}"
{redis}

[tokens]
signing_key_file = "signing.pem"

[lockout]
failures = 1000
duration = "1s"

[rate_limits]
login = {{ per_source = "off", per_account = "off" }}
recover = {{ per_source = "off", per_account = "off" }}

# A server that is not there: what waits for it slows nobody.
[mail]
server = "127.0.0.1"
port = 9
tls = "none"
sender = "gateway@example.test"

[limits]
requests_per_connection = 1000000
connections = 15000

[[upstreams]]
name = "u"
servers = ["http://{upstream}"]

[[routes]]
path = "/api/{{*rest}}"
upstream = "u"
allow = {{ roles = ["Metrics.Reader"] }}
"#,
        address(instance),
        operations(address(instance).parse().unwrap()),
    )
}

/// Where an instance keeps its sessions.
fn database(folder: &Path, instance: usize) -> String {
    let shared = postgres().filter(|_| instance == SHARING);
    shared.unwrap_or_else(|| {
        let file = folder.join(format!("data{instance}/guarita.db"));
        format!("sqlite:{}", file.display())
    })
}

/// Where the gateway at this address is operated.
pub(crate) fn operations(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 5)
}

fn address(instance: usize) -> String {
    format!("127.0.0.1:1809{}", 5 + instance)
}

/// The address of an account.
pub(crate) fn address_of(name: &str) -> String {
    format!("{name}@example.test")
}

/// Accounts named `known0` and so on, with one password.
async fn accounts(folder: &Path, instance: usize) {
    let url = Secret::new(database(folder, instance));
    let store =
        Store::open(&store::StoreSettings { database: url, wait: std::time::Duration::ZERO })
            .await
            .unwrap();
    let hashing =
        Hashing { memory_kib: 19 << 10, iterations: 2, parallelism: 1, concurrency: 1, queue: 1 };
    let passwords = Passwords::new(&hashing).unwrap();
    let mut transaction = store.begin_write_within(LIFE).await.unwrap();
    for number in 0..KNOWN {
        let name = Subject::parse(&format!("known{number}")).unwrap();
        let hash = passwords.hash(&Secret::new(PASSWORD)).await.unwrap().unwrap();
        let email = address_of(name.as_str());
        let new = NewUser { username: &name, email: Some(&email), password_hash: &hash };
        transaction.insert_user(&new, time::now()).await.unwrap().unwrap();
    }
    transaction.commit().await.unwrap();
    store.close().await;
}

async fn sessions(folder: &Path, instance: usize, count: usize, keyring: &Keyring) -> PathBuf {
    let url = Secret::new(database(folder, instance));
    let store =
        Store::open(&store::StoreSettings { database: url, wait: std::time::Duration::ZERO })
            .await
            .unwrap();
    let now = time::now();
    let roles = Roles::parse(["Metrics.Reader"]).unwrap();
    let mut transaction = store.begin_write_within(LIFE).await.unwrap();
    let mut lines = String::new();
    let mut user = None;
    for number in 0..count {
        if number % PER_USER == 0 {
            transaction.commit().await.unwrap();
            transaction = store.begin_write_within(LIFE).await.unwrap();
            let name = Subject::parse(&format!("user{number}")).unwrap();
            let hash = Secret::new("$none$");
            let new = NewUser { username: &name, email: None, password_hash: &hash };
            // The roles are older than the tokens, as they usually are.
            let before = now.minus(Duration::from_secs(60));
            let id = transaction.insert_user(&new, before).await.unwrap().unwrap();
            transaction.insert_role(id, &Role::parse("Metrics.Reader").unwrap()).await.unwrap();
            user = Some((name, id));
        }
        let (name, id) = user.clone().unwrap();
        let session = SessionId::new(random::ordered_uuid());
        let new = NewSession {
            second_factor_at: None,
            cookie_digest: None,
            id: session,
            user: id,
            expires_at: now.plus(LIFE),
            address: None,
            user_agent: None,
        };
        transaction.insert_session(&new, now).await.unwrap();
        let token = keyring.issue(&claims(name, id, session, roles.clone(), now)).unwrap();
        lines.push_str(token.expose());
        lines.push('\n');
    }
    transaction.commit().await.unwrap();
    store.close().await;
    let file = folder.join(format!("tokens{instance}.txt"));
    fs::write(&file, lines).unwrap();
    file
}

fn claims(
    subject: Subject,
    user: UserId,
    session: SessionId,
    roles: Roles,
    now: Timestamp,
) -> Claims {
    Claims {
        second_factor_at: None,
        issuer: "ms-auth".into(),
        subject,
        user: Some(user),
        audience: "api".into(),
        issued_at: now,
        not_before: now,
        expires_at: now.plus(LIFE),
        token_id: random::ordered_uuid().to_string().into(),
        session,
        roles,
    }
}

/// Starts one of the gateways.
pub(crate) fn start(folder: &Path, instance: usize) -> Running {
    let file = folder.join(format!("guarita{instance}.toml"));
    let executable = env!("CARGO_BIN_EXE_guarita");
    let address = address(instance).parse().unwrap();
    process::start(0, address, executable, &["serve", "--config", file.to_str().unwrap()])
}
