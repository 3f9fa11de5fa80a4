//! An HTTP/2 upstream that answers as a gRPC server does: what it hears, then trailers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Identity};
use super::raw::Duplex;
use super::upstream::server_config;

/// A request as an HTTP/2 upstream heard it.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Subject common names of the caller's certificate, as DER text.
    pub certificate: Option<Vec<u8>>,
}

/// A running HTTP/2 upstream.
pub struct GrpcUpstream {
    pub address: SocketAddr,
    secure: bool,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl GrpcUpstream {
    /// Without TLS, by prior knowledge.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// Over TLS, for callers with a certificate of `clients` only.
    pub async fn start_tls(identity: &Identity, clients: Option<&Authority>) -> Self {
        let config = server_config(identity, clients, &["h2"]);
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (secure, shared) = (tls.is_some(), Arc::clone(&calls));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (calls, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(Box::new(tcp), None, calls).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                let leaf = stream.get_ref().1.peer_certificates();
                                let leaf = leaf.and_then(|chain| chain.first());
                                let leaf = leaf.map(|leaf| leaf.to_vec());
                                connection(Box::new(stream), leaf, calls).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, secure, calls }
    }

    pub fn url(&self) -> String {
        format!("http{}://{}", if self.secure { "s" } else { "" }, self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn connection(
    stream: Box<dyn Duplex>,
    certificate: Option<Vec<u8>>,
    calls: Arc<Mutex<Vec<Call>>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (calls, certificate) = (Arc::clone(&calls), certificate.clone());
        tokio::spawn(async move {
            drop(answer(request, respond, certificate, &calls).await);
        });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    certificate: Option<Vec<u8>>,
    calls: &Mutex<Vec<Call>>,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut sending = respond.send_response(response, false)?;
    let mut received = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        received.extend_from_slice(&part);
        sending.send_data(part, false)?;
    }
    let trailers = body.trailers().await?;
    calls.lock().unwrap().push(Call {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: received,
        trailers,
        certificate,
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("grpc-message", "done".parse().unwrap());
    sending.send_trailers(trailers)
}
