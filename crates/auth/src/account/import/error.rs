//! Why a row or a file is not imported.

/// Why a row is invalid. Contains the position and the reason, but nothing of the row's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The line on which the row begins; the first is 1.
    pub line: u64,
    /// One of the known columns, or the whole row.
    pub column: &'static str,
    /// The reason.
    pub reason: String,
}

impl Bad {
    pub(super) fn new(line: u64, column: &'static str, reason: impl std::fmt::Display) -> Self {
        Self { line, column, reason: reason.to_string() }
    }
}
