//! What a gateway between two ends of a WebSocket knows of RFC 6455: whether a handshake is one, where
//! frames end, how to close. Nothing in a frame is looked at but its header.

pub mod handshake;
pub mod frames;
pub mod answer;
pub mod close;

pub use answer::Answer;
pub use close::Ending;
pub use frames::Frames;
