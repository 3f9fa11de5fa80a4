//! The error of an unavailable shared backend.

/// The shared backend cannot be reached. Tickets cannot be checked, so they are rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backend shared by all gateways cannot be reached")]
pub struct KvUnavailable;
