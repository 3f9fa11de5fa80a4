//! A gateway of one's own: the real executable in its own directory, on its own loopback addresses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;
use tokio::sync::watch;

use super::canary;
use super::certificates::Authority;
use super::migration::migrate;
use super::sample_database::Database;
use super::wait::{DEADLINE, eventually, within};

/// What a gateway is started with.
pub(crate) struct Setup {
    toml: String,
    users: Vec<(String, Vec<String>)>,
}

/// The password of every user of a test.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The host that the standard gateway answers for.
pub(crate) const HOST: &str = "app.example.test";

impl Setup {
    /// A gateway with this configuration after its own listeners, store and keys.
    pub(crate) fn new(toml: impl Into<String>) -> Self {
        Self { toml: toml.into(), users: vec![] }
    }

    /// The standard gateway: `/public/**` and `/health` public, `/api/**` for the authenticated,
    /// `/admin/**` for role `admin`; users alice (`user`) and root (`admin`).
    pub(crate) fn standard(upstream: SocketAddr) -> Self {
        Self::new(format!(
            r#"
[[upstreams]]
name = "app"
servers = ["http://{upstream}"]

[[routes]]
path = "/public/{{*rest}}"
upstream = "app"
access = "public"

[[routes]]
path = "/health"
upstream = "app"
access = "public"

[[routes]]
path = "/api/{{*rest}}"
upstream = "app"

[[routes]]
path = "/admin/{{*rest}}"
upstream = "app"
allow = {{ roles = ["admin"] }}
"#
        ))
        .user("alice", &["user"])
        .user("root", &["admin"])
    }

    /// Adds a user with roles.
    pub(crate) fn user(mut self, name: &str, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self.users.push((name.to_owned(), roles));
        self
    }

    /// Puts lines before the first section.
    pub(crate) fn and(mut self, toml: &str) -> Self {
        self.toml = format!("{toml}\n{}", self.toml);
        self
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn start(self) -> Gateway {
        let gateway = Gateway::prepare(&self);
        for (name, roles) in &self.users {
            gateway.create_user(name, roles);
        }
        gateway.serve().await
    }

    /// Only the files, without a process.
    pub(crate) fn files(self) -> Gateway {
        Gateway::prepare(&self)
    }
}

/// A gateway, killed when dropped.
pub(crate) struct Gateway {
    directory: TempDir,
    address: IpAddr,
    preamble: String,
    /// The authority of its certificate.
    pub(crate) authority: Authority,
    process: Option<Child>,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    /// Where the tests run on PostgreSQL.
    _database: Option<Database>,
}

/// The executable with arguments.
pub(crate) fn guarita(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guarita"));
    command.args(arguments);
    command
}

impl Gateway {
    fn prepare(setup: &Setup) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("Test CA");
        let certificate = authority.server(&[HOST, "localhost", "*.wild.test"]);
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
        };
        write("cert.pem", &certificate.chain);
        write("key.pem", &certificate.key);
        write("signing.pem", signing_key());
        let address = loopback();
        let database = Database::create(migrate);
        let preamble = preamble(directory.path(), address, database.as_ref());
        let gateway = Self {
            address,
            preamble,
            authority,
            process: None,
            log: Arc::default(),
            lines: watch::channel(0).1,
            directory,
            _database: database,
        };
        gateway.configure(&setup.toml);
        gateway
    }

    /// Writes the configuration, without telling the process.
    pub(crate) fn configure(&self, toml: &str) {
        // Keys of the top level must come before the first section.
        let (top, sections) = match toml.find("\n[") {
            _ if toml.starts_with('[') => ("", toml),
            Some(at) => toml.split_at(at),
            None => (toml, ""),
        };
        let beside = self.directory.path().join("guarita.new");
        std::fs::write(&beside, format!("{top}\n{}\n{sections}", self.preamble)).unwrap();
        std::fs::rename(beside, self.config()).unwrap();
    }

    async fn serve(mut self) -> Self {
        self.spawn();
        self.wait_for_log("serving").await;
        self
    }

    /// Starts the process.
    pub(crate) fn spawn(&mut self) {
        let mut command = guarita(&["serve", "--config"]);
        let mut child = command
            .arg(self.config())
            .current_dir(self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = watch::channel(0);
        self.lines = lines;
        let told = Arc::new(told);
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let (log, told) = (Arc::clone(&self.log), Arc::clone(&told));
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                    told.send_modify(|count| *count += 1);
                }
            });
        }
        self.process = Some(child);
    }

    /// Waits for a line of the log that contains the text.
    pub(crate) async fn wait_for_log(&self, text: &str) -> String {
        let mut lines = self.lines.clone();
        let mut seen = 0;
        loop {
            {
                let log = self.log.lock().unwrap();
                if let Some(line) = log[seen..].iter().find(|line| line.contains(text)) {
                    return line.clone();
                }
                seen = log.len();
            }
            let next = tokio::time::timeout(DEADLINE, lines.changed());
            if !matches!(next.await, Ok(Ok(()))) {
                panic!("{text:?} never came into the log:\n{}", self.log());
            }
        }
    }

    /// All that was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Creates a user by the command line.
    pub(crate) fn create_user(&self, name: &str, roles: &[String]) {
        let mut arguments = vec!["user", "create", "--username", name, "--password-stdin"];
        for role in roles {
            arguments.extend(["--role", role]);
        }
        let output = self.command_with_input(&arguments, PASSWORD);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs another command on the same configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        self.command_with_input(arguments, "")
    }

    pub(crate) fn command_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = guarita(arguments)
            .arg("--config")
            .arg(self.config())
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("guarita.toml")
    }

    /// Where it speaks TLS.
    pub(crate) fn https(&self) -> SocketAddr {
        SocketAddr::new(self.address, 8443)
    }

    /// Where it speaks plain HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        SocketAddr::new(self.address, 8080)
    }

    /// Where it is observed.
    pub(crate) fn ops(&self) -> SocketAddr {
        SocketAddr::new(self.address, 9090)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Replaces the configuration and waits until the attempt to take it up has ended.
    pub(crate) async fn reload(&self, toml: &str) {
        let before = self.reloads().await;
        self.configure(toml);
        self.signal("HUP");
        eventually("the reload", || async { (self.reloads().await > before).then_some(()) }).await;
    }

    async fn reloads(&self) -> u64 {
        let metrics = self.metrics().await;
        let counts =
            metrics.lines().filter(|line| line.starts_with("guarita_config_reloads_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.ops());
        within("metrics", async { reqwest::get(url).await.unwrap().text().await.unwrap() }).await
    }

    /// All lines of the audit file, once `count` of them hold the text.
    pub(crate) async fn audit(&self, text: &str, count: usize) -> Vec<serde_json::Value> {
        let directory = self.path("data/audit");
        eventually("the audit lines", || async {
            let mut lines = vec![];
            for entry in std::fs::read_dir(&directory).ok()?.flatten() {
                // Those of commands are in a directory of their own.
                if entry.path().is_dir() {
                    continue;
                }
                let content = std::fs::read_to_string(entry.path()).ok()?;
                lines.extend(content.lines().filter(|line| line.contains(text)).map(str::to_owned));
            }
            (lines.len() >= count)
                .then(|| lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
        })
        .await
    }

    /// Waits until the process has ended; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let process = self.process.as_mut().unwrap();
        eventually("the end of the process", || {
            let ended = process.try_wait().unwrap();
            async move { ended }
        })
        .await
        .code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let metrics = canary::metrics_text(self.ops());
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ---\n{}", self.log());
            return;
        }
        canary::assert_silent("the log", &self.log());
        canary::assert_silent("the audit file", &canary::audit_text(&self.path("data")));
        canary::assert_silent("a metric", &metrics);
    }
}

/// An address of the loopback network that no other test has.
pub(crate) fn loopback() -> IpAddr {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    IpAddr::from([127, a.max(1), b, c.clamp(1, 254)])
}

/// The key that signs the tokens of all gateways of a test run.
pub(crate) fn signing_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key);
        pem::encode(&pem::Pem::new("PRIVATE KEY", der.unwrap().as_ref()))
    })
}

fn preamble(directory: &Path, address: IpAddr, database: Option<&Database>) -> String {
    let data = directory.join("data");
    let data = data.display();
    let store = match database {
        None => format!("database = \"sqlite:{data}/guarita.db\""),
        Some(database) => {
            let redis = std::env::var_os("TEST_REDIS").unwrap().into_string().unwrap();
            let (url, name) = (database.url(), database.name());
            // Answers may be late where many tests run at once.
            format!(
                "database = \"{url}\"\nredis = \"{redis}\"\nredis_prefix = \"{name}\"\nredis_timeout = \"10s\""
            )
        }
    };
    format!(
        r#"
data_dir = "{data}"
public_url = "https://{HOST}"

[[listeners]]
address = "{address}:8443"
tls = {{ certificate = "cert.pem", key = "key.pem" }}

[[listeners]]
address = "{address}:8080"

[ops]
address = "{address}:9090"

[store]
{store}

[tokens]
signing_key_file = "signing.pem"

[passwords]
memory = "8MiB"
iterations = 1
"#
    )
}
