//! The demo upstream: responds with the request that it received.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Uri, header};

/// Listens and serves on a thread of its own until the process ends.
pub fn start(address: SocketAddr) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-upstream".into()).spawn(move || {
        runtime.block_on(async {
            let served = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => axum::serve(listener, Router::new().fallback(show)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::error!(%error, "the demo upstream stopped");
            }
        });
    })?;
    Ok(())
}

async fn show(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let fields: serde_json::Map<_, _> = headers
        .keys()
        .map(|name| {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.to_string(), values.join(", ").into())
        })
        .collect();
    let seen = serde_json::json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": fields,
        "bodyLength": body.len(),
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{seen:#}\n")).into_response()
}
