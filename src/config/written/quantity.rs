//! Quantities as they are written: lengths of time and sizes.

use schemars::JsonSchema;
use serde::Deserialize;

/// A duration: a whole number followed by `ms`, `s`, `m`, `h` or `d`, for example `"250ms"`, `"5s"`,
/// `"60m"`, `"30d"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9]+(ms|s|m|h|d)$"))]
pub struct Time(pub String);

/// A size in bytes: a whole number, optionally followed by `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// A number of bytes.
    Bytes(#[schemars(range(min = 0))] i64),
    /// A number with a unit, for example `"10MiB"`.
    Text(String),
}
