//! The vocabulary every room shares: digits, numbers, names, identifiers and time.

pub mod digit;
pub mod ids;
pub mod keyed;
pub mod number;
pub mod time;
pub mod token;

pub use digit::{Digit, Digits};
pub use ids::{
    AccountName, CallId, CampaignName, DialerName, ListName, NodeName, RecordId, TrunkName,
    WriterId,
};
pub use number::Number;
pub use time::UnixMicros;
