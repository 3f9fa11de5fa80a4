//! What is shared cannot be asked.

/// What all gateways share cannot be asked now: nobody can say whether a ticket counts, so none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what all gateways share cannot be asked now")]
pub struct OutOfReach;
