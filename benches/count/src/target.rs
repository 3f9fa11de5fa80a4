//! The proxies, what each is asked, and what they have in common.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::guarita::Guarita;
use crate::nginx;
use crate::process::Process;

/// The host of every request; the certificate is for it.
pub(crate) const HOST: &str = "app.example.test";

/// Connections of a proxy that has much to do.
const MANY: usize = 64;

/// Folder, certificate and upstream.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) upstream: SocketAddr,
    /// Callers' addresses of the one proxy that runs at a time.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) operations: SocketAddr,
    _running: Process,
}

/// A proxy.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
    pub(crate) requests: Vec<Request>,
}

/// What is sent, again and again.
pub(crate) struct Request {
    pub(crate) name: &'static str,
    pub(crate) tls: bool,
    /// They ask in step.
    pub(crate) connections: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Ground {
    pub(crate) fn prepare(folder: &Path) -> Self {
        let [upstream, plain, tls, operations] = free_addresses();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let http = nginx::upstream(&upstream.to_string());
        let file = nginx::configure(folder, "upstream", &http);
        let running =
            Process::start(&words(&["nginx", "-c", &file]), false, &folder.join("upstream.out"));
        let folder = folder.to_owned();
        Self { folder, certificate, key, upstream, plain, tls, operations, _running: running }
    }

    /// Every request is judged: by a bearer token, or by the cookie of a session.
    pub(crate) fn guarita(&self, guarita: &Guarita) -> Target {
        let mut requests = requests(guarita);
        let cookie = format!("Cookie: {}", guarita.cookie);
        requests.push(Request::get("GET, session cookie", &cookie));
        Target { name: "guarita", command: guarita.command.clone(), requests }
    }

    /// The floor: this same program, which passes everything through.
    pub(crate) fn pingora(&self, this: &Path, guarita: &Guarita) -> Target {
        let this = this.to_str().expect("a path in UTF-8");
        let addresses = [self.plain.to_string(), self.upstream.to_string()];
        let command = words(&[this, "floor", &addresses[0], &addresses[1]]);
        let mut requests = requests(guarita);
        requests.retain(|request| !request.tls);
        Target { name: "bare pingora", command, requests }
    }

    /// `proxy_pass`, no check.
    pub(crate) fn nginx(&self, guarita: &Guarita) -> Target {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let listen = format!(
            "listen {}; listen {} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};",
            self.plain, self.tls
        );
        let http = nginx::proxy(&listen, &self.upstream.to_string());
        let file = nginx::configure(&self.folder, "nginx", &http);
        let command = words(&["nginx", "-c", &file]);
        Target { name: "nginx, no check", command, requests: requests(guarita) }
    }
}

impl Request {
    fn new(name: &'static str, bytes: String) -> Self {
        Self { name, tls: false, connections: 1, bytes: bytes.into_bytes() }
    }

    /// A `GET` with `Host` and one field more.
    fn get(name: &'static str, field: &str) -> Self {
        Self::new(name, format!("GET /api/orders HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n\r\n"))
    }

    /// A `POST` of 1 KiB.
    fn post(name: &'static str, field: &str) -> Self {
        let head = format!(
            "POST /api/orders HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\nContent-Length: 1024\r\n\r\n"
        );
        Self::new(name, head + &"x".repeat(1024))
    }
}

/// What every proxy is asked, with the same bytes: who does not check the token forwards it.
fn requests(guarita: &Guarita) -> Vec<Request> {
    let bearer = format!("Authorization: Bearer {}", guarita.token);
    vec![
        Request::get("GET", &bearer),
        // One turn of the event loop serves many: what a loaded proxy pays for waiting.
        Request { connections: MANY, ..Request::get("GET, 64 connections", &bearer) },
        Request::post("POST 1 KiB", &bearer),
        Request { tls: true, ..Request::get("GET, TLS", &bearer) },
    ]
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Addresses that nobody else has now.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
