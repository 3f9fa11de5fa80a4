//! A PostgreSQL server of one's own, to be stopped and started under a running gateway.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::certificates::Identity;
use super::kept::kept;
use super::sample_database::execute;

/// A server; it ends with this value.
pub struct Server {
    directory: TempDir,
    port: u16,
    options: String,
}

impl Server {
    /// Starts one, with more options of `postgres`.
    pub fn start(options: &str) -> Self {
        let server = Self::prepare(options);
        server.run();
        server
    }

    /// As [`Server::start`], and it speaks TLS.
    pub fn start_with_tls(identity: &Identity) -> Self {
        let server = Self::prepare("-c ssl=on");
        for (name, text) in [("server.crt", &identity.chain_pem), ("server.key", &identity.key_pem)]
        {
            let path = server.data().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            own(&path);
        }
        server.run();
        server
    }

    /// One that does not run yet.
    pub fn prepare(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        own(directory.path());
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = Self { directory, port, options: options.to_owned() };
        copy(&empty(), &server.data());
        server
    }

    /// A standby that follows this server and takes over once it is promoted. From now on nothing is committed
    /// here before it is there.
    pub fn standby(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        own(directory.path());
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let standby = Self { directory, port, options: self.options.clone() };
        let copied = as_server("pg_basebackup", standby.directory.path())
            .args(["--host=127.0.0.1", "--username=guarita", "--port"])
            .arg(self.port.to_string())
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(standby.data())
            .output();
        succeeded(copied.expect("pg_basebackup is needed"));
        standby.run();
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.execute("SELECT pg_reload_conf()");
        standby
    }

    /// Lets a standby take changes.
    pub fn promote(&self) {
        succeeded(self.control().args(["--wait", "--silent", "promote"]).output().unwrap());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Lets callers from there in, who then need no password.
    pub fn admit(&self, network: &str) {
        let path = self.data().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{rules}\nhost all all {network} trust\n")).unwrap();
    }

    /// Starts it, again or for the first time, and waits until it answers.
    pub fn run(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off \
             -c shared_buffers=16MB {}",
            self.port,
            self.directory.path().display(),
            self.options
        );
        let status = self
            .control()
            .args(["--wait", "--silent", "--log"])
            .arg(self.data().join("server.log"))
            .args(["--options", &options, "start"])
            .status();
        assert!(status.unwrap().success(), "{}", self.log());
    }

    /// Stops it at once, whatever is under way.
    pub fn stop(&self) {
        succeeded(self.control().args(["--mode=immediate", "--silent", "stop"]).output().unwrap());
    }

    fn control(&self) -> Command {
        let mut command = as_server("pg_ctl", self.directory.path());
        command.arg("--pgdata").arg(self.data());
        command
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("server.log")).unwrap_or_default()
    }

    /// Where its only database is.
    pub fn url(&self) -> String {
        format!("postgres://guarita@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it is by name, as certificates say.
    pub fn url_at(&self, host: &str) -> String {
        format!("postgres://guarita@{host}:{}/postgres", self.port)
    }

    pub fn execute(&self, statements: &str) {
        execute(&self.url(), statements.to_owned());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.control().args(["--mode=immediate", "--silent", "stop"]).output();
    }
}

/// The data of a server that has nothing yet.
fn empty() -> PathBuf {
    let version = Command::new(find("initdb")).arg("--version").output().unwrap().stdout;
    let version: String =
        String::from_utf8_lossy(&version).chars().filter(char::is_ascii_digit).collect();
    kept(&format!("postgres_{version}"), |place| {
        let directory = tempfile::tempdir().unwrap();
        own(directory.path());
        let data = directory.path().join("data");
        let made = as_server("initdb", directory.path())
            .args(["--username=guarita", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pgdata"])
            .arg(&data)
            .output();
        succeeded(made.expect("initdb is needed"));
        copy(&data, place);
    })
}

/// A copy that has the owners of the original.
fn copy(from: &Path, to: &Path) {
    succeeded(Command::new("cp").arg("-a").args([from, to]).output().unwrap());
}

fn succeeded(output: Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Who runs the server where root may not.
fn unprivileged() -> &'static str {
    let passwords = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if passwords.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" }
}

fn own(path: &Path) {
    if is_root() {
        succeeded(Command::new("chown").arg(unprivileged()).arg(path).output().unwrap());
    }
}

/// A program of the server, wherever the system keeps it.
fn as_server(program: &str, directory: &Path) -> Command {
    let program = find(program);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        let user = unprivileged();
        command.args(["--reuid", user, "--regid", group(user), "--clear-groups", "--"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(directory);
    command
}

fn group(user: &str) -> &'static str {
    if user == "nobody" { "nogroup" } else { "postgres" }
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Debian keeps them apart, by version.
    for version in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        places.push(version.path().join("bin"));
    }
    let found = places.into_iter().map(|place| place.join(program)).find(|it| it.exists());
    found.unwrap_or_else(|| panic!("{program} is needed"))
}
