//! Raw sockets: exactly these bytes, and everything that comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::certificates::Certificate;
use super::gateway::{Gateway, HOST};
use super::wait::within;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One connection.
pub(crate) struct Wire {
    socket: Box<dyn Socket>,
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    /// Plain TCP.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let socket = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self { socket: Box::new(socket), buffer: vec![] }
    }

    /// TLS with HTTP/1.1, as the standard host, perhaps with a client certificate.
    pub(crate) async fn tls(gateway: &Gateway, certificate: Option<&Certificate>) -> Self {
        Self::handshake(gateway, HOST, certificate, &["http/1.1"]).await.unwrap()
    }

    /// TLS as one likes; the handshake may fail.
    pub(crate) async fn handshake(
        gateway: &Gateway,
        name: &str,
        certificate: Option<&Certificate>,
        protocols: &[&str],
    ) -> std::io::Result<Self> {
        let config = client_config(&gateway.authority.pem, certificate, protocols);
        let socket = TcpStream::connect(gateway.https()).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let socket = within("a handshake", connector.connect(name, socket)).await?;
        Ok(Self { socket: Box::new(socket), buffer: vec![] })
    }

    /// The socket itself.
    pub(crate) fn into_socket(self) -> impl AsyncRead + AsyncWrite + Send + Unpin {
        self.socket
    }

    /// Sends bytes; a peer that has closed already is no failure.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref()).await;
        let _ = self.socket.flush().await;
    }

    /// The next answer; `None` where the connection closed before one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        within("an answer", self.read_answer()).await
    }

    /// Sends bytes and reads one answer.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Option<Answer> {
        self.send(bytes).await;
        self.answer().await
    }

    /// Whether the peer closes, whatever it still sends before.
    pub(crate) async fn is_closed(&mut self) -> bool {
        within("the close", async {
            let mut bytes = [0; 4096];
            loop {
                match self.socket.read(&mut bytes).await {
                    Ok(0) | Err(_) => return true,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                true
            }
        }
    }

    /// The next head, whatever may belong to it.
    pub(crate) async fn head(&mut self) -> Option<String> {
        within("a head", self.read_head()).await
    }

    /// Whether nothing is left of what was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    async fn read_head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let head = self.read_head().await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, head, body: vec![] };
        if status < 200 || status == 204 || status == 304 {
            return Some(answer);
        }
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let chunked = answer.header("transfer-encoding").is_some();
        loop {
            match length {
                Some(length) if self.buffer.len() >= length => {
                    answer.body = self.buffer.drain(..length).collect();
                    return Some(answer);
                }
                None if chunked && self.buffer.ends_with(b"0\r\n\r\n") => break,
                _ => {}
            }
            if !self.more().await {
                break;
            }
        }
        answer.body = std::mem::take(&mut self.buffer);
        Some(answer)
    }
}

/// A TLS client that believes one CA.
pub(crate) fn client_config(
    ca: &str,
    certificate: Option<&Certificate>,
    protocols: &[&str],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
