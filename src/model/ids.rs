//! Names and identifiers, each its own type so that none is taken for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::UnixMicros;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The account (tenant) that a campaign belongs to.
    AccountName
);
name!(
    /// A campaign, as its table in `config/campaigns` is named.
    CampaignName
);
name!(
    /// A dialer that may send calls.
    DialerName
);
name!(
    /// A suppression list.
    ListName
);
name!(
    /// This engine among those that share a store.
    NodeName
);
name!(
    /// What campaigns are about, as far as people opt out of it.
    TopicName
);
name!(
    /// A trunk towards a carrier.
    TrunkName
);

/// One call through the engine, both legs of it; UUID version 7 in its usual text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub Uuid);

impl CallId {
    /// An identifier of a call that began at `at`, with 74 of the random bits that are handed in
    /// (RFC 9562 section 5.7).
    pub fn new(at: UnixMicros, high: u64, low: u64) -> Self {
        let millis = u64::try_from(at.0 / 1_000).unwrap_or_default();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&low.to_be_bytes());
        random[8..].copy_from_slice(&high.to_be_bytes()[..2]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One process's stream of facts: fresh at each start, so that two never share a stream.
///
/// 63 random bits, since SQL's BIGINT is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterId(pub u64);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One fact: the writer's stream and the place in it, counted from 1 without a hole.
///
/// Text form `0123456789abcdef-42`, as it stands in SIP headers, exports and proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordId {
    /// Whose stream.
    pub writer: WriterId,
    /// The place in the stream, from 1.
    pub seq: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.writer, self.seq)
    }
}

impl FromStr for RecordId {
    type Err = RecordIdError;

    /// Reads the text form and nothing else.
    fn from_str(text: &str) -> Result<Self, RecordIdError> {
        let (writer, seq) = text.split_once('-').ok_or(RecordIdError)?;
        let digits = |text: &str, radix| text.chars().all(|character| character.is_digit(radix));
        if writer.len() != 16 || !digits(writer, 16) || !digits(seq, 10) {
            return Err(RecordIdError);
        }
        let writer = u64::from_str_radix(writer, 16).map_err(|_digits| RecordIdError)?;
        let seq = seq.parse().map_err(|_digits| RecordIdError)?;
        Ok(Self { writer: WriterId(writer), seq })
    }
}

/// A text that names no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a record such as 0123456789abcdef-42")]
pub struct RecordIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_from_its_text_form_alone() {
        let record = RecordId { writer: WriterId(0x0123_4567_89ab_cdef), seq: 42 };
        let cases = [
            ("the text form", "0123456789abcdef-42", Ok(record)),
            ("no place", "0123456789abcdef-", Err(RecordIdError)),
            ("no writer", "-42", Err(RecordIdError)),
            ("a short writer", "123456789abcdef-42", Err(RecordIdError)),
            ("a sign", "0123456789abcdef-+2", Err(RecordIdError)),
            ("a place beyond 64 bits", "0123456789abcdef-18446744073709551616", Err(RecordIdError)),
            ("nothing", "", Err(RecordIdError)),
        ];
        for (name, text, want) in cases {
            assert_eq!(text.parse(), want, "{name}");
        }
        assert_eq!(record.to_string().parse(), Ok(record));
    }
}
