//! `[assertion]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Time;

/// A signed statement of who is calling, for upstreams that want proof.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Sends it to every upstream. Its keys are made and kept in `<data_dir>/keys/assertion`. Default
    /// false.
    pub enabled: Option<bool>,
    /// How long a new key is published before it signs: as long as verifiers keep what they know of
    /// our keys; 0 s to 24 h. Default 10 m.
    pub publish_ahead: Option<Time>,
}
