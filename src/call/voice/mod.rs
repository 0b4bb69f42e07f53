//! The media of one call, both legs of it: who is heard, what is said, which keys were pressed.
//!
//! It runs on a media thread, 50 packets a second and leg. After the call's set-up a packet costs
//! no allocation, no lock and no formatting: everything a leg needs stands in its [`Voice`], what
//! leaves it goes through [`VoiceOut`], and only a key or the end of a prompt is told at all.
//!
//! ```text
//! RTP in -> who may be believed -+-> keys: events, tones, (INFO) -> fusion -> told
//!                                +-> relay -> RTP out of the other leg
//! prompts, on the 20 ms slot ------> RTP out
//! ```

mod ear;
mod leg;
mod mouth;
mod talk;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::dtmf::KeyPress;
use crate::media::clip::Clip;
use crate::media::prompt::Prompt;
use crate::model::Digit;
use crate::sdp::Negotiated;
use crate::suppression::Leg;

pub use ear::{Ear, Hearing};
pub use talk::Voice;

/// Which call's media; the shard that owns the call has minted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VoiceId(pub u64);

/// RTP addresses that the driver has opened for a call, as a peer can reach them.
#[derive(Clone, Copy, Debug)]
pub struct OpenedVoice {
    /// Of leg A and leg B; with one leg both are the same.
    pub addresses: [SocketAddr; 2],
}

/// How the media of a call is treated.
#[derive(Clone, Copy, Debug)]
pub struct VoiceSettings {
    /// Whether a peer may send from elsewhere than its description said (NAT).
    pub symmetric: bool,
    /// A leg that sends nothing for so long is told as silent.
    pub idle_max: Duration,
    /// Whether in-band tones are listened for at all.
    pub tones: bool,
    /// What the ear asks of tones.
    pub tone: crate::dtmf::tone::Settings,
}

/// What a call's media is told.
#[derive(Clone, Debug)]
pub enum VoiceCommand {
    /// A leg's media is negotiated, or negotiated anew.
    Settle {
        /// Which leg.
        leg: Leg,
        /// What was negotiated.
        media: Negotiated,
        /// The address that the leg's signalling comes from.
        signalling: IpAddr,
    },
    /// The leg was answered: its keys count from now on.
    Listen {
        /// Which leg.
        leg: Leg,
    },
    /// Capture what the leg's peer says from now on, into memory that is brought along.
    Capture {
        /// Which leg.
        leg: Leg,
        /// An empty clip.
        clip: Box<Clip>,
    },
    /// A press was acted on: [`VoiceEvent::Kept`] follows once the clip is whole, unless one is on
    /// its way already.
    Keep {
        /// Which leg.
        leg: Leg,
    },
    /// Play prompts on a leg, one after the other; what was playing stops.
    Play {
        /// Which leg.
        leg: Leg,
        /// Comes back in [`Played`].
        token: u64,
        /// The prompts.
        prompts: Vec<Arc<Prompt>>,
    },
    /// Stop what is playing on a leg.
    StopPlaying {
        /// Which leg.
        leg: Leg,
    },
    /// Pass the audio of each leg to the other, or stop doing so.
    Relay {
        /// Whether to pass it.
        on: bool,
    },
    /// A key came by SIP INFO on a leg.
    Info {
        /// Which leg.
        leg: Leg,
        /// Which key.
        digit: Digit,
        /// Its stated duration.
        duration_ms: Option<u16>,
    },
    /// The call is over; the ports go back.
    Close,
}

/// What a call's media has to tell.
#[derive(Clone, Debug)]
pub enum VoiceEvent {
    /// A key was pressed, once, by whatever methods it came.
    Key {
        /// On which leg.
        leg: Leg,
        /// The press.
        press: KeyPress,
    },
    /// The audio around a press that was to be kept is whole, or the media closes.
    Kept {
        /// On which leg.
        leg: Leg,
        /// The audio.
        clip: Box<Clip>,
    },
    /// A prompt list came to its end or was stopped.
    Played {
        /// On which leg.
        leg: Leg,
        /// How far it came.
        played: Played,
    },
    /// A leg has sent nothing for too long.
    Silent {
        /// Which leg.
        leg: Leg,
    },
    /// The media is closed.
    Closed {
        /// What it counted.
        report: VoiceReport,
    },
}

/// How far a list of prompts came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// The token that came with the command.
    pub token: u64,
    /// When its first frame left.
    pub started_at: Instant,
    /// How many 20 ms frames left.
    pub frames: u32,
    /// Whether that was all of it.
    pub whole: bool,
}

/// What a call's media counted, leg A first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceReport {
    /// Each leg's figures.
    pub legs: [LegReport; 2],
}

/// What one leg's media counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegReport {
    /// RTP packets believed.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// Packets not believed: another source, a replay, a wrong payload type, or no RTP.
    pub packets_refused: u64,
    /// Keys heard by event, tone and INFO, whichever came first.
    pub keys: [u32; 3],
    /// Whether somebody else sent to this leg's port during the call.
    pub contested: bool,
}

/// Where what leaves a call's media goes.
pub trait VoiceOut {
    /// Sends an RTP packet from a leg's port.
    fn send_rtp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]);
    /// Sends an RTCP packet from a leg's port.
    fn send_rtcp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]);
    /// The leg's media is negotiated (anew): its peer may send from elsewhere from now on.
    fn unsettled(&mut self, leg: Leg);
    /// The leg's peer sends from the address that it named; until it is negotiated anew nobody
    /// else is believed.
    fn settled(&mut self, leg: Leg, source: SocketAddr);
    /// Something to tell the call.
    fn tell(&mut self, event: VoiceEvent);
}
