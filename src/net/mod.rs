//! Sockets, clock and randomness of the operating system.
//!
//! The pure rooms are handed `now`, bytes and seeds; this driver room is where those come from:
//! the signalling sockets ([`udp`]), the sockets of the media threads ([`media_io`], [`ports`]),
//! the two clocks ([`clock`]), the operating system's randomness ([`random`]), its limit of open
//! files ([`files`]) and the admin socket ([`unix`], [`lines`]). System calls that the standard library does not offer stand in
//! `sys.rs`, the only file here with unsafe code.
#![expect(
    clippy::disallowed_methods,
    reason = "driver room: the one place that reads the clocks for everybody else"
)]

pub mod clock;
pub mod error;
pub mod files;
pub mod lines;
pub mod media_io;
pub mod ports;
pub mod random;
pub mod udp;
pub mod unix;

mod sys;

pub use clock::Beat;
pub use clock::Tick;
pub use error::NetError;
pub use lines::{JsonLines, LINE_BYTES_MAX};
pub use media_io::{Channel, MediaCounters, MediaIo, MediaSockets, Sink};
pub use ports::{MediaPair, PortPool};
pub use udp::{Batch, BufferSizes, SendQueue, SignallingSocket};
pub use unix::AdminSocket;
