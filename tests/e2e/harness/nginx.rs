//! A real nginx behind the gateway.

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::wait::until;

/// What nginx is asked to show: every one of these variables.
const SHOWN: [&str; 18] = [
    "sub",
    "app_roles",
    "x_auth_uid",
    "x_auth_sid",
    "x_auth_source",
    "x_auth_assertion",
    "x_request_id",
    "authorization",
    "cookie",
    "host",
    "connection",
    "forwarded",
    "x_forwarded_for",
    "x_forwarded_proto",
    "x_forwarded_host",
    "x_forwarded_user",
    "remote_user",
    "x_service_api_key",
];

/// A running nginx; it ends with this value.
pub struct Nginx {
    pub address: SocketAddr,
    directory: TempDir,
    _process: Child,
}

impl Nginx {
    pub async fn start() -> Self {
        Self::serving("    location / { return 200 \"nginx\"; }").await
    }

    /// One that asks the gateway whether each request may pass, as `docs/operations.md` has it, and
    /// forwards those that may.
    pub async fn guarded_by(gateway: SocketAddr, upstream: &str) -> Self {
        let documented = include_str!("../../../docs/operations.md");
        let (_, documented) = documented.split_once("```nginx").unwrap();
        let (documented, _) = documented.split_once("```").unwrap();
        let locations = documented
            .replace("http://orders", upstream)
            .replace("http://127.0.0.1:8080", &format!("http://{gateway}"));
        Self::serving(&locations).await
    }

    /// One that spreads requests over gateways, and asks another where one cannot be reached.
    pub async fn balancing(gateways: &[SocketAddr]) -> Self {
        let servers: String =
            gateways.iter().map(|it| format!("    server {it} max_fails=0;\n")).collect();
        let more = format!("  upstream gates {{\n{servers}    keepalive 4;\n  }}\n");
        let location = "    location / {
      proxy_pass http://gates;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
    }";
        Self::serving_with(location, &more).await
    }

    async fn serving(locations: &str) -> Self {
        Self::serving_with(locations, "").await
    }

    async fn serving_with(locations: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let path = directory.path().display();
        let fields = SHOWN.map(|name| format!("\"{name}\":\"$http_{name}\"")).join(",");
        let text = format!(
            r#"daemon off;
master_process off;
pid {path}/nginx.pid;
error_log {path}/error.log;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {path}/body;
  proxy_temp_path {path}/proxy;
  fastcgi_temp_path {path}/fastcgi;
  uwsgi_temp_path {path}/uwsgi;
  scgi_temp_path {path}/scgi;
  underscores_in_headers on;
  log_format json escape=json '{{{fields},"target":"$request_uri","method":"$request_method"}}';
  access_log {path}/access.log json;
{more}  server {{
    listen {address};
    default_type text/plain;
{locations}
  }}
}}
"#
        );
        std::fs::write(directory.path().join("nginx.conf"), text).unwrap();
        let process = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(directory.path().join("nginx.conf"))
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is needed");
        until("nginx", || async { TcpStream::connect(address).await.ok() }).await;
        Self { address, directory, _process: process }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What nginx read, request by request, once there are so many.
    pub async fn received(&self, count: usize) -> Vec<Value> {
        until("nginx's log", || async {
            let text = std::fs::read_to_string(self.directory.path().join("access.log")).ok()?;
            let lines: Vec<Value> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

/// nginx cannot say which port it got: one that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
