//! What a phone does in a call.

use std::time::Duration;

use crate::model::Digit;

/// How a key leaves a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressMethod {
    /// RFC 4733 telephone-events: updates every 20 ms, then three end packets.
    Event,
    /// The pair of tones in the audio, 100 ms or as long as the key is held.
    Tone,
    /// SIP INFO with `application/dtmf-relay`.
    Info,
}

/// One press of a key.
#[derive(Clone, Copy, Debug)]
pub struct Press {
    /// When, counted from the answer.
    pub at: Duration,
    /// Which key.
    pub digit: Digit,
    /// How it leaves the phone.
    pub method: PressMethod,
    /// How long it is held.
    pub hold: Duration,
}

/// A phone's part in a call.
#[derive(Clone, Debug)]
pub struct Script {
    /// Called side: how long it rings.
    pub ring: Duration,
    /// Called side: refuse with this status after ringing.
    pub refuse: Option<u16>,
    /// The keys, in order of time, not overlapping.
    pub presses: Vec<Press>,
    /// Hang up so long after the answer, unless the other side was first.
    pub hang_up_after: Option<Duration>,
    /// Calling side: give up so long after the INVITE, when not answered by then.
    pub cancel_after: Option<Duration>,
    /// Whether audio is sent; without it the phone is mute but for its keys.
    pub talks: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            ring: Duration::from_millis(100),
            refuse: None,
            presses: Vec::new(),
            hang_up_after: Some(Duration::from_secs(30)),
            cancel_after: None,
            talks: true,
        }
    }
}

impl Script {
    /// Presses `digit` once, `at` after the answer, held for 120 ms.
    pub fn pressing(digit: char, at: Duration, method: PressMethod) -> Self {
        let press = Digit::from_char(digit).map(|digit| Press {
            at,
            digit,
            method,
            hold: Duration::from_millis(120),
        });
        Self { presses: press.into_iter().collect(), ..Self::default() }
    }
}
