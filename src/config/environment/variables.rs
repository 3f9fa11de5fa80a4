//! The environment of the process.

/// Environment variables by name.
pub(crate) type Variables = std::collections::BTreeMap<String, String>;
