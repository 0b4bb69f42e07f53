//! Records as text in what programs read, for serde's `with`: `0123456789abcdef-42`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::ids::RecordId;

/// Writes the text form.
///
/// # Errors
///
/// Those of `serializer`.
pub fn serialize<S: Serializer>(record: &RecordId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(record)
}

/// Reads the text form and nothing else.
///
/// # Errors
///
/// Those of `deserializer`, and for what names no record.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecordId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
