//! Real Redis servers, each on a port and in a directory of its own, without persistence.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a server may take to do anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; it dies with this value.
pub struct Redis {
    child: Option<Child>,
    pub port: u16,
    pub directory: TempDir,
    /// What is asked of `redis-server`, the port apart.
    arguments: Vec<String>,
}

/// Below the ports that systems give to those who ask for any: nobody takes it while the server is away.
pub fn some_port() -> u16 {
    18_000 + u16::try_from(RandomState::new().hash_one(0) % 10_000).unwrap()
}

impl Redis {
    /// An empty one.
    pub async fn start() -> Self {
        Self::start_with(|_, _| Vec::new()).await
    }

    /// One with those arguments, made for its directory and its port.
    pub async fn start_with(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        loop {
            let (directory, port) = (tempfile::tempdir().unwrap(), some_port());
            let arguments = arguments(directory.path(), port);
            let mut server = Self { child: None, port, directory, arguments };
            // Another test may have the port.
            if server.spawn().await {
                return server;
            }
        }
    }

    async fn spawn(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        // A configuration file comes first.
        let file = self.arguments.first().is_some_and(|first| !first.starts_with("--"));
        let (file, rest) = self.arguments.split_at(usize::from(file));
        command.args(file);
        if file.is_empty() {
            command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command.args(rest).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("redis-server is needed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
                    return true;
                }
            }
            false
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await.expect("redis-server in time");
        if ready {
            // Whoever writes to a closed pipe dies.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            self.child = Some(child);
        }
        ready
    }

    /// Its address, as it is written in a configuration.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it without a warning.
    pub async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    /// Starts another at the same port, which knows nothing.
    pub async fn restart(&mut self) {
        assert!(self.spawn().await, "the port was taken meanwhile");
    }

    /// Lets it answer nobody, until [`Redis::go_on`].
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    pub async fn go_on(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let process = self.child.as_ref().unwrap().id().unwrap().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &process]).status().await;
        assert!(sent.unwrap().success());
    }

    /// What `redis-cli` says.
    pub async fn ask(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(arguments).stdin(Stdio::null());
        let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// All keys of all databases that it has now.
    pub async fn keys(&self) -> Vec<String> {
        self.ask(&["--scan"]).await.lines().map(str::to_owned).collect()
    }
}

/// One that follows another.
pub async fn replica(of: &Redis) -> Redis {
    let primary = of.port.to_string();
    Redis::start_with(|_, _| vec!["--replicaof".into(), "127.0.0.1".into(), primary.clone()]).await
}

/// A Sentinel that watches a primary under the name `main`.
pub async fn sentinel(primary: &Redis) -> Redis {
    let watched = primary.port;
    Redis::start_with(|directory, port| {
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor main 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 3000\n",
            directory.display()
        );
        fs::write(directory.join("sentinel.conf"), text).unwrap();
        vec!["sentinel.conf".into(), "--sentinel".into()]
    })
    .await
}

/// Waits until the replica follows, and the Sentinel knows it.
pub async fn until_watched(primary: &Redis, replica: &Redis, sentinel: &Redis) {
    let port = replica.port.to_string();
    let watched = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let follows = primary.ask(&["INFO", "replication"]).await.contains("state=online");
            let known = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await.contains(&port);
            if follows && known {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.expect("the Sentinel knows both in time");
}

/// Three nodes that share all slots.
pub async fn cluster() -> Vec<Redis> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = Redis::start_with(|_, _| {
            let bus = (some_port() + 10_000).to_string();
            ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"]
                .map(str::to_owned)
                .to_vec()
        });
        nodes.push(node.await);
    }
    let mut command = Command::new("redis-cli");
    command.args(["--cluster", "create"]);
    command.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
    command.arg("--cluster-yes").stdin(Stdio::null());
    let made = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    nodes
}
