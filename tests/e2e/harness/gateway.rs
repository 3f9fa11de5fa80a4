//! A running gateway.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::accounts;
use super::canary;
use super::cli::{self, Outcome};
use super::log::Log;
use super::message::{Request, Response};
use super::persona::Persona;
use super::raw::{Tls, Wire};
use super::setup::{HOST, Setup};
use super::wait::{until, within};

/// A gateway in a process and a directory of its own; it dies with this value.
pub struct Gateway {
    child: Child,
    pub process: u32,
    directory: TempDir,
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    pub ops: SocketAddr,
    pub log: Log,
    pub setup: Setup,
}

impl Gateway {
    /// Makes the accounts, starts the gateway, waits until it listens.
    pub async fn start(setup: Setup) -> Self {
        let setup = setup.apart();
        let directory = tempfile::tempdir().unwrap();
        accounts::prepare(directory.path(), &setup).await;
        Self::start_in(directory, setup).await
    }

    /// Starts in a directory that is ready.
    pub async fn start_in(directory: TempDir, setup: Setup) -> Self {
        let mut child = spawn(directory.path(), &setup);
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let process = child.id().unwrap();
        let unset: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let mut gateway =
            Self { child, process, directory, https: None, http: None, ops: unset, log, setup };
        gateway.wait_until_listening().await;
        gateway
    }

    /// Another process on the same store.
    pub async fn another_node(&self) -> Self {
        self.another_node_with(self.setup.clone()).await
    }

    async fn another_node_with(&self, mut setup: Setup) -> Self {
        if setup.is_on_file() {
            let file = self.data().join("guarita.db");
            setup = setup.set("store.database", &format!("\"sqlite:{}\"", file.display()));
        }
        let directory = tempfile::tempdir().unwrap();
        setup.write(directory.path());
        Self::start_in(directory, setup).await
    }

    /// As [`Gateway::another_node`], with a plain listener there.
    pub async fn another_node_at(&self, address: &str) -> Self {
        let setup = self.setup.clone().plain_address(address);
        self.another_node_with(setup).await
    }

    /// What a start in that directory says that is refused.
    pub async fn refused_in(directory: &TempDir, setup: &Setup) -> String {
        let child = spawn(directory.path(), setup);
        let output = within("the start to be refused", child.wait_with_output()).await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    async fn wait_until_listening(&mut self) {
        let wanted = self.setup.text().matches("[[listeners]]").count() + 1;
        let addresses = within("the gateway to listen", async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                let heard = listening(&self.log);
                if heard.len() >= wanted {
                    return heard;
                }
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("the gateway ended with {status}:\n{}", self.log.text());
                }
            }
        })
        .await;
        for (listener, address) in addresses {
            match listener.as_str() {
                "https" => self.https = Some(address),
                "http" => self.http = Some(address),
                "ops" => self.ops = address,
                other => panic!("an unknown listener: {other}"),
            }
        }
        until("the ops address to answer", || async {
            let healthz = self.operations("/healthz").await;
            (healthz.status == 200).then_some(())
        })
        .await;
    }

    /// What it was started or last reloaded with.
    pub fn setup(&self) -> Setup {
        self.setup.clone()
    }

    pub fn https(&self) -> SocketAddr {
        self.https.expect("no TLS listener")
    }

    pub fn http(&self) -> SocketAddr {
        self.http.expect("no plain listener")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// How a caller of ours speaks TLS to the standard host.
    pub fn tls(&self) -> Tls {
        Tls::new(&self.setup.authority, HOST)
    }

    /// A connection to the plain listener.
    pub async fn wire(&self) -> Wire {
        Wire::plain(self.http()).await
    }

    /// A connection to the TLS listener that speaks HTTP/1.1.
    pub async fn secure_wire(&self) -> Wire {
        Wire::tls(self.https(), &self.tls()).await
    }

    pub fn anonymous(&self) -> Persona {
        Persona::anonymous(self)
    }

    /// Somebody who logged in.
    pub async fn bearer(&self, username: &str) -> Persona {
        Persona::login(self, username).await
    }

    /// Asks the ops address.
    pub async fn operations(&self, path: &str) -> Response {
        let mut wire = Wire::plain(self.ops).await;
        wire.exchange(&Request::get(path).header("connection", "close"), "localhost").await
    }

    /// All metrics, or the sum of one over the labels that contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.operations("/metrics").await.text();
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(labels))
            .map(|(_, value)| value.parse::<f64>().unwrap())
            .sum()
    }

    /// A verb of the executable on the same configuration, with a line on its standard input.
    pub async fn verb(&self, arguments: &[&str], input: &str) -> Outcome {
        let config = self.directory.path().join("guarita.toml");
        let mut command = cli::command(self.directory.path());
        command.args(arguments).arg("--config").arg(config);
        command.envs(self.setup.variables().iter().cloned());
        cli::finish(&mut command, input).await
    }

    /// Writes the changed configuration, asks for a reload and waits for its end; whether it was
    /// taken into force.
    pub async fn reload(&mut self, setup: Setup) -> bool {
        self.setup = setup.beside(&self.setup);
        let counted = (self.reloads("succeeded").await, self.reloads("failed").await);
        self.setup.write(self.directory.path());
        cli::signal(self.process, "HUP").await;
        until("a reload", || async {
            if self.reloads("succeeded").await > counted.0 {
                return Some(true);
            }
            (self.reloads("failed").await > counted.1).then_some(false)
        })
        .await
    }

    pub async fn reloads(&self, result: &str) -> f64 {
        self.metric("guarita_config_reloads_total", result).await
    }

    /// All lines of the audit files so far.
    pub fn audit(&self) -> Vec<serde_json::Value> {
        let text = canary::audit_text(&self.data());
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first audit line for which the condition holds, now or later.
    pub async fn audited(
        &self,
        what: &str,
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        until(what, || async { self.audit().into_iter().find(&condition) }).await
    }

    /// Resident memory, in bytes.
    pub async fn memory(&self) -> u64 {
        let process = self.process.to_string();
        let output =
            Command::new("ps").args(["-o", "rss=", "-p", &process]).output().await.unwrap();
        let kibibytes = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap();
        kibibytes * 1024
    }

    /// What it has had of processors. Some systems tell whole seconds only.
    pub async fn cpu_time(&self) -> Duration {
        let process = self.process.to_string();
        let output =
            Command::new("ps").args(["-o", "time=", "-p", &process]).output().await.unwrap();
        // [[dd-]hh:]mm:ss[.ss]
        let text = String::from_utf8_lossy(&output.stdout).trim().replace('-', ":");
        let units = [1.0, 60.0, 3_600.0, 86_400.0];
        let parts = text.rsplit(':').zip(units);
        Duration::from_secs_f64(parts.map(|(part, unit)| part.parse::<f64>().unwrap() * unit).sum())
    }

    pub async fn terminate(&self) {
        cli::signal(self.process, "TERM").await;
    }

    pub async fn ended(&mut self) -> ExitStatus {
        within("the gateway to end", self.child.wait()).await.unwrap()
    }

    /// Kills the process without a warning and starts another in the same directory.
    pub async fn crash_and_restart(mut self) -> Self {
        self.child.kill().await.unwrap();
        let setup = self.setup.clone();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::start_in(directory, setup).await
    }
}

impl Gateway {
    /// Lets it drain to its end, and starts another in the same directory.
    pub async fn restart(mut self) -> Self {
        self.terminate().await;
        assert_eq!(self.ended().await.code(), Some(0));
        let setup = self.setup.clone();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::start_in(directory, setup).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway's last lines:\n{}\n---", self.log.tail(40));
            return;
        }
        let metrics = canary::metrics_text(self.ops);
        drop(self.child.start_kill());
        canary::assert_silent("the log", &self.log.text());
        canary::assert_silent("the audit file", &canary::audit_text(&self.data()));
        canary::assert_silent("a metric", &metrics);
    }
}

fn spawn(directory: &Path, setup: &Setup) -> Child {
    let mut command = match (setup.inherited(), setup.done_before()) {
        // systemd hands sockets over from the third descriptor on.
        (Some(_), _) => {
            let mut shell = Command::new("sh");
            let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null";
            shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_guarita"));
            shell.current_dir(directory).kill_on_drop(true);
            shell
        }
        (None, None) => match setup.namespace() {
            None => cli::command(directory),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_guarita")]);
                command.current_dir(directory).kill_on_drop(true);
                command
            }
        },
        (None, Some(before)) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\""));
            shell.arg(env!("CARGO_BIN_EXE_guarita")).current_dir(directory).kill_on_drop(true);
            shell
        }
    };
    command
        .args(["serve", "--config", "guarita.toml"])
        .envs(setup.variables().iter().cloned())
        .stdin(setup.inherited().map_or_else(Stdio::null, |socket| {
            Stdio::from(OwnedFd::from(socket.try_clone().unwrap()))
        }))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn listening(log: &Log) -> Vec<(String, SocketAddr)> {
    let events = log.events();
    let heard = events.iter().filter(|event| event["event"] == "listening");
    heard
        .map(|event| {
            let listener = event["listener"].as_str().unwrap().to_owned();
            (listener, event["address"].as_str().unwrap().parse().unwrap())
        })
        .collect()
}
