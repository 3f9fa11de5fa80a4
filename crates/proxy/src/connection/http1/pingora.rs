//! pingora's traits of a stream, except for reading and writing.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID,
};
use tokio::io::AsyncWriteExt;

use crate::connection::http1::Http1Stream;

impl fmt::Debug for Http1Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GuardedStream").finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Http1Stream {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "the client closed the connection first");
        }
    }
}

impl UniqueID for Http1Stream {
    fn id(&self) -> RawFd {
        self.descriptor
    }
}

impl Ssl for Http1Stream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        None
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.http2.then_some(ALPN::H2)
    }
}

impl Peek for Http1Stream {}

impl GetTimingDigest for Http1Stream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Http1Stream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Http1Stream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
