//! The parts of RFC 6455 that an intermediary needs: handshakes, frame boundaries and close frames. Only the
//! headers of frames are parsed.

pub mod handshake;
pub mod frames;
pub mod answer;
pub mod close;

pub use answer::Answer;
pub use close::Ending;
pub use frames::Frames;
