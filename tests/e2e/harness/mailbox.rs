//! A real mail server that keeps what it takes: aiosmtpd in a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::OnceCell;

use super::certificates::Identity;
use super::wait::{found, until, within, within_minutes};

const PROGRAM: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

options = json.loads(sys.argv[1])
behaviour = {"reply": None, "delay": 0}

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        print(json.dumps({"attempt": address}), flush=True)
        await asyncio.sleep(behaviour["delay"])
        if behaviour["reply"]:
            return behaviour["reply"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: parsed.get_body((kind,)).get_content()
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in parsed.items()],
            "raw": envelope.content.decode("utf-8", "replace"),
            "text": part("plain"), "html": part("html"),
            "authenticated": bool(session.authenticated)}), flush=True)
        return "250 taken"

def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and \
        [data.login.decode(), data.password.decode()] == options["auth"]
    return AuthResult(success=good, handled=False)

async def main():
    context = None
    if options["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["certificate"], options["key"])
    starttls = options["tls"] == "starttls"
    make = lambda: SMTP(Handler(), hostname="sink.test", enable_SMTPUTF8=True,
        tls_context=context if starttls else None, require_starttls=starttls,
        authenticator=authenticate, auth_required=options["auth"] is not None,
        auth_require_tls=starttls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0,
        ssl=context if options["tls"] == "tls" else None)
    def command():
        line = sys.stdin.readline()
        if line:
            behaviour.update(json.loads(line))
            print(json.dumps({"obeyed": True}), flush=True)
        else:
            loop.stop()
    loop.add_reader(sys.stdin, command)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

/// A mail as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    headers: Vec<(String, String)>,
    pub raw: String,
    pub text: String,
    pub html: String,
    pub authenticated: bool,
}

impl Mail {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub fn subject(&self) -> &str {
        self.header("subject").unwrap()
    }

    /// The link in its text.
    pub fn link(&self) -> &str {
        self.text.lines().find(|line| line.starts_with("http")).unwrap()
    }

    /// The token in its link.
    pub fn token(&self) -> String {
        self.link().split_once("token=").unwrap().1.to_owned()
    }
}

/// How the server is to be spoken to.
#[derive(Default)]
pub struct Demands<'a> {
    /// `starttls` or `tls`, with the server's certificate.
    pub tls: Option<(&'a str, &'a Identity)>,
    pub auth: Option<(&'a str, &'a str)>,
}

/// A running mail server; it ends with this value.
pub struct Mailbox {
    pub address: SocketAddr,
    lines: Arc<Mutex<Vec<Value>>>,
    stdin: ChildStdin,
    _directory: tempfile::TempDir,
    _process: Child,
}

impl Mailbox {
    /// One that takes everything, without TLS.
    pub async fn start() -> Self {
        Self::demanding(Demands::default()).await
    }

    pub async fn demanding(demands: Demands<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("pem"), directory.path().join("key"));
        if let Some((_, identity)) = &demands.tls {
            std::fs::write(&certificate, &identity.chain_pem).unwrap();
            std::fs::write(&key, &identity.key_pem).unwrap();
        }
        let options = json!({
            "tls": demands.tls.map_or("none", |(kind, _)| kind),
            "certificate": certificate,
            "key": key,
            "auth": demands.auth.map(|(name, password)| [name, password]),
        });
        let mut process = Command::new(python().await)
            .args(["-W", "ignore", "-c", PROGRAM])
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = within("the mail server", lines.next_line()).await.unwrap();
        let address = format!("127.0.0.1:{}", port.expect("the mail server began")).parse();
        let kept = Arc::<Mutex<Vec<Value>>>::default();
        let keep = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let stdin = process.stdin.take().unwrap();
        let address = address.unwrap();
        Self { address, lines: kept, stdin, _directory: directory, _process: process }
    }

    /// Every mail so far.
    pub fn mails(&self) -> Vec<Mail> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| serde_json::from_value(line.clone()).ok()).collect()
    }

    /// Recipients that were named so far, whether or not their mail was taken.
    pub fn attempts(&self) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line["attempt"].is_string()).count()
    }

    /// Answers every recipient like that from now on; takes them where it is empty.
    pub async fn reply(&mut self, reply: &str) {
        self.tell(json!({ "reply": reply })).await;
    }

    /// Takes so many seconds for every recipient from now on.
    pub async fn delay(&mut self, seconds: u32) {
        self.tell(json!({ "delay": seconds })).await;
    }

    async fn tell(&mut self, behaviour: Value) {
        let obeyed = |lines: &[Value]| lines.iter().filter(|l| l["obeyed"] == true).count();
        let before = obeyed(&self.lines.lock().unwrap());
        self.stdin.write_all(format!("{behaviour}\n").as_bytes()).await.unwrap();
        let lines = &self.lines;
        until("the mail server to obey", || async {
            (obeyed(&lines.lock().unwrap()) > before).then_some(())
        })
        .await;
    }

    /// The newest mail with that subject to that recipient, once there are so many. One whose sending a crash
    /// cut short is sent again when its claim is over, which takes a minute and a half.
    pub async fn nth(&self, count: usize, subject: &str, recipient: &str) -> Mail {
        let mail = found(|| async {
            let mails = self.mails();
            let fits = |mail: &&Mail| mail.subject() == subject && mail.to == [recipient];
            mails.iter().filter(fits).nth(count - 1).cloned()
        });
        within_minutes(&format!("mail {count} with the subject {subject:?}"), mail).await
    }

    /// The first mail with that subject to that recipient.
    pub async fn first(&self, subject: &str, recipient: &str) -> Mail {
        self.nth(1, subject, recipient).await
    }
}

/// An address that refuses connections until it is switched on.
pub struct Switch {
    socket: TcpSocket,
    pub address: SocketAddr,
}

impl Switch {
    pub fn off() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    /// From now on whoever connects speaks to that server.
    pub fn on(self, server: SocketAddr) {
        let listener = self.socket.listen(64).unwrap();
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut caller, &mut server).await);
                });
            }
        });
    }
}

/// A Python that has aiosmtpd: the first one may be another than that which has it.
async fn python() -> &'static str {
    static FOUND: OnceCell<String> = OnceCell::const_new();
    let found = FOUND.get_or_init(|| async {
        for python in ["python3".to_owned(), interpreter().await] {
            let mut probe = Command::new(&python);
            let probe = probe.args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().await;
            if probe.is_ok_and(|status| status.success()) {
                return python;
            }
        }
        panic!("aiosmtpd is needed: make test installs it");
    });
    found.await
}

/// What the program `aiosmtpd` says that it runs with.
async fn interpreter() -> String {
    let found = Command::new("sh").args(["-c", "command -v aiosmtpd"]).output().await.unwrap();
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let program = std::fs::read_to_string(path).unwrap_or_default();
    let line = program.lines().next().unwrap_or_default();
    line.trim_start_matches("#!").trim().to_owned()
}
