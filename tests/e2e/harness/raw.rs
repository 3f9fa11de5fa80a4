//! Raw sockets: bytes out, bytes in.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificates::{Authority, Identity, provider};
use super::message::{Request, Response};
use super::wait::within;

/// Any byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// How a caller speaks TLS.
#[derive(Clone)]
pub struct Tls {
    authority: Authority,
    pub server_name: Option<String>,
    pub alpn: Vec<Vec<u8>>,
    pub identity: Option<Identity>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Keeps session tickets from one connection to the next.
    shared: Option<Arc<ClientConfig>>,
}

impl Tls {
    pub fn new(authority: &Authority, server_name: &str) -> Self {
        Self {
            authority: authority.clone(),
            server_name: Some(server_name.into()),
            alpn: Vec::new(),
            identity: None,
            versions: vec![&rustls::version::TLS12, &rustls::version::TLS13],
            shared: None,
        }
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    pub fn name(mut self, name: &str) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sends no server name; the certificate must still be for `localhost`'s address.
    pub fn without_name(mut self) -> Self {
        self.server_name = None;
        self
    }

    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// All connections made from clones of this one share their session tickets.
    pub fn resuming(mut self) -> Self {
        self.shared = Some(Arc::new(self.config()));
        self
    }

    pub fn config(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.authority.roots());
        let mut config = match &self.identity {
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.server_name.is_some();
        config
    }

    /// Connects; an error is a refused handshake. With TLS 1.3 a refused client certificate shows
    /// only at the first read.
    pub async fn connect(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let config = self.shared.clone().unwrap_or_else(|| Arc::new(self.config()));
        let name = match &self.server_name {
            Some(name) => ServerName::try_from(name.clone()).unwrap(),
            None => ServerName::IpAddress(address.ip().into()),
        };
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        within("TLS handshake", TlsConnector::from(config).connect(name, tcp)).await
    }
}

/// One connection that carries HTTP/1.1.
pub struct Wire {
    stream: Box<dyn Duplex>,
    input: BytesMut,
}

impl Wire {
    pub fn over(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), input: BytesMut::new() }
    }

    pub async fn plain(address: SocketAddr) -> Self {
        let tcp = within("TCP connection", TcpStream::connect(address)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self::over(tcp)
    }

    pub async fn tls(address: SocketAddr, tls: &Tls) -> Self {
        Self::over(tls.connect(address).await.unwrap())
    }

    /// Sends bytes. A gateway that closed early is found out by what is read next.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.try_send(bytes).await);
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within("sending", async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Ends our side of the connection.
    pub async fn finish(&mut self) {
        drop(self.stream.shutdown().await);
    }

    pub async fn exchange(&mut self, request: &Request, host: &str) -> Response {
        self.send(request.bytes(host)).await;
        self.answer_to(request.is_head()).await.expect("the connection closed without an answer")
    }

    /// Sends bytes and reads one response; `None` where the connection closes instead.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Option<Response> {
        self.send(bytes).await;
        self.answer().await
    }

    /// The next response.
    pub async fn response(&mut self) -> Response {
        self.answer_to(false).await.expect("the connection closed without an answer")
    }

    /// The next response; `None` where the connection closes instead.
    pub async fn answer(&mut self) -> Option<Response> {
        self.answer_to(false).await
    }

    pub async fn answer_to(&mut self, head: bool) -> Option<Response> {
        within("a response", self.read_response(head)).await
    }

    async fn read_response(&mut self, to_head: bool) -> Option<Response> {
        let mut interim = Vec::new();
        loop {
            let mut response = self.read_head().await?;
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            response.interim = interim;
            let bodiless = to_head || matches!(response.status, 101 | 204 | 304);
            if !bodiless {
                response.body = self.read_body(&response).await?;
            }
            return Some(response);
        }
    }

    /// The head of the next response, final or interim; its body is left.
    pub async fn head(&mut self) -> Option<Response> {
        within("a head", self.read_head()).await
    }

    async fn read_head(&mut self) -> Option<Response> {
        loop {
            if let Some(end) = find(&self.input, b"\r\n\r\n") {
                let head = self.input.split_to(end + 4);
                return Some(parse_head(&head));
            }
            self.fill().await?;
        }
    }

    async fn read_body(&mut self, response: &Response) -> Option<Vec<u8>> {
        if response.header("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk().await? {
                body.extend_from_slice(&chunk);
            }
            return Some(body);
        }
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.input.len() < length {
                self.fill().await?;
            }
            return Some(self.input.split_to(length).to_vec());
        }
        while self.fill().await.is_some() {}
        Some(self.input.split().to_vec())
    }

    /// One chunk; `Some(None)` at the end of the body, `None` where the connection breaks off.
    pub async fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            while !self.line().await?.is_empty() {}
            return Some(None);
        }
        while self.input.len() < size + 2 {
            self.fill().await?;
        }
        let chunk = self.input.split_to(size).to_vec();
        self.input.advance(2);
        Some(Some(chunk))
    }

    /// So many bytes.
    pub async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        within("bytes", async {
            while self.input.len() < length {
                self.fill().await?;
            }
            Some(self.input.split_to(length).to_vec())
        })
        .await
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.input, b"\r\n") {
                let line = self.input.split_to(end + 2);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    /// Counts body bytes without keeping them, up to `length`.
    pub async fn count(&mut self, length: u64) -> u64 {
        let mut counted = 0;
        while counted < length {
            let here = u64::try_from(self.input.len()).unwrap();
            counted += here;
            self.input.clear();
            if counted < length && within("body bytes", self.fill()).await.is_none() {
                break;
            }
        }
        counted
    }

    async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Waits until the gateway closes; what it sent before that.
    pub async fn closed(&mut self) -> Vec<u8> {
        within("the connection to be closed", async { while self.fill().await.is_some() {} }).await;
        self.input.split().to_vec()
    }

    /// Everything the gateway answers until it closes or stays silent after `count` responses.
    pub async fn answers(&mut self, count: usize) -> Vec<Response> {
        let mut answers = Vec::new();
        while answers.len() < count {
            match self.answer().await {
                Some(answer) => answers.push(answer),
                None => break,
            }
        }
        answers
    }

    pub fn into_stream(self) -> Box<dyn Duplex> {
        assert!(self.input.is_empty(), "bytes were read ahead");
        self.stream
    }
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

pub fn parse_head(head: &[u8]) -> Response {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap_or_default();
    let status = status.parse().unwrap_or_else(|_| panic!("not a status line: {text}"));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Response { status, headers, ..Response::default() }
}
