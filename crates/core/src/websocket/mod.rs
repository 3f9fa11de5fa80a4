//! The parts of RFC 6455 that an intermediary needs: handshakes, frame boundaries and close frames. Only the
//! headers of frames are parsed.

pub mod handshake;
pub mod frames;
pub mod response;
pub mod close;

pub use close::Ending;
pub use frames::Frames;
pub use response::ResponseProgress;
