//! The vocabulary every room shares: digits, numbers, names, identifiers and time.

pub mod codec;
pub mod digit;
mod hex_text;
pub mod ids;
pub mod keyed;
pub mod network;
pub mod number;
pub mod record_text;
pub mod time;
pub mod token;

pub use codec::{Codec, PayloadKind, PayloadMap};
pub use digit::{Digit, Digits};
pub use hex_text::hex;
pub use ids::{
    AccountName, CallId, CampaignName, DialerName, ListName, NodeName, RecordId, RecordIdError,
    TopicName, TrunkName, WriterId,
};
pub use network::Network;
pub use number::{BulkReader, Dialled, Number, NumberError, NumberReader};
pub use time::UnixMicros;
