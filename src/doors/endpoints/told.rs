//! A secret in a response body.

use serde::{Serialize, Serializer};

use crate::model::Secret;

/// Told in an answer to the one it is for; printed nowhere.
#[derive(Debug)]
pub(super) struct Told(pub(super) Secret);

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}
