//! The upstream and the rivals, with one worker each and connections kept both ways.

use std::fs;
use std::path::Path;

use crate::nginx;
use crate::process::{self, Running};

pub(crate) const UPSTREAM: &str = "127.0.0.1:18090";
const FLOOR: &str = "127.0.0.1:18091";
const NGINX: &str = "127.0.0.1:18094";
const HAPROXY: &str = "127.0.0.1:18093";

fn nginx_with(folder: &Path, name: &str, core: usize, address: &str, http: &str) -> Running {
    let file = nginx::configure(folder, name, http);
    process::start(core, address.parse().unwrap(), "nginx", &["-c", &file])
}

/// 1 KiB for every request.
pub(crate) fn upstream(folder: &Path) -> Running {
    nginx_with(folder, "upstream", 1, UPSTREAM, &nginx::upstream(UPSTREAM))
}

/// `proxy_pass` without any check.
pub(crate) fn nginx(folder: &Path) -> Running {
    let http = nginx::proxy(&format!("listen {NGINX};"), UPSTREAM);
    nginx_with(folder, "nginx", 0, NGINX, &http)
}

/// Pingora that passes everything through, by this same program.
pub(crate) fn floor() -> Running {
    let this = std::env::current_exe().unwrap();
    let arguments = ["floor", FLOOR, UPSTREAM];
    process::start(0, FLOOR.parse().unwrap(), this.to_str().unwrap(), &arguments)
}

/// Signature, algorithm, issuer, audience and expiry on every request; subject and roles to headers.
pub(crate) fn haproxy(folder: &Path) -> Running {
    let file = folder.join("haproxy.cfg");
    let key = folder.join("public.pem");
    let key = key.display();
    let deny = "  http-request deny deny_status 401";
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout client 60s\n  \
         timeout server 60s\n  timeout connect 5s\n  http-reuse always\nfrontend f\n  bind {HAPROXY}\n  \
         http-request del-header sub\n  http-request del-header app_roles\n  \
         http-request set-var(txn.jwt) http_auth_bearer\n  http-request set-var(txn.now) date()\n  \
         http-request set-var(txn.alg) var(txn.jwt),jwt_header_query('$.alg')\n  \
         http-request set-var(txn.iss) var(txn.jwt),jwt_payload_query('$.iss')\n  \
         http-request set-var(txn.aud) var(txn.jwt),jwt_payload_query('$.aud')\n  \
         http-request set-var(txn.exp) var(txn.jwt),jwt_payload_query('$.exp','int')\n\
         {deny} unless {{ var(txn.alg) -m str RS256 }}\n\
         {deny} unless {{ var(txn.iss) -m str ms-auth }}\n\
         {deny} unless {{ var(txn.aud) -m str api }}\n\
         {deny} if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n\
         {deny} unless {{ var(txn.jwt),jwt_verify(txn.alg,\"{key}\") 1 }}\n  \
         http-request set-header sub %[var(txn.jwt),jwt_payload_query('$.sub')]\n  \
         http-request set-header app_roles %[var(txn.jwt),jwt_payload_query('$.app_roles')]\n  \
         http-request del-header authorization\n  default_backend u\nbackend u\n  server s {UPSTREAM}\n"
    );
    fs::write(&file, text).unwrap();
    process::start(0, HAPROXY.parse().unwrap(), "haproxy", &["-db", "-f", file.to_str().unwrap()])
}
