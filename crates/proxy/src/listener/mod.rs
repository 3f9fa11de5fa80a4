//! Listening sockets: inherited or bound, how many connections they let in, TLS handshakes.

pub mod inherited;
pub mod connection_limit;
pub mod transport;
pub mod certificates;
pub mod handshake;
pub mod accept;
