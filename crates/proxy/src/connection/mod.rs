//! One accepted connection: its facts, its HTTP/1.1 stream, what it may send and for how long.

pub mod info;
pub mod idle_timer;
pub mod http1;
pub mod serve;

pub use info::ConnectionInfo;
