//! An HTTP/2 caller.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;

use super::message::{Request, Response};
use super::raw::Tls;
use super::wait::within;

/// One HTTP/2 connection; clones share it.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
}

impl Http2 {
    pub async fn connect(address: SocketAddr, tls: &Tls) -> Self {
        let stream = tls.clone().alpn(&["h2"]).connect(address).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            within("HTTP/2 handshake", h2::client::handshake(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Self { sender }
    }

    pub async fn send(&self, request: &Request, host: &str) -> Result<Response, h2::Error> {
        self.send_with_trailers(request, host, &[], None).await.map(|(response, _)| response)
    }

    /// A request with its body and, where given, trailers; the answer and its trailers.
    pub async fn send_with_trailers(
        &self,
        request: &Request,
        host: &str,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<(Response, Option<HeaderMap>), h2::Error> {
        within("an HTTP/2 exchange", async {
            let mut sender = self.sender.clone().ready().await?;
            let mut built = http::Request::builder()
                .method(request.method())
                .uri(format!("https://{host}{}", request.target()));
            for (name, value) in request.headers() {
                built = built.header(name, value);
            }
            let bodiless = body.is_empty() && trailers.is_none();
            let built = built.body(()).unwrap();
            let (response, mut sending) = sender.send_request(built, bodiless)?;
            if !bodiless {
                sending.send_data(Bytes::copy_from_slice(body), trailers.is_none())?;
                if let Some(trailers) = trailers {
                    sending.send_trailers(trailers)?;
                }
            }
            read(response.await?).await
        })
        .await
    }

    pub async fn get(
        &self,
        path: &str,
        host: &str,
        token: Option<&str>,
    ) -> Result<Response, h2::Error> {
        let request = Request::get(path);
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        self.send(&request, host).await
    }

    /// The sending side itself, for what a well-behaved caller does not do.
    pub fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }
}

async fn read(
    response: http::Response<h2::RecvStream>,
) -> Result<(Response, Option<HeaderMap>), h2::Error> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    let trailers = stream.trailers().await?;
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let response = Response { status: parts.status.as_u16(), headers, body, ..Response::default() };
    Ok((response, trailers))
}
