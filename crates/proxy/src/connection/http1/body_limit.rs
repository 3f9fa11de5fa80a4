//! How many bytes of a connection belong to the current request.

use std::io;

use guarita_core::http::Chunks;

/// How many of the received bytes belong to the current request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// So many more bytes.
    Bytes(u64),
    /// A chunked body.
    Chunks(Chunks),
    /// All: an upgraded connection, HTTP/2.
    Unbounded,
}

impl BodyLimit {
    /// Consumes received bytes. Returns how many of them belong to the request.
    pub(super) fn take(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unbounded => Ok(octets.len()),
            Self::Bytes(left) => {
                *left = left.saturating_sub(u64::try_from(octets.len()).unwrap_or(u64::MAX));
                Ok(octets.len())
            }
            Self::Chunks(chunks) => {
                let taken = chunks.follow(octets);
                if chunks.is_over() {
                    *self = Self::Bytes(0);
                }
                taken.map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))
            }
        }
    }
}
