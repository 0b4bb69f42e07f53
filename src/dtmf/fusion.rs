//! One press, one key, by whatever methods it comes and in whatever order.
//!
//! Each detector already reports a press once. So two reports of one digit by the *same* method
//! are two presses, and reports of one digit by *different* methods are one press when they are
//! near enough. A report is given to the oldest press of its digit that its method has not yet
//! reported, as long as the window is open:
//!
//! ```text
//!   key down            key up
//!      |====================|                          the person
//!      |  T  E  .  .  .  .  .                          tone decided, event decided, event updates
//!      |                      |---- near_max ----|     a first tone or event still joins
//!      |                      |-------- info_max ---------------|  a first INFO still joins
//!              another T here = the next press; but while events say that the key is down, a
//!              tone that breaks off and comes again is still this press
//! ```
//!
//! The window counts from the last moment at which any method said that the key was down, so a
//! long press is no matter; it is wide for INFO, which is sent at key-up by many and travels by
//! itself, and narrow for the other two, which share the audio's way. What it cannot tell apart:
//! two presses within the window of which each was heard by one method only, and by another one
//! each time; they come out as one.
//!
//! The first report makes the key press at once; nothing waits here, so there is no timer.
//!
//! Tones that we send towards a leg come back over its hybrid. A tone is discarded while, and
//! [`Settings::echo_max`] after, the same digit was sent to that leg by any method.

use std::time::Duration;
use std::time::Instant;

use crate::dtmf::key::HeardKey;
use crate::dtmf::key::KeyPress;
use crate::dtmf::key::Method;
use crate::model::Digit;

/// How reports are judged and joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least confidence of a tone, 0 to 100, where no events were negotiated.
    pub confidence_min: u8,
    /// Least confidence of a tone where events were negotiated, so that tones are the exception.
    pub confidence_min_with_events: u8,
    /// How long after a key was last known to be down its report by tone or event still joins.
    pub near_max: Duration,
    /// The same when one of the two reports is an INFO.
    pub info_max: Duration,
    /// How long after we sent a digit its tone is taken for the echo.
    pub echo_max: Duration,
}

impl Default for Settings {
    /// - Confidence 40, and 60 with events.
    /// - 150 ms: an event whose first packets carry no duration is decided up to 120 ms after a
    ///   tone; a hand needs about as long from key-up to the next key decided.
    /// - 500 ms: the first retransmission of a lost INFO (RFC 3261 Timer E).
    /// - 300 ms: 250 ms of round trip and the time to decide.
    fn default() -> Self {
        Self {
            confidence_min: 40,
            confidence_min_with_events: 60,
            near_max: Duration::from_millis(150),
            info_max: Duration::from_millis(500),
            echo_max: Duration::from_millis(300),
        }
    }
}

/// What became of the reports, since the fusion was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Presses that came out.
    pub presses: u64,
    /// Reports of a press that another method had already reported.
    pub merged: u64,
    /// Tones that were the echo of what we sent.
    pub echo: u64,
    /// Tones below the confidence asked for.
    pub weak: u64,
}

/// Presses remembered: at 100 ms a press, more than any window holds.
const PRESSES_MAX: usize = 8;

/// Events say that a key is down once a frame; after two frames without they say nothing.
const HOLD_MAX: Duration = Duration::from_millis(40);

/// Joins what the detectors of one leg hear.
#[derive(Clone, Debug)]
pub struct Fusion {
    settings: Settings,
    has_events: bool,
    /// Oldest first; the front is forgotten when a ninth comes.
    presses: [Option<Press>; PRESSES_MAX],
    sent_until: [Option<Instant>; 16],
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    heard_by: Methods,
    /// The last moment at which it was known to be down.
    down_at: Instant,
    /// The last moment at which events said so.
    event_down_at: Option<Instant>,
}

/// Which methods have reported a press.
#[derive(Clone, Copy, Debug, Default)]
struct Methods {
    event: bool,
    tone: bool,
    info: bool,
}

impl Fusion {
    /// A fusion that has heard nothing; `has_events` says whether the leg negotiated events.
    pub const fn new(settings: Settings, has_events: bool) -> Self {
        Self {
            settings,
            has_events,
            presses: [None; PRESSES_MAX],
            sent_until: [None; 16],
            counters: Counters { presses: 0, merged: 0, echo: 0, weak: 0 },
        }
    }

    /// Follows a new negotiation.
    pub const fn set_events(&mut self, has_events: bool) {
        self.has_events = has_events;
    }

    /// Takes one report; the key press, when it is the first of its press.
    pub fn handle_heard(&mut self, now: Instant, key: HeardKey) -> Option<KeyPress> {
        if key.method == Method::Tone && !self.is_tone_believed(now, &key) {
            return None;
        }
        let settings = self.settings;
        let known = self
            .presses
            .iter_mut()
            .flatten()
            .find(|press| press.digit == key.digit && press.joins(now, key.method, &settings));
        if let Some(press) = known {
            self.counters.merged += 1;
            press.join(now, key.method);
            return None;
        }
        self.remember(Press::new(now, key));
        self.counters.presses += 1;
        Some(KeyPress {
            digit: key.digit,
            method: key.method,
            pressed_at: pressed_at(now, &key),
            heard_at: now,
            evidence: key.evidence,
        })
    }

    /// A detector says that `digit` is still down; keeps its press's window open.
    pub fn handle_held(&mut self, now: Instant, method: Method, digit: Digit) {
        let held = |press: &&mut Press| press.digit == digit && press.heard_by.has(method);
        if let Some(press) = self.presses.iter_mut().rev().flatten().find(held) {
            press.hold(now, method);
        }
    }

    /// We send `digit` to this leg, by any method, until `until`; may be prolonged by each packet.
    pub fn handle_sent(&mut self, until: Instant, digit: Digit) {
        if let Some(sent) = self.sent_until.get_mut(usize::from(digit.event_code())) {
            *sent = Some(sent.map_or(until, |earlier| earlier.max(until)));
        }
    }

    /// What became of the reports so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn is_tone_believed(&mut self, now: Instant, key: &HeardKey) -> bool {
        let sent = self.sent_until.get(usize::from(key.digit.event_code())).copied().flatten();
        if sent.is_some_and(|until| now <= until + self.settings.echo_max) {
            self.counters.echo += 1;
            return false;
        }
        let least = if self.has_events {
            self.settings.confidence_min_with_events
        } else {
            self.settings.confidence_min
        };
        if key.evidence.confidence < least {
            self.counters.weak += 1;
            return false;
        }
        true
    }

    fn remember(&mut self, press: Press) {
        self.presses.rotate_left(1);
        if let Some(last) = self.presses.last_mut() {
            *last = Some(press);
        }
    }
}

impl Press {
    fn new(now: Instant, key: HeardKey) -> Self {
        let mut press = Self {
            digit: key.digit,
            heard_by: Methods::default(),
            down_at: now,
            event_down_at: None,
        };
        press.join(now, key.method);
        press
    }

    /// Whether a report by `method` at `now` is one more of this press.
    fn joins(&self, now: Instant, method: Method, settings: &Settings) -> bool {
        let broken_off =
            method == Method::Tone && self.event_down_at.is_some_and(|at| now <= at + HOLD_MAX);
        let by_info = method == Method::Info || self.heard_by.info;
        let window = if by_info { settings.info_max } else { settings.near_max };
        broken_off || !self.heard_by.has(method) && now <= self.down_at + window
    }

    fn join(&mut self, now: Instant, method: Method) {
        match method {
            Method::Event => self.heard_by.event = true,
            Method::Tone => self.heard_by.tone = true,
            Method::Info => self.heard_by.info = true,
        }
        self.hold(now, method);
    }

    fn hold(&mut self, now: Instant, method: Method) {
        // An INFO tells of a press that is over, so that it holds nothing open.
        if method != Method::Info {
            self.down_at = self.down_at.max(now);
        }
        if method == Method::Event {
            self.event_down_at = Some(now);
        }
    }
}

impl Methods {
    const fn has(self, method: Method) -> bool {
        match method {
            Method::Event => self.event,
            Method::Tone => self.tone,
            Method::Info => self.info,
        }
    }
}

/// Events and tones say how long the key had been down; an INFO's duration has no fixed place.
fn pressed_at(now: Instant, key: &HeardKey) -> Instant {
    let since = match key.method {
        Method::Event | Method::Tone => key.evidence.duration_ms.unwrap_or(0),
        Method::Info => 0,
    };
    now.checked_sub(Duration::from_millis(since.into())).unwrap_or(now)
}
