//! An upstream that keeps every byte it receives and answers as told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Identity, provider};
use super::raw::{Duplex, find};
use super::wait::until;
use answer::serve;

mod answer;

pub use answer::{Answer, switch};

/// Most bytes of one body that are kept; the rest is counted.
const KEPT: usize = 1024 * 1024;

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// On which connection, from 0.
    pub connection: usize,
    pub head: Vec<u8>,
    /// The body without its framing, up to 1 MiB of it.
    pub body: Vec<u8>,
    pub length: u64,
    /// Lines after the last chunk.
    pub trailers: Vec<String>,
    /// Whether the body arrived to its end.
    pub complete: bool,
}

impl Recorded {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    fn request_line(&self) -> Vec<String> {
        let text = self.text();
        text.lines().next().unwrap_or_default().split(' ').map(str::to_owned).collect()
    }

    pub fn method(&self) -> String {
        self.request_line()[0].clone()
    }

    pub fn target(&self) -> String {
        self.request_line()[1].clone()
    }

    /// Names as written, with their values.
    pub fn fields(&self) -> Vec<(String, String)> {
        let text = self.text();
        text.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// Values of all fields with this name, whatever its case.
    pub fn all(&self, name: &str) -> Vec<String> {
        let fields = self.fields();
        let wanted = fields.into_iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        wanted.map(|(_, value)| value).collect()
    }

    /// The only value; fails the test where there are several.
    #[track_caller]
    pub fn one(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() <= 1, "several {name}: {values:?}");
        values.pop()
    }

    /// Values of all fields that a CGI or WSGI server would take for this one.
    pub fn folded(&self, name: &str) -> Vec<String> {
        let fold = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let fields = self.fields();
        let wanted = fields.into_iter().filter(|(known, _)| fold(known) == fold(name));
        wanted.map(|(_, value)| value).collect()
    }
}

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

/// A running upstream; it ends with this value.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    secure: bool,
    state: Arc<State>,
    _stop: Arc<watch::Sender<()>>,
}

struct State {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    script: Mutex<Script>,
}

impl Upstream {
    /// Shows each request in its answer.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::Echo).await
    }

    pub async fn answering(script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), None, Arc::new(script)).await
    }

    /// On an address where another upstream was before.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::listen(address, None, Arc::new(|_: &Recorded| Answer::Echo)).await
    }

    /// Over TLS; with `clients`, only for callers with a certificate of that CA.
    pub async fn start_tls(identity: &Identity, clients: Option<&Authority>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(identity, clients, &[])));
        let script: Script = Arc::new(|_| Answer::Echo);
        Self::listen("127.0.0.1:0".parse().unwrap(), Some(acceptor), script).await
    }

    async fn listen(address: SocketAddr, tls: Option<TlsAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            script: Mutex::new(script),
        });
        let (stop, mut stopped) = watch::channel(());
        let (secure, shared) = (tls.is_some(), Arc::clone(&state));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = tokio::select! {
                    _ = stopped.changed() => return,
                    accepted = listener.accept() => accepted.unwrap(),
                };
                tcp.set_nodelay(true).unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                let mut stopped = stopped.clone();
                let serving = async move {
                    match tls {
                        None => connection(Box::new(tcp), &state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                connection(Box::new(stream), &state).await;
                            }
                        }
                    }
                };
                tokio::spawn(async move {
                    tokio::select! {
                        _ = stopped.changed() => {}
                        () = serving => {}
                    }
                });
            }
        });
        Self { address, secure, state, _stop: Arc::new(stop) }
    }

    pub fn url(&self) -> String {
        format!("http{}://{}", if self.secure { "s" } else { "" }, self.address)
    }

    /// Answers differently from now on.
    pub fn script(&self, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.state.requests.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.requests().pop().expect("no request arrived")
    }

    pub fn forget(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// Waits until so many requests arrived.
    pub async fn received(&self, count: usize) {
        until("requests at the upstream", || async { (self.count() >= count).then_some(()) }).await;
    }
}

/// TLS for a server of ours.
pub fn server_config(
    identity: &Identity,
    clients: Option<&Authority>,
    alpn: &[&str],
) -> rustls::ServerConfig {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap(),
            )
        }
    };
    let mut config = builder.with_single_cert(identity.chain(), identity.private_key()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn connection(mut stream: Box<dyn Duplex>, state: &State) {
    let connection = state.connections.fetch_add(1, Ordering::Relaxed);
    let mut input = BytesMut::new();
    while let Some(head) = read_head(&mut stream, &mut input).await {
        let index = {
            let mut requests = state.requests.lock().unwrap();
            requests.push(Recorded { connection, head, ..Recorded::default() });
            requests.len() - 1
        };
        let Some(recorded) = read_body(&mut stream, &mut input, state, index).await else {
            return;
        };
        let script = Arc::clone(&state.script.lock().unwrap());
        let answer = script(&recorded);
        match serve(answer, &recorded, stream, &mut input).await {
            Some(kept) => stream = kept,
            None => return,
        }
    }
}

async fn read_head(stream: &mut Box<dyn Duplex>, input: &mut BytesMut) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = find(input, b"\r\n\r\n") {
            return Some(input.split_to(end + 4).to_vec());
        }
        fill(stream, input).await?;
    }
}

async fn fill(stream: &mut Box<dyn Duplex>, input: &mut BytesMut) -> Option<()> {
    match stream.read_buf(input).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

/// Reads the body and brings the record up to date while it comes.
async fn read_body(
    stream: &mut Box<dyn Duplex>,
    input: &mut BytesMut,
    state: &State,
    index: usize,
) -> Option<Recorded> {
    let update = |change: &dyn Fn(&mut Recorded)| {
        let mut requests = state.requests.lock().unwrap();
        // The test may have told the upstream to forget.
        let mut none = Recorded::default();
        let recorded = requests.get_mut(index).unwrap_or(&mut none);
        change(recorded);
        recorded.clone()
    };
    let recorded = update(&|_| {});
    if recorded.one("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    let take = |bytes: &[u8]| {
        update(&|recorded| {
            let room = KEPT.saturating_sub(recorded.body.len()).min(bytes.len());
            recorded.body.extend_from_slice(&bytes[..room]);
            recorded.length += u64::try_from(bytes.len()).unwrap();
        });
    };
    if recorded.one("transfer-encoding").is_some() {
        loop {
            let line = line(stream, input).await?;
            let mut size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            while size > 0 {
                if input.is_empty() {
                    fill(stream, input).await?;
                }
                let part = input.split_to(size.min(input.len()));
                size -= part.len();
                take(&part);
            }
            line_end(stream, input).await?;
        }
        loop {
            let trailer = line(stream, input).await?;
            if trailer.is_empty() {
                break;
            }
            update(&|recorded| recorded.trailers.push(trailer.clone()));
        }
    } else if let Some(length) = recorded.one("content-length") {
        let mut left: usize = length.parse().ok()?;
        while left > 0 {
            if input.is_empty() {
                fill(stream, input).await?;
            }
            let part = input.split_to(left.min(input.len()));
            left -= part.len();
            take(&part);
        }
    }
    Some(update(&|recorded| recorded.complete = true))
}

async fn line(stream: &mut Box<dyn Duplex>, input: &mut BytesMut) -> Option<String> {
    loop {
        if let Some(end) = find(input, b"\r\n") {
            let line = input.split_to(end + 2);
            return Some(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        fill(stream, input).await?;
    }
}

async fn line_end(stream: &mut Box<dyn Duplex>, input: &mut BytesMut) -> Option<()> {
    line(stream, input).await?.is_empty().then_some(())
}
