//! HTTP requests to providers, with limits on time and size.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::federation::error::FetchError;

/// Time-out of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of a whole document.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of redirects, all on the same server.
const MAX_REDIRECTS: usize = 3;
/// Maximum size of a document, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// Fetches documents of one provider.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// Verifies servers with these CAs (PEM), or with the system's. Created on a blocking thread, because loading the
    /// system's CAs takes time.
    pub(super) async fn new(ca: Option<Vec<u8>>) -> Result<Self, FetchError> {
        let made = tokio::task::spawn_blocking(move || Self::make(ca.as_deref())).await;
        made.map_err(|error| FetchError::Client(error.to_string()))?
    }

    fn make(ca: Option<&[u8]>) -> Result<Self, FetchError> {
        let client = Client::builder()
            .use_preconfigured_tls(tls(ca)?)
            .redirect(Policy::custom(follow))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| FetchError::Client(error.to_string()))?;
        Ok(Self(client))
    }

    /// A JSON document of at most 256 KiB.
    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.0.get(url).header("accept", "application/json");
        let answer = request.send().await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        read(answer).await
    }

    /// Any response of at most 256 KiB.
    pub(super) async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let answer = self.0.execute(request).await.map_err(unreachable)?;
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = read(answer).await?;
        Ok(response)
    }
}

async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, FetchError> {
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if document.len() + chunk.len() > MAX_BYTES {
            return Err(FetchError::TooLong);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// Redirects are followed only on the same server, because no other one was configured.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| first.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The whole chain of causes, because the first alone is not informative; without the URL, which may contain a code.
fn unreachable(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    FetchError::Unreachable(text)
}

/// Whether a file of CAs has at least one valid certificate in PEM.
pub fn are_authorities(pem: &[u8]) -> bool {
    authorities(pem).is_ok()
}

fn authorities(pem: &[u8]) -> Result<rustls::RootCertStore, FetchError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| FetchError::Authority)?;
        roots.add(certificate).map_err(|_| FetchError::Authority)?;
    }
    if roots.is_empty() { Err(FetchError::Authority) } else { Ok(roots) }
}

fn tls(ca: Option<&[u8]>) -> Result<rustls::ClientConfig, FetchError> {
    let roots = match ca {
        Some(pem) => authorities(pem)?,
        None => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Client(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
