//! A configuration in the making, with everything a gateway needs beside it.

mod database;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use self::database::DATABASE;
use super::certificates::{Authority, Identity};
use super::gateway::Gateway;
use super::sample_database::Database;
use super::tokens;

/// The host that most tests ask for.
pub const HOST: &str = "app.example.test";

/// The password of every user that the tests make.
pub fn password_of(username: &str) -> String {
    format!("correct horse battery {username}")
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    email: Option<String>,
    roles: Vec<String>,
}

/// One TLS or plain address.
#[derive(Clone, Debug)]
struct Listener {
    address: String,
    certificates: Vec<String>,
    client_auth: Option<(String, String)>,
}

/// A configuration file, the files it names, and the accounts of its store.
#[derive(Clone)]
pub struct Setup {
    pub authority: Authority,
    /// By section and key; the empty section is the top of the file.
    values: BTreeMap<(String, String), String>,
    listeners: Vec<Listener>,
    tables: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
    users: Vec<User>,
    environment: Vec<(String, String)>,
    /// What a shell does before it becomes the gateway.
    before: Option<String>,
    inherited: Option<Arc<TcpListener>>,
    namespace: Option<String>,
    /// Made with the first text that names it; clones share it.
    database: Arc<OnceLock<Option<Database>>>,
}

impl Setup {
    /// A TLS and a plain listener, SQLite, a given RS256 key, cheap password hashes. No routes.
    pub fn new() -> Self {
        let authority = Authority::new("Test CA");
        let second = second_address();
        let mut setup = Self {
            values: BTreeMap::new(),
            listeners: vec![
                Listener {
                    address: "127.0.0.1:0".into(),
                    certificates: vec!["server".into()],
                    client_auth: None,
                },
                Listener { address: second, certificates: Vec::new(), client_auth: None },
            ],
            tables: Vec::new(),
            files: BTreeMap::new(),
            users: Vec::new(),
            environment: Vec::new(),
            before: None,
            inherited: None,
            namespace: None,
            database: Arc::default(),
            authority,
        };
        let names = [HOST, "*.example.test", "*.m.example.test", "localhost"];
        let identity = setup.authority.server(&names);
        setup.add_certificate("server", &identity);
        setup
            .file("signing.pem", tokens::signing_key().private_pem())
            .set("data_dir", "\"data\"")
            .set("public_url", "\"https://app.example.test\"")
            .set("ops.address", "\"127.0.0.1:0\"")
            .set("store.database", DATABASE)
            .set("tokens.signing_key_file", "\"signing.pem\"")
            .set("passwords.memory", "\"8MiB\"")
            .set("passwords.iterations", "1")
            .set("drain.timeout", "\"10s\"")
    }

    /// The arrangement of the security cases: open, authenticated and administrators' routes to one
    /// upstream, everything else refused; `alice` is a user, `root` an administrator.
    pub fn standard(upstream: &str) -> Self {
        Self::new()
            .upstream("u", &[upstream])
            .route(&format!("hosts = [\"{HOST}\"]\npath = \"/public/{{*rest}}\"\naccess = \"public\""))
            .route(&format!("hosts = [\"{HOST}\"]\npath = \"/health\"\nmethods = [\"GET\"]\naccess = \"public\""))
            .route(&format!("hosts = [\"{HOST}\"]\npath = \"/api/{{*rest}}\""))
            .route(&format!("hosts = [\"{HOST}\"]\npath = \"/admin/{{*rest}}\"\nallow = {{ roles = [\"admin\"] }}"))
            .user("alice", &["user"])
            .user("root", &["admin"])
    }

    /// Sets `section.key` (or a key at the top) to a TOML value.
    pub fn set(mut self, path: &str, value: &str) -> Self {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.values.insert((section.into(), key.into()), value.into());
        self
    }

    pub fn unset(mut self, path: &str) -> Self {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.values.remove(&(section.to_owned(), key.to_owned()));
        self
    }

    pub fn upstream(self, name: &str, servers: &[&str]) -> Self {
        self.upstream_with(name, servers, "")
    }

    pub fn upstream_with(mut self, name: &str, servers: &[&str], more: &str) -> Self {
        let servers = serde_json::to_string(servers).unwrap();
        self.tables
            .push(format!("[[upstreams]]\nname = \"{name}\"\nservers = {servers}\n{more}\n"));
        self
    }

    /// A route to the upstream `u`, unless the text names another.
    pub fn route(mut self, text: &str) -> Self {
        let upstream = if text.contains("upstream =") { "" } else { "upstream = \"u\"\n" };
        self.tables.push(format!("[[routes]]\n{upstream}{text}\n"));
        self
    }

    /// Any further text at the end of the file.
    pub fn table(mut self, text: &str) -> Self {
        self.tables.push(text.to_owned());
        self
    }

    /// Drops the tables (upstreams, routes) that contain the text.
    pub fn without_table(mut self, text: &str) -> Self {
        self.tables.retain(|table| !table.contains(text));
        self
    }

    pub fn user(self, name: &str, roles: &[&str]) -> Self {
        self.user_with(name, None, roles)
    }

    pub fn user_with(mut self, name: &str, email: Option<&str>, roles: &[&str]) -> Self {
        self.users.push(User {
            name: name.into(),
            email: email.map(str::to_owned),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        });
        self
    }

    /// A mail server without TLS at that address.
    pub fn mail(self, server: std::net::SocketAddr) -> Self {
        self.set("mail.server", &format!("\"{}\"", server.ip()))
            .set("mail.port", &server.port().to_string())
            .set("mail.tls", "\"none\"")
            .set("mail.sender", "\"no-reply@gateway.test\"")
            .set("mail.sender_name", "\"Acme\"")
    }

    pub fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(name.into(), content.as_ref().to_vec());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The most files that the gateway may open.
    pub fn open_files(self, most: u32) -> Self {
        self.before(&format!("ulimit -n {most}"))
    }

    /// What a shell does before it becomes the gateway.
    pub fn before(mut self, command: &str) -> Self {
        self.before = Some(command.into());
        self
    }

    /// In a network namespace of the system.
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Replaces the certificates of the TLS listener; the first is the default.
    pub fn certificates(mut self, pairs: &[(&str, &Identity)]) -> Self {
        for (name, identity) in pairs {
            self.add_certificate(name, identity);
        }
        self.listeners[0].certificates = pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
        self
    }

    fn add_certificate(&mut self, name: &str, identity: &Identity) {
        self.files.insert(format!("{name}.pem"), identity.chain_pem.clone().into_bytes());
        self.files.insert(format!("{name}.key"), identity.key_pem.clone().into_bytes());
    }

    /// Asks callers of the TLS listener for certificates of this CA.
    pub fn client_auth(mut self, mode: &str, clients: &Authority) -> Self {
        self.files.insert("clients-ca.pem".into(), clients.pem().into());
        self.listeners[0].client_auth = Some((mode.into(), "clients-ca.pem".into()));
        self
    }

    /// Where the TLS listener binds.
    pub fn address(mut self, address: &str) -> Self {
        self.listeners[0].address = address.into();
        self
    }

    /// The gateway is handed this socket, and its TLS listener is there.
    pub fn inheriting(mut self, socket: &Arc<TcpListener>) -> Self {
        self.inherited = Some(Arc::clone(socket));
        self.address(&socket.local_addr().unwrap().to_string())
    }

    /// Where the plain listener binds.
    pub fn plain_address(mut self, address: &str) -> Self {
        self.listeners[1].address = address.into();
        self
    }

    pub fn without_plain_listener(mut self) -> Self {
        self.listeners.truncate(1);
        self
    }

    pub fn without_tls_listener(mut self) -> Self {
        self.listeners.remove(0);
        self
    }

    /// The configuration file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut current = String::new();
        for ((section, key), value) in &self.written() {
            if *section != current {
                write!(text, "\n[{section}]\n").unwrap();
                current.clone_from(section);
            }
            writeln!(text, "{key} = {value}").unwrap();
        }
        for listener in &self.listeners {
            write!(text, "\n[[listeners]]\naddress = \"{}\"\n", listener.address).unwrap();
            let pairs = listener
                .certificates
                .iter()
                .map(|name| format!("{{ certificate = \"{name}.pem\", key = \"{name}.key\" }}"))
                .collect::<Vec<_>>();
            if !pairs.is_empty() {
                writeln!(text, "tls = {{ certificates = [{}] }}", pairs.join(", ")).unwrap();
            }
            if let Some((mode, ca)) = &listener.client_auth {
                writeln!(text, "client_auth = {{ mode = \"{mode}\", ca = \"{ca}\" }}").unwrap();
            }
        }
        for table in &self.tables {
            write!(text, "\n{table}").unwrap();
        }
        text
    }

    /// Writes the configuration and its files. The configuration is swapped in whole.
    pub fn write(&self, directory: &Path) {
        for (name, content) in &self.files {
            replace(&directory.join(name), content);
        }
        replace(&directory.join("guarita.toml"), self.text().as_bytes());
        if let Some(database) = self.database() {
            super::database::note(directory, &database.url());
        }
    }

    pub(super) fn users(&self) -> impl Iterator<Item = (&str, Option<&str>, &[String])> {
        self.users
            .iter()
            .map(|user| (user.name.as_str(), user.email.as_deref(), user.roles.as_slice()))
    }

    /// What accounts hang on beside who they are: how their passwords are kept. None where it is not in the
    /// database of the test that they are, or more than that: what people are told by mail, say.
    pub(super) fn what_accounts_hang_on(&self) -> Option<Vec<(&str, &str)>> {
        let usual = |section: &str, key: &str| {
            matches!(section, "ops" | "tokens" | "drain" | "rate_limits" | "lockout" | "sessions")
                || ["data_dir", "public_url", "database"].contains(&key)
                || (section == "store" && key.starts_with("redis"))
                || section == "passwords"
        };
        let is_usual = self.values.keys().all(|(section, key)| usual(section, key))
            && self
                .values
                .get(&(String::new(), "data_dir".into()))
                .is_some_and(|at| at == "\"data\"");
        if !self.is_of_the_test() || !is_usual || !self.environment.is_empty() {
            return None;
        }
        let passwords = self.values.iter().filter(|((section, _), _)| section == "passwords");
        Some(passwords.map(|((_, key), value)| (key.as_str(), value.as_str())).collect())
    }

    pub fn variables(&self) -> &[(String, String)] {
        &self.environment
    }

    pub(super) fn inherited(&self) -> Option<&TcpListener> {
        self.inherited.as_deref()
    }

    pub(super) fn done_before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Starts a gateway with its accounts and waits until it listens.
    pub async fn start(self) -> Gateway {
        Gateway::start(self).await
    }
}

/// Writes beside and renames, so that no reader sees half a file.
pub fn replace(path: &Path, content: &[u8]) {
    let beside = path.with_extension("being-written");
    std::fs::write(&beside, content).unwrap();
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// Two listeners cannot both be configured on `127.0.0.1:0`: a second loopback address where the
/// system has one, a port that was free a moment ago elsewhere.
fn second_address() -> String {
    if TcpListener::bind("127.0.0.2:0").is_ok() {
        return "127.0.0.2:0".into();
    }
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}
