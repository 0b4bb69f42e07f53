//! A message that outlives the datagram it came in.

use std::fmt;
use std::sync::Arc;

use super::error::ParseError;
use super::message::Message;

/// A message that owns its octets: cheap to clone, sent between rooms and threads.
#[derive(Clone)]
pub struct OwnedMessage {
    bytes: Arc<[u8]>,
}

impl fmt::Debug for OwnedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl OwnedMessage {
    /// Keeps `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`Message::parse`]: what is kept can be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Message::parse(bytes).map(|message| Self::from(&message))
    }

    /// The message; it is read again, which costs less than a microsecond.
    pub fn view(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("what is kept has been read before")
    }

    /// The octets.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<&Message<'_>> for OwnedMessage {
    fn from(message: &Message<'_>) -> Self {
        Self { bytes: Arc::from(message.bytes()) }
    }
}
