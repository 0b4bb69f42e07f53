//! SIP (RFC 3261) as pure machines: messages, transactions, dialogs, sessions.

pub mod address;
pub mod build;
mod dialog;
pub mod endpoint;
pub mod error;
mod fields;
pub mod ids;
pub mod message;
mod mint;
pub mod name;
mod owned;
pub mod scan;
mod session;
mod slab;
mod start;
mod timers;
#[cfg(test)]
mod torture;
mod transaction;
mod transport;
pub mod uri;
pub mod validate;
pub mod via;

pub use address::NameAddr;
pub use build::ResponseBuilder;
pub use endpoint::{
    Body, Counters, EndReason, Endpoint, Event, Headers, Invite, InviteError, Listener, Output,
    Settings, Transmit,
};
pub use error::{BuildError, ParseError, SipError};
pub use ids::{ListenerId, SessionId, TransactionId};
pub use message::{Message, OwnedMessage, StartLine};
pub use name::{HeaderName, Method};
pub use uri::{Host, Params, Scheme, Uri};
pub use via::Via;
