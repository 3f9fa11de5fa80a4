//! A real Caddy that asks the gateway.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::wait::until;

/// A running Caddy; it ends with this value.
pub struct Caddy {
    pub address: SocketAddr,
    _directory: TempDir,
    _process: Child,
}

impl Caddy {
    /// One that asks the gateway whether each request may pass, as `docs/operations.md` has it, and
    /// forwards those that may.
    pub async fn guarded_by(gateway: SocketAddr, upstream: SocketAddr) -> Self {
        let documented = include_str!("../../../docs/operations.md");
        let (_, documented) = documented.split_once("```caddy").unwrap();
        let (documented, _) = documented.split_once("```").unwrap();
        let site = documented
            .replace("orders:80", &upstream.to_string())
            .replace("127.0.0.1:8080", &gateway.to_string());
        let directory = tempfile::tempdir().unwrap();
        // It cannot say which port it got: one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:{} {{\n\tbind {}\n{site}}}\n",
            address.port(),
            address.ip(),
        );
        let file = directory.path().join("Caddyfile");
        std::fs::write(&file, text).unwrap();
        let process = Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", directory.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("caddy is needed");
        until("caddy", || async { TcpStream::connect(address).await.ok() }).await;
        Self { address, _directory: directory, _process: process }
    }
}
