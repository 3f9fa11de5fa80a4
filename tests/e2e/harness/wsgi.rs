//! A real WSGI server behind the gateway: its environment folds header names, as many do.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::wait::within;

const PROGRAM: &str = r#"
import json, sys
from wsgiref.simple_server import make_server, WSGIRequestHandler

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

def application(environ, start_response):
    seen = {k: v for k, v in environ.items() if k.startswith("HTTP_") or k in
            ("PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "REMOTE_USER", "CONTENT_TYPE")}
    body = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]

server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A running WSGI server; it ends with this value.
pub struct Wsgi {
    pub address: SocketAddr,
    _process: Child,
}

impl Wsgi {
    pub async fn start() -> Self {
        let mut process = Command::new("python3")
            .args(["-c", PROGRAM])
            .env_remove("REMOTE_USER")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 is needed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = within("the WSGI server", lines.next_line()).await.unwrap().unwrap();
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        Self { address, _process: process }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
