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
    /// - Confidence 60: keys within every limit of Q.24 and at 8 dB of noise have at least 62, and
    ///   what voices were mistaken for had less (`exam`). 75 with events: as at 10 dB of noise.
    /// - 150 ms: an event whose first packets carry no duration is decided up to 120 ms after a
    ///   tone; a hand needs about as long from key-up to the next key decided.
    /// - 500 ms: the first retransmission of a lost INFO (RFC 3261 Timer E).
    /// - 300 ms: 250 ms of round trip and the time to decide.
    fn default() -> Self {
        Self {
            confidence_min: 60,
            confidence_min_with_events: 75,
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

/// A gateway that takes the tone out of the audio begins the event at most this much after the
/// last of the tone that leaked.
const LEAK_MAX: Duration = Duration::from_millis(80);

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
    /// The same, by its tone alone.
    tone_down_at: Option<Instant>,
    /// From when to when, so far, events said so.
    event_down: Option<(Instant, Instant)>,
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
            press.join(now, &key);
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
        let presses = self.presses.iter_mut().flatten().filter(|press| press.digit == digit);
        let held = presses.filter(|press| press.down_by(method).is_some());
        if let Some(press) = held.max_by_key(|press| press.down_by(method)) {
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
            tone_down_at: None,
            event_down: None,
        };
        press.join(now, &key);
        press
    }

    /// Whether a report by `method` at `now` is one more of this press.
    fn joins(&self, now: Instant, method: Method, settings: &Settings) -> bool {
        let broken_off = method == Method::Tone && self.is_tone_bridged(now);
        let heard_itself = self.heard_by.event || self.heard_by.tone;
        let by_info = method == Method::Info || !heard_itself;
        let window = if by_info { settings.info_max } else { settings.near_max };
        broken_off || !self.heard_by.has(method) && now <= self.down_at + window
    }

    /// Whether events have said that the key was down since its tone was last heard.
    fn is_tone_bridged(&self, now: Instant) -> bool {
        let Some((tone, (from, to))) = self.tone_down_at.zip(self.event_down) else { return false };
        from <= tone + LEAK_MAX && now <= to + HOLD_MAX
    }

    /// When `method` itself last said that it was down.
    fn down_by(&self, method: Method) -> Option<Instant> {
        match method {
            Method::Event => self.event_down.map(|(_, to)| to),
            Method::Tone => self.tone_down_at,
            Method::Info => None,
        }
    }

    fn join(&mut self, now: Instant, key: &HeardKey) {
        match key.method {
            Method::Event => {
                self.heard_by.event = true;
                self.event_down = Some((pressed_at(now, key), now));
            }
            Method::Tone => self.heard_by.tone = true,
            Method::Info => self.heard_by.info = true,
        }
        self.hold(now, key.method);
    }

    fn hold(&mut self, now: Instant, method: Method) {
        match method {
            Method::Event => {
                let from = self.event_down.map_or(now, |(from, _)| from);
                self.event_down = Some((from, now));
            }
            Method::Tone => self.tone_down_at = Some(now),
            // It tells of a press that is over, so that it holds nothing open.
            Method::Info => return,
        }
        self.down_at = self.down_at.max(now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtmf::key::Evidence;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn digit(key: char) -> Digit {
        Digit::from_char(key).unwrap_or_else(|| panic!("{key} is no key"))
    }

    fn report(method: char, digit: Digit, confidence: u8) -> HeardKey {
        let method = match method {
            'E' => Method::Event,
            'T' => Method::Tone,
            _ => Method::Info,
        };
        HeardKey { digit, method, evidence: Evidence { confidence, ..Evidence::default() } }
    }

    /// Feeds `ms:word`s: `E9`, `T9`, `I9` are heard (a tone with `T9/70` at that confidence), `e9`
    /// and `t9` are still down, `s9/200` is sent for 200 ms; the presses, as `ms=digit`, and the
    /// counters that are not zero.
    fn play(has_events: bool, script: &str) -> String {
        let zero = zero();
        let mut fusion = Fusion::new(Settings::default(), has_events);
        let mut said = Vec::new();
        for word in script.split_whitespace() {
            let (ms, input) = word.split_once(':').unwrap();
            let now = zero + Duration::from_millis(ms.parse().unwrap());
            let (input, value) = input.split_once('/').unwrap_or((input, "100"));
            let value: u8 = value.parse().unwrap();
            let mut letters = input.chars();
            let (what, key) = (letters.next().unwrap(), digit(letters.next().unwrap()));
            match what {
                'e' => fusion.handle_held(now, Method::Event, key),
                't' => fusion.handle_held(now, Method::Tone, key),
                's' => fusion.handle_sent(now + Duration::from_millis(value.into()), key),
                method => {
                    let press = fusion.handle_heard(now, report(method, key, value));
                    said.extend(press.map(|press| format!("{ms}={}", press.digit)));
                }
            }
        }
        let Counters { presses, merged, echo, weak } = fusion.counters;
        assert_eq!(presses as usize, said.len());
        let counts = [("merged", merged), ("echo", echo), ("weak", weak)];
        said.extend(counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name}:{n}")));
        said.join(" ")
    }

    #[test]
    fn one_press_by_several_methods_is_one_key() {
        #[rustfmt::skip]
        let cases = [
            ("an event alone",                          "40:E9", "40=9"),
            ("a tone alone",                            "35:T9", "35=9"),
            ("an INFO alone",                           "0:I9", "0=9"),
            ("tone, then the event 60 ms later",        "35:T9 95:E9", "35=9 merged:1"),
            ("event, then the tone through a slow codec", "40:E9 160:T9", "40=9 merged:1"),
            ("all three at once",                       "40:E9 40:T9 40:I9", "40=9 merged:2"),
            ("INFO at key-down, the others after",      "0:I9 35:T9 60:E9", "0=9 merged:2"),
            ("INFO at key-up",                          "40:E9 60:e9 80:e9 100:e9 150:I9", "40=9 merged:1"),
            ("INFO after a press of three seconds",     "40:E9 1000:e9 2000:e9 3000:e9 3060:I9", "40=9 merged:1"),
            ("a retransmitted INFO",                    "40:E9 80:e9 570:I9", "40=9 merged:1"),
            ("the event comes whole after the tone",    "35:T9 135:t9 235:t9 335:t9 400:E9", "35=9 merged:1"),
            ("a leaking tone breaks off under an event", "40:T9 60:E9 80:e9 300:e9 320:e9 330:T9 340:e9", "40=9 merged:2"),
            ("another key between",                     "40:E9 300:E5 320:I9 400:I5", "40=9 300=5 merged:2"),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(true, script), want, "{name}: {script}");
        }
    }

    #[test]
    fn two_presses_are_two_keys() {
        #[rustfmt::skip]
        let cases = [
            ("two events",                              "40:E9 140:E9", "40=9 140=9"),
            ("two tones",                               "40:T9 140:T9", "40=9 140=9"),
            ("two INFOs",                               "40:I9 140:I9", "40=9 140=9"),
            ("100 ms apart by two methods each",        "35:T9 45:E9 135:T9 145:E9", "35=9 135=9 merged:2"),
            ("100 ms apart by three methods each",      "35:T9 45:E9 60:I9 135:T9 145:E9 160:I9", "35=9 135=9 merged:4"),
            ("the INFOs come behind both",              "35:T9 45:E9 135:T9 145:E9 300:I9 310:I9", "35=9 135=9 merged:4"),
            ("the second only by event",                "35:T9 45:E9 145:E9", "35=9 145=9 merged:1"),
            ("the first only by event",                 "45:E9 135:T9 145:E9", "45=9 145=9 merged:1"),
            ("the second's tone before its event, the first's tone missed",
                                                        "45:E9 190:T9 200:E9", "45=9 200=9 merged:1"),
            ("by one method each, after the window",    "45:E9 200:T9", "45=9 200=9"),
            ("INFO, and another press after its window", "45:E9 560:I9", "45=9 560=9"),
            ("different keys at once",                  "40:E9 40:T5", "40=9 40=5"),
            ("nine quick ones",                         "0:E9 100:E9 200:E9 300:E9 400:E9 500:E9 600:E9 700:E9 800:E9",
                                                        "0=9 100=9 200=9 300=9 400=9 500=9 600=9 700=9 800=9"),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(true, script), want, "{name}: {script}");
        }
    }

    #[test]
    fn what_we_send_comes_back_as_echo() {
        #[rustfmt::skip]
        let cases = [
            ("while we send it",                        "0:s9/100 50:T9", "echo:1"),
            ("300 ms after",                            "0:s9/100 400:T9", "echo:1"),
            ("301 ms after",                            "0:s9/100 401:T9", "401=9"),
            ("prolonged by each packet",                "0:s9/20 20:s9/20 340:T9 341:T9", "341=9 echo:1"),
            ("a shorter one after it shortens nothing", "0:s9/200 10:s9/20 500:T9", "echo:1"),
            ("another key is none",                     "0:s9/100 50:T5", "50=5"),
            ("an event is none",                        "0:s9/100 50:E9", "50=9"),
            ("an INFO is none",                         "0:s9/100 50:I9", "50=9"),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(false, script), want, "{name}: {script}");
        }
    }

    #[test]
    fn where_events_were_negotiated_a_tone_must_be_surer() {
        #[rustfmt::skip]
        let cases = [
            (false, "0:T9/59", "weak:1"), (false, "0:T9/60", "0=9"), (false, "0:T9/75", "0=9"),
            (true,  "0:T9/59", "weak:1"), (true,  "0:T9/74", "weak:1"), (true, "0:T9/75", "0=9"),
            (true,  "0:T9/50 20:E9", "20=9 weak:1"),
        ];
        for (has_events, script, want) in cases {
            assert_eq!(play(has_events, script), want, "{script}, events: {has_events}");
        }
        let mut fusion = Fusion::new(Settings::default(), false);
        fusion.set_events(true);
        assert_eq!(fusion.handle_heard(zero(), report('T', digit('9'), 70)), None);
    }

    #[test]
    fn a_press_began_before_it_was_heard() {
        let now = zero() + Duration::from_secs(1);
        for (method, since) in [('E', 40), ('T', 40), ('I', 0)] {
            let mut key = report(method, digit('9'), 100);
            key.evidence.duration_ms = Some(40);
            let press = Fusion::new(Settings::default(), true).handle_heard(now, key).unwrap();
            assert_eq!(now - press.pressed_at, Duration::from_millis(since), "{method}");
            assert_eq!(press.heard_at, now);
        }
    }

    /// Presses of 60 to 100 ms, 200 ms and more apart, by senders of every set of methods: one
    /// method hears each press, the others miss some, and each has its own delay.
    #[test]
    fn exactly_the_presses_come_out() {
        let mut total = 0;
        for seed in 0..20_000 {
            let mut random = TokenSource::new(Seed(seed, 3));
            let mut pick = |below: u64| random.next_u64() % below;
            let sure = pick(3);
            let methods: Vec<u64> = (0..3).filter(|&m| m == sure || pick(2) > 0).collect();
            let info_at_end = pick(2) > 0;
            let (mut at, mut want, mut words) = (0, String::new(), Vec::new());
            for _ in 0..1 + pick(6) {
                let length = 60 + pick(41);
                let key = ['9', '9', '1'][pick(3) as usize];
                want.push(key);
                for &method in &methods {
                    if method != sure && pick(3) == 0 {
                        continue;
                    }
                    let (letter, heard) = match method {
                        0 => ('E', at + 40 + pick(81)),
                        1 => ('T', at + 35 + pick(81)),
                        _ => ('I', at + if info_at_end { length } else { 0 } + pick(151)),
                    };
                    words.push((heard, format!("{heard}:{letter}{key}")));
                    // Updates and tones hold the key until it is up.
                    let held = (heard + 20..heard + length.saturating_sub(40)).step_by(20);
                    let letter = letter.to_ascii_lowercase();
                    words.extend(
                        held.filter(|_| method < 2).map(|ms| (ms, format!("{ms}:{letter}{key}"))),
                    );
                }
                at += 200 + pick(400);
            }
            words.sort();
            let script: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
            let script = script.join(" ");
            let said = play(true, &script);
            let mut got: Vec<char> =
                said.split(' ').filter_map(|word| word.split_once('=')?.1.chars().next()).collect();
            let mut pressed: Vec<char> = want.chars().collect();
            got.sort_unstable();
            pressed.sort_unstable();
            assert_eq!(got, pressed, "seed {seed}: {script}\n{said}");
            total += pressed.len();
        }
        assert!(total > 50_000);
    }
}
