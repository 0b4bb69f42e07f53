//! SIP (RFC 3261) as pure machines: messages, transactions, dialogs, sessions.

pub mod address;
pub mod build;
pub mod error;
pub mod message;
pub mod name;
pub mod scan;
#[cfg(test)]
mod torture;
pub mod uri;
pub mod validate;
pub mod via;

pub use address::NameAddr;
pub use build::{RequestBuilder, ResponseBuilder};
pub use error::{BuildError, ParseError, SipError};
pub use message::{Message, OwnedMessage, StartLine};
pub use name::{HeaderName, Method};
pub use uri::{Host, Params, Scheme, Uri};
pub use via::Via;
