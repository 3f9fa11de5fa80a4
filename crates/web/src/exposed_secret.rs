//! A secret in a response body.

use serde::{Serialize, Serializer};

use guarita_core::Secret;

/// A secret that is serialized into the response body, and printed nowhere else.
#[derive(Debug)]
pub(super) struct ExposedSecret(pub(super) Secret);

impl Serialize for ExposedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}
