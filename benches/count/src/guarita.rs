//! Guarita's configuration, and an account that logs in once.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::{Answer, Connection};
use crate::process::Process;
use crate::target::{Ground, HOST, words};

const USER: &str = "reader";
const ROLE: &str = "Metrics.Reader";
const PASSWORD: &str = "correct horse battery staple";

/// How it is started, and two open sessions of one account.
pub(crate) struct Guarita {
    pub(crate) command: Vec<String>,
    pub(crate) token: String,
    /// As a browser sends it.
    pub(crate) cookie: String,
}

impl Guarita {
    /// Makes the account, and logs in to a gateway that runs without any tool.
    pub(crate) fn prepare(ground: &Ground, program: &Path) -> Self {
        let program = program.to_str().expect("a path in UTF-8");
        let file = configure(ground);
        create_user(program, &file);
        let command = words(&[program, "serve", "--config", &file]);
        let running = Process::start(&command, false, &ground.folder.join("login.out"));
        let mut connection = Connection::open(ground.plain, None);
        let answer = connection.ask(&login(false));
        let pair: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let token = pair["accessToken"].as_str().expect("a token").to_owned();
        let cookie = session_cookie(&connection.ask(&login(true)));
        running.end();
        Self { command, token, cookie }
    }
}

fn session_cookie(answer: &Answer) -> String {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    let cookies = fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .filter_map(|(_, value)| value.split(';').next());
    let mut of_session = cookies.filter(|pair| pair.contains("session="));
    of_session.next().expect("the cookie of a session").to_owned()
}

/// Writes the configuration. One thread serves, so that no two take turns in another order each time.
fn configure(ground: &Ground) -> String {
    let folder = ground.folder.display();
    let file = format!("{folder}/guarita.toml");
    let text = format!(
        r#"data_dir = "{folder}/data"

[[listeners]]
address = "{plain}"

[[listeners]]
address = "{tls}"
tls = {{ certificate = "{certificate}", key = "{key}" }}

[ops]
address = "{operations}"

[store]
database = "sqlite:{folder}/data/guarita.db"

[limits]
requests_per_connection = 1000000

[server]
threads = 1

[[upstreams]]
name = "u"
servers = ["http://{upstream}"]

[[routes]]
path = "/api/{{*rest}}"
upstream = "u"
allow = {{ roles = ["{ROLE}"] }}
"#,
        plain = ground.plain,
        tls = ground.tls,
        certificate = ground.certificate.display(),
        key = ground.key.display(),
        operations = ground.operations,
        upstream = ground.upstream,
    );
    fs::create_dir_all(ground.folder.join("data")).unwrap();
    fs::write(&file, text).unwrap();
    file
}

fn create_user(program: &str, file: &str) {
    let mut child = Command::new(program)
        .args(["user", "create", "--config", file, "--username", USER, "--role", ROLE])
        .arg("--password-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "no account was made");
}

fn login(cookie: bool) -> Vec<u8> {
    let body = serde_json::json!({ "username": USER, "password": PASSWORD, "cookie": cookie });
    let body = body.to_string();
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}
