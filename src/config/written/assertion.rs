//! `[assertion]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::Time;

/// A signed JWT with the caller's identity, for upstreams that verify it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAssertion {
    /// Sends the assertion to every upstream. Its keys are created and kept in `<data_dir>/keys/assertion`.
    /// Default false.
    pub enabled: Option<bool>,
    /// How long a new key is published before it signs: at least as long as verifiers cache the published
    /// keys; 0 s to 24 h. Default 10 m.
    pub publish_ahead: Option<Time>,
}
