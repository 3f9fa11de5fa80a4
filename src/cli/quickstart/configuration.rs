//! The configuration of the quickstart.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::certificates::write;
use guarita_core::random;

/// Writes `guarita.toml` into the directory unless it exists.
pub fn ensure(
    directory: &Path,
    address: SocketAddr,
    ops: SocketAddr,
    upstream: SocketAddr,
) -> io::Result<()> {
    let file = directory.join("guarita.toml");
    if file.is_file() {
        return Ok(());
    }
    // For second factors; 43 characters.
    let key = random::token().map_err(io::Error::other)?;
    write(&directory.join("totp.key"), key.expose().as_bytes(), 0o600)?;
    write(&file, text(directory, address, ops, upstream).as_bytes(), 0o644)
}

fn text(directory: &Path, address: SocketAddr, ops: SocketAddr, upstream: SocketAddr) -> String {
    let data = directory.display();
    let port = address.port();
    format!(
        r#"# Created by `guarita quickstart`; you may edit it. Changes are applied while the gateway runs.
mode = "local"
public_url = "https://localhost:{port}"
data_dir = "{data}"

[[listeners]]
address = "{address}"
tls = {{ certificate = "cert.pem", key = "key.pem" }}

[ops]
address = "{ops}"

[mfa]
encryption_key_file = "totp.key"

[store]
database = "sqlite:{data}/guarita.db"

[[upstreams]]
name = "demo"
servers = ["http://{upstream}"]

[[routes]]
path = "/public/{{*rest}}"
upstream = "demo"
access = "public"

[[routes]]
path = "/orders/{{*rest}}"
upstream = "demo"
allow = {{ roles = ["Metrics.Admin", "Metrics.Reader"] }}

[[routes]]
path = "/admin/{{*rest}}"
upstream = "demo"
allow = {{ roles = ["Metrics.Admin"] }}
"#
    )
}
