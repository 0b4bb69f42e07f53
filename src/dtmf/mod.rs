//! Keys heard on a leg: telephone-events (RFC 4733), in-band tones (ITU-T Q.23, Q.24), SIP INFO,
//! and their fusion: one press, one key.
//!
//! ```text
//! RTP event packets -> event::EventDetector -+
//! linear samples    -> tone::ToneDetector ---+-> HeardKey -> fusion::Fusion -> KeyPress
//! INFO bodies       -> info::read_info ------+
//! ```
//!
//! Who may be believed (source address, SSRC, negotiated payload type, answered call) is decided
//! before a packet comes here. Deliberately absent: the 2198 unpacking (the caller hands in each
//! block as a packet of its own) and any jitter buffer (the detectors take packets as they come).

mod bank;
pub mod event;
#[cfg(test)]
mod exam;
pub mod fusion;
pub mod info;
pub mod key;
mod press;
mod run;
pub mod tone;

pub use event::EventDetector;
pub use fusion::Fusion;
pub use info::InfoKey;
pub use info::read_info;
pub use key::Evidence;
pub use key::HeardKey;
pub use key::KeyPress;
pub use key::Method;
pub use tone::ToneDetector;
