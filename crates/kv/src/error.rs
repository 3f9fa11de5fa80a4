//! The error of an unavailable shared backend.

/// What all gateways share cannot be asked now: nobody can say whether a ticket counts, so none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backend shared by all gateways cannot be reached")]
pub struct KvUnavailable;
