//! The running gateway: listeners, connections, start and stop.

pub mod inherited;
pub mod admission;
pub mod alarm;
pub mod transport;
pub mod stream;
pub mod handshake;
pub mod connection;
pub mod listeners;
pub mod observer;
pub mod revocation;
pub mod assemble;
pub mod run;

pub use assemble::Fault;
pub use run::run;
