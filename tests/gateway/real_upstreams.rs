//! What reaches a real nginx and a real WSGI server behind the gateway.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Gateway, Setup, eventually, loopback};

/// A process, killed when dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn listening(
    mut command: Command,
    address: SocketAddr,
    directory: tempfile::TempDir,
) -> Server {
    let process = command.stdout(Stdio::null()).spawn().unwrap();
    eventually("the upstream", || async { tokio::net::TcpStream::connect(address).await.ok() })
        .await;
    Server { process, address, _directory: directory }
}

const NAMES: [&str; 11] = [
    "sub",
    "app_roles",
    "x_auth_uid",
    "x_auth_sid",
    "x_auth_source",
    "x_request_id",
    "x_forwarded_for",
    "x_forwarded_proto",
    "authorization",
    "remote_user",
    "host",
];

/// nginx that answers with the headers it understood, `_` and `-` being one to it.
async fn nginx() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().display().to_string();
    let address = SocketAddr::new(loopback(), 9100);
    let members: Vec<String> =
        NAMES.iter().map(|name| format!("\"{name}\":\"$http_{name}\"")).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind}; "))
        .concat();
    let text = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 64; }}\nhttp {{ access_log off; {temporary}\n\
         underscores_in_headers on;\n\
         server {{ listen {address}; location / {{ default_type application/json;\n\
         return 200 '{{\"uri\":\"$request_uri\",{}}}'; }} }} }}",
        members.join(",")
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).stderr(Stdio::null());
    listening(command, address, directory).await
}

/// Python's WSGI server, which folds header names as CGI does.
async fn wsgi() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let address = SocketAddr::new(loopback(), 9200);
    let text = format!(
        "import json\nfrom wsgiref.simple_server import make_server, WSGIRequestHandler\n\
         class Quiet(WSGIRequestHandler):\n    def log_message(self, *a): pass\n\
         def app(environ, start):\n    \
         seen = {{k[5:].lower(): v for k, v in environ.items() if k.startswith('HTTP_')}}\n    \
         seen['uri'] = environ['PATH_INFO'] + ('?' + environ['QUERY_STRING'] if environ['QUERY_STRING'] else '')\n    \
         body = json.dumps(seen).encode()\n    \
         start('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])\n    \
         return [body]\n\
         make_server('{}', {}, app, handler_class=Quiet).serve_forever()\n",
        address.ip(),
        address.port()
    );
    let file = directory.path().join("app.py");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("python3");
    command.arg(&file);
    listening(command, address, directory).await
}

async fn seen(gateway: &Gateway, user: Option<&str>, path: &str) -> (Value, String) {
    let persona = match user {
        Some(user) => gateway.bearer(user).await,
        None => gateway.anonymous(),
    };
    let mut request = persona.request(reqwest::Method::GET, path);
    for name in ["Sub", "App-Roles", "app_roles", "X_Auth_Uid", "x-auth_sid", "Remote-User"] {
        request = request.header(name, "forged");
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let session = persona.tokens.map(|tokens| tokens.session).unwrap_or_default();
    (answer.json().await.unwrap(), session)
}

async fn identity_arrives(server: Server) {
    let gateway = Setup::standard(server.address).start().await;
    let (body, session) = seen(&gateway, Some("root"), "/api/%61?b=%2e").await;
    assert_eq!(body["sub"], "root");
    assert_eq!(body["app_roles"], "admin");
    assert_eq!(body["x_auth_uid"], "2");
    assert_eq!(body["x_auth_sid"], session.as_str());
    assert_eq!(body["x_auth_source"], "bearer");
    assert_eq!(body["x_forwarded_proto"], "https");
    assert_eq!(body["x_forwarded_for"], "127.0.0.1");
    assert_eq!(body["host"], "app.example.test:8443");
    assert_eq!(body["uri"], "/api/a?b=%2e");
    assert_eq!(body["x_request_id"].as_str().unwrap().len(), 36);
    assert!(!body.to_string().contains("forged"), "{body}");

    let (body, _) = seen(&gateway, None, "/public/x").await;
    for name in ["sub", "app_roles", "x_auth_uid", "x_auth_sid", "x_auth_source", "remote_user"] {
        assert!(matches!(body[name].as_str(), None | Some("")), "{name}: {body}");
    }
}

#[tokio::test]
async fn nginx_sees_the_identity_and_nothing_of_the_callers_making() {
    identity_arrives(nginx().await).await;
}

#[tokio::test]
async fn a_wsgi_server_sees_the_identity_and_nothing_of_the_callers_making() {
    identity_arrives(wsgi().await).await;
}
