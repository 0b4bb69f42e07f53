//! Phones, dialers and carriers that know nothing of the engine.
//!
//! They speak SIP through `rsip` and RTP through `rtp-rs`, and make their own tones and events, so
//! that a call between them and the engine is no soliloquy. Each is a machine without sockets: the
//! demo drives it in real time over loopback, the simulation in virtual time over a bad network.

mod audio;
mod carrier;
mod dialog;
mod message;
mod phone;
mod report;
mod script;

pub use audio::Heard;
pub use carrier::Carrier;
pub use phone::Phone;
pub use report::{PhoneOutput, PhoneReport, Trace};
pub use script::{Press, PressMethod, Script};
