//! A configuration of nginx: one process, connections kept.

use std::fs;
use std::path::Path;

/// Writes `<name>.conf` around what is inside of `http`. What nginx keeps goes to the same folder.
pub(crate) fn configure(folder: &Path, name: &str, http: &str) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{name}-{kind}; "))
        .concat();
    let file = format!("{folder}/{name}.conf");
    let text = format!(
        "daemon off; master_process off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log off; keepalive_requests 100000000; {temporary}\n{http} }}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

/// 1 KiB for every request.
pub(crate) fn upstream(address: &str) -> String {
    let body = "x".repeat(1024);
    format!(
        "server {{ listen {address}; location / {{ default_type text/plain; return 200 '{body}'; }} }}"
    )
}

/// `proxy_pass` without any check; `listen` is a directive or several.
pub(crate) fn proxy(listen: &str, upstream: &str) -> String {
    format!(
        "upstream u {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}\n\
         server {{ {listen} location / {{ proxy_pass http://u; proxy_http_version 1.1; \
         proxy_set_header Connection ''; proxy_set_header Host $host; }} }}"
    )
}
