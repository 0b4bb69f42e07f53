//! Keys become verdicts: which code was pressed, or that none was.
//!
//! Codes may begin one another ("9", "99"), so a code that can still grow waits for the gap. The
//! policy, for the benefit of the person:
//!
//! - A code counts when its keys were pressed in one run, in order and within the gap, whatever
//!   stood before or after them: "5" then "9" is code 9, and so is a "9" that turned out not to
//!   become "99" because "5" followed.
//! - When a key fits no code any more, the longest code that the typed keys begin with counts;
//!   where there is none, their first key is rejected, and the rest is looked at anew. So "*9"
//!   is code 9 where "*" only begins "*2", and "1121" then "2" still finds code "12".
//! - The end of the gap, or a hang-up, settles in the same way: half a code is rejected, and of
//!   what is typed the longest complete code counts.
//! - Nothing counts that was not pressed: no key is skipped, joined over a gap, or used twice.
//!
//! ```text
//! state    | key fits a longer code | key completes or fits none | gap over   | hang-up
//! idle     | typing                 | verdicts; idle or asking   | Silence(1) | -
//! typing   | typing, gap anew       | verdicts; idle or asking   | settle     | settle
//! asking   | the confirming key: Match, idle; another: Unconfirmed, then as idle
//!          |                                                     | Unconfirmed; idle
//! ```
//! (1) once after each [`Matcher::start`], when a first key is waited for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::menu::code::CodeBook;
use crate::menu::code::CodeId;
use crate::model::Digit;
use crate::model::Digits;

/// How long a matcher waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From [`Matcher::start`] to the first key; `None` waits for ever.
    pub first_key_max: Option<Duration>,
    /// From one key to the next of the same code.
    pub digit_gap_max: Duration,
    /// From [`Verdict::Ask`] to the confirming key. It holds the time of the prompt that asks.
    pub confirm_max: Duration,
}

impl Default for Settings {
    /// Gap 2 s, confirmation 10 s, first key waited for without end: our choice.
    fn default() -> Self {
        Self {
            first_key_max: None,
            digit_gap_max: Duration::from_secs(2),
            confirm_max: Duration::from_secs(10),
        }
    }
}

/// What the keys came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A code was pressed and counts.
    Match {
        /// Which code.
        code: CodeId,
        /// Its keys.
        digits: Digits,
        /// Whether the person pressed the confirming key too.
        confirmed: bool,
    },
    /// A code was pressed that wants confirmation; the caller asks for it.
    Ask {
        /// Which code.
        code: CodeId,
    },
    /// Keys that are part of no code.
    Reject {
        /// Those keys.
        digits: Digits,
    },
    /// No key came within [`Settings::first_key_max`].
    Silence,
    /// A code that wants confirmation did not get it: other key, time over, or hang-up.
    Unconfirmed {
        /// Which code.
        code: CodeId,
        /// Its keys.
        digits: Digits,
    },
}

/// Most verdicts one input can bring: a full buffer whose keys all count one by one, and the
/// confirmation that was open.
const VERDICTS_MAX: usize = 2 * Digits::LEN_MAX + 2;

/// The keys of one call against the codes of its campaign.
#[derive(Clone, Debug)]
pub struct Matcher {
    book: Arc<CodeBook>,
    settings: Settings,
    state: State,
    /// Keys that begin a code, and are none that cannot grow: always fewer than the longest code.
    typed: Digits,
    deadline: Option<Instant>,
    verdicts: VecDeque<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is typed.
    Idle,
    /// Something is.
    Typing,
    /// A code waits for its confirming key.
    Asking { code: CodeId, digits: Digits, key: Digit },
}

impl Matcher {
    /// A matcher that no key has reached; it allocates here and nowhere else.
    pub fn new(book: Arc<CodeBook>, settings: Settings) -> Self {
        Self {
            book,
            settings,
            state: State::Idle,
            typed: Digits::default(),
            deadline: None,
            verdicts: VecDeque::with_capacity(VERDICTS_MAX),
        }
    }

    /// Begins to wait for the first key: at answer, or when a prompt has asked again.
    ///
    /// Changes nothing while keys are typed or a confirmation is open.
    pub fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.deadline = self.settings.first_key_max.map(|max| now + max);
        }
    }

    /// Forgets what is typed and any open confirmation, without a verdict.
    pub fn reset(&mut self) {
        self.state = State::Idle;
        self.typed = Digits::default();
        self.deadline = None;
    }

    /// Takes one key pressed at `now`; the answers, once there are any, are in [`Self::poll`].
    ///
    /// Cost: a comparison with each code, no allocation.
    pub fn handle_digit(&mut self, now: Instant, digit: Digit) {
        // A deadline that has passed before the key came is older than the key.
        self.handle_timeout(now);
        let mut keys = Digits::default();
        let _ = keys.push(digit); // Never full: it is the first.
        self.take(now, keys);
    }

    /// Settles what was typed, gives up a confirmation, or reports silence, when its time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) else { return };
        self.deadline = None;
        match self.state {
            State::Idle => self.say(Verdict::Silence),
            State::Typing => self.settle(deadline),
            State::Asking { .. } => self.give_up(),
        }
    }

    /// The person hung up: nothing more can follow, so that the longest complete code counts and
    /// an open confirmation stays unconfirmed.
    pub fn handle_hangup(&mut self, now: Instant) {
        self.handle_timeout(now);
        self.settle(now);
        self.give_up();
        self.deadline = None;
        // Nobody is left to be asked.
        self.verdicts.retain(|verdict| !matches!(verdict, Verdict::Ask { .. }));
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether something is typed, or a confirmation is open: a verdict is still to come.
    pub fn is_waiting(&self) -> bool {
        self.state != State::Idle
    }

    /// The next verdict, oldest first; to be drained after each `handle_*`.
    pub fn poll(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Looks at `keys` one after the other; those behind a match come after it.
    fn take(&mut self, now: Instant, keys: Digits) {
        let mut keys = keys;
        while let Some((digit, rest)) = split_first(&keys) {
            keys = rest;
            if let State::Asking { code, digits, key } = self.state {
                if digit == key {
                    self.idle();
                    self.say(Verdict::Match { code, digits, confirmed: true });
                    continue;
                }
                self.give_up();
            }
            let fits = self.typed.push(digit);
            debug_assert!(fits, "what is typed has fewer keys than the longest code");
            if self.book.continues(&self.typed) {
                self.state = State::Typing;
                self.deadline = Some(now + self.settings.digit_gap_max);
            } else {
                keys = join(self.reduce(now), keys.iter());
            }
        }
    }

    /// Settles all that is typed, since nothing more follows it.
    fn settle(&mut self, now: Instant) {
        while !self.typed.is_empty() {
            let rest = self.reduce(now);
            self.take(now, rest);
        }
    }

    /// Takes the longest code off the front of what is typed, or rejects keys up to where one
    /// may begin; gives back the keys that are to be looked at again.
    fn reduce(&mut self, now: Instant) -> Digits {
        let mut rest = std::mem::take(&mut self.typed);
        self.idle();
        if let Some((code, found)) = self.book.longest_in(&rest) {
            let rest = skip(&rest, found.digits.len());
            match found.confirm_key() {
                None => self.say(Verdict::Match { code, digits: found.digits, confirmed: false }),
                Some(key) => {
                    self.state = State::Asking { code, digits: found.digits, key };
                    self.deadline = Some(now + self.settings.confirm_max);
                    self.say(Verdict::Ask { code });
                }
            }
            return rest;
        }
        let mut rejected = Digits::default();
        while let Some((digit, behind)) = split_first(&rest) {
            let _ = rejected.push(digit); // Never full: it is no longer than what was typed.
            rest = behind;
            if self.book.continues(&rest) || self.book.longest_in(&rest).is_some() {
                break;
            }
        }
        self.say(Verdict::Reject { digits: rejected });
        rest
    }

    fn give_up(&mut self) {
        if let State::Asking { code, digits, .. } = self.state {
            self.idle();
            self.say(Verdict::Unconfirmed { code, digits });
        }
    }

    fn idle(&mut self) {
        self.state = State::Idle;
        self.deadline = None;
    }

    fn say(&mut self, verdict: Verdict) {
        debug_assert!(self.verdicts.len() < VERDICTS_MAX, "the driver drains poll()");
        self.verdicts.push_back(verdict);
    }
}

fn split_first(digits: &Digits) -> Option<(Digit, Digits)> {
    let first = digits.iter().next()?;
    Some((first, skip(digits, 1)))
}

fn skip(digits: &Digits, len: usize) -> Digits {
    join(Digits::default(), digits.iter().skip(len))
}

/// `front`, then `behind`: both are parts of what was typed and fit together.
fn join(front: Digits, behind: impl Iterator<Item = Digit>) -> Digits {
    let mut all = front;
    for digit in behind {
        let fits = all.push(digit);
        debug_assert!(fits, "parts of what was typed are no longer than it");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::menu::code::Code;
    use crate::menu::code::Confirm;

    /// Feeds `millisecond:key` words (`up` hangs up, `start` waits for the first key) and fires
    /// each deadline in its place; what came out, as `millisecond=verdict`. A code written `9?` is
    /// confirmed by its last key, `9?1` by key 1.
    fn play(codes: &str, first_key_max: Option<u64>, script: &str) -> String {
        let codes = codes.split(' ').map(|text| match text.split_once('?') {
            None => Code { digits: text.parse().unwrap(), confirm: Confirm::Never },
            Some((keys, "")) => Code { digits: keys.parse().unwrap(), confirm: Confirm::Again },
            Some((keys, key)) => Code {
                digits: keys.parse().unwrap(),
                confirm: Confirm::Key(Digit::from_char(key.chars().next().unwrap()).unwrap()),
            },
        });
        let settings = Settings {
            first_key_max: first_key_max.map(Duration::from_millis),
            digit_gap_max: Duration::from_secs(2),
            confirm_max: Duration::from_secs(5),
        };
        let mut matcher = Matcher::new(Arc::new(CodeBook::new(codes).unwrap()), settings);
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let zero = Instant::now();
        let mut said = Vec::new();
        for word in script.split_whitespace().chain([""]) {
            let (at, input) = word.split_once(':').unwrap_or(("3600000", ""));
            let at = zero + Duration::from_millis(at.parse().unwrap());
            while let Some(due) = matcher.poll_timeout().filter(|&due| due <= at) {
                matcher.handle_timeout(due);
                drain(&mut matcher, due - zero, &mut said);
            }
            match input {
                "" => {}
                "up" => matcher.handle_hangup(at),
                "start" => matcher.start(at),
                "reset" => matcher.reset(),
                key => {
                    let digit = Digit::from_char(key.chars().next().unwrap()).unwrap();
                    matcher.handle_digit(at, digit);
                }
            }
            drain(&mut matcher, at - zero, &mut said);
        }
        said.join(" ")
    }

    fn drain(matcher: &mut Matcher, at: Duration, said: &mut Vec<String>) {
        while let Some(verdict) = matcher.poll() {
            let text = match verdict {
                Verdict::Match { digits, confirmed: false, .. } => format!("Match({digits})"),
                Verdict::Match { digits, confirmed: true, .. } => format!("Confirmed({digits})"),
                Verdict::Ask { code } => format!("Ask({})", code.0),
                Verdict::Reject { digits } => format!("Reject({digits})"),
                Verdict::Silence => "Silence".to_owned(),
                Verdict::Unconfirmed { digits, .. } => format!("Unconfirmed({digits})"),
            };
            said.push(format!("{}={text}", at.as_millis()));
        }
    }

    #[test]
    fn keys_become_verdicts() {
        #[rustfmt::skip]
        let cases = [
            ("a short code waits for the gap",     "9 99 *2", "0:9",           "2000=Match(9)"),
            ("a long code wins in the gap",        "9 99 *2", "0:9 1999:9",    "1999=Match(99)"),
            ("a key at the gap's end is too late", "9 99 *2", "0:9 2000:9",    "2000=Match(9) 4000=Match(9)"),
            ("after the gap, two short codes",     "9 99 *2", "0:9 2001:9",    "2000=Match(9) 4001=Match(9)"),
            ("a code without rivals is quick",     "9 99 *2", "0:* 300:2",     "300=Match(*2)"),
            ("each key begins the gap anew",       "1234 1",  "0:1 1900:2 3800:3 5700:4", "5700=Match(1234)"),
            ("a wrong key rejects at once",        "9 99 *2", "0:5",           "0=Reject(5)"),
            ("half a code rejects at the gap",     "9 99 *2", "0:*",           "2000=Reject(*)"),
            ("nothing typed, nothing said",        "9 99 *2", "",              ""),
            ("a single code is quick",             "9",       "0:9",           "0=Match(9)"),
            ("the longest code there may be",      "0123456789*#ABCD", "0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9 10:* 11:# 12:A 13:B 14:C 15:D", "15=Match(0123456789*#ABCD)"),
            ("the same code again",                "9",       "0:9 500:9",     "0=Match(9) 500=Match(9)"),
            ("a reset forgets what is typed",      "*2 2",    "0:* 100:reset 200:2", "200=Match(2)"),
        ];
        for (name, codes, keys, want) in cases {
            assert_eq!(play(codes, None, keys), want, "{name}: {keys}");
        }
    }

    #[test]
    fn what_fits_no_code_does_not_hide_the_code_behind_it() {
        #[rustfmt::skip]
        let cases = [
            ("a wrong key, then a code",           "9 1",     "0:5 100:9",             "0=Reject(5) 100=Match(9)"),
            ("a false start, then a code",         "9 *2",    "0:* 100:9",             "100=Reject(*) 100=Match(9)"),
            ("a code, then a key that fits none",  "9 99",    "0:9 100:5",             "100=Match(9) 100=Reject(5)"),
            ("a code, then another's beginning",   "9 99 *2", "0:9 100:* 200:2",       "100=Match(9) 200=Match(*2)"),
            ("a false start within the code",      "12",      "0:1 1:1 2:2",           "1=Reject(1) 2=Match(12)"),
            ("a longer false start",               "112",     "0:1 1:1 2:1 3:2",       "2=Reject(1) 3=Match(112)"),
            ("three false starts",                 "1234",    "0:1 1:2 2:1 3:2 4:1 5:2 6:3 7:4", "2=Reject(12) 4=Reject(12) 7=Match(1234)"),
            ("of a broken long code, the short",   "12 1234", "0:1 1:2 2:3",           "2002=Match(12) 2002=Reject(3)"),
            ("and at once when it cannot grow",    "12 1234", "0:1 1:2 2:3 3:5",       "3=Match(12) 3=Reject(3) 3=Reject(5)"),
            ("the rest of it may be a code",       "12 1234 34", "0:1 1:2 2:3 3:3 4:4", "3=Match(12) 3=Reject(3) 4=Match(34)"),
            ("a key is not used twice",            "19 91",   "0:1 1:9 2:1",           "1=Match(19) 2002=Reject(1)"),
            ("no key is skipped",                  "12",      "0:1 1:5 2:2",           "1=Reject(15) 2=Reject(2)"),
            ("nothing is joined over a gap",       "12",      "0:1 2001:2",            "2000=Reject(1) 2001=Reject(2)"),
        ];
        for (name, codes, keys, want) in cases {
            assert_eq!(play(codes, None, keys), want, "{name}: {keys}");
        }
    }

    #[test]
    fn a_hangup_ends_the_gap() {
        #[rustfmt::skip]
        let cases = [
            ("the short code counts",              "9 99",    "0:9 50:up",             "50=Match(9)"),
            ("the longest complete code counts",   "9 99 9999", "0:9 1:9 2:9 50:up",   "50=Match(99) 50=Match(9)"),
            ("half a code does not",               "*2",      "0:* 50:up",             "50=Reject(*)"),
            ("nothing was typed",                  "9",       "50:up",                 ""),
            ("the gap was over before",            "9 99",    "0:9 3000:up",           "2000=Match(9)"),
            ("a key after it counts by itself",    "9 99",    "0:9 50:up 60:9",        "50=Match(9) 2060=Match(9)"),
            ("a code that would be asked about",   "9? 99",   "0:9 50:up",             "50=Unconfirmed(9)"),
            ("a question that is open",            "9?",      "0:9 50:up",             "0=Ask(0) 50=Unconfirmed(9)"),
            ("twice",                              "9?",      "0:9 50:up 60:up",       "0=Ask(0) 50=Unconfirmed(9)"),
        ];
        for (name, codes, keys, want) in cases {
            assert_eq!(play(codes, None, keys), want, "{name}: {keys}");
        }
    }

    #[test]
    fn a_code_that_asks_wants_its_key() {
        #[rustfmt::skip]
        let cases = [
            ("the same key again",                 "9?",      "0:9 4999:9",            "0=Ask(0) 4999=Confirmed(9)"),
            ("too late",                           "9?",      "0:9 5000:9",            "0=Ask(0) 5000=Unconfirmed(9) 5000=Ask(0) 10000=Unconfirmed(9)"),
            ("the last of several keys",           "*9?",     "0:* 1:9 100:9",         "1=Ask(0) 100=Confirmed(*9)"),
            ("a key of its own",                   "9?1",     "0:9 100:1",             "0=Ask(0) 100=Confirmed(9)"),
            ("nothing",                            "9?1",     "0:9",                   "0=Ask(0) 5000=Unconfirmed(9)"),
            ("the wrong key, which fits nothing",  "9?1",     "0:9 100:9 200:5",       "0=Ask(0) 100=Unconfirmed(9) 100=Ask(0) 200=Unconfirmed(9) 200=Reject(5)"),
            ("another code instead",               "9? 1",    "0:9 100:1",             "0=Ask(0) 100=Unconfirmed(9) 100=Match(1)"),
            ("a longer code beside it",            "9? 99",   "0:9 100:9",             "100=Match(99)"),
            ("asked after the gap",                "9? 99",   "0:9 2500:9",            "2000=Ask(0) 2500=Confirmed(9)"),
            ("confirmed by what broke the longer", "9?1 99",  "0:9 100:1",             "100=Ask(0) 100=Confirmed(9)"),
            ("a reset forgets the question",       "9?",      "0:9 100:reset 200:9",   "0=Ask(0) 200=Ask(0) 5200=Unconfirmed(9)"),
            ("a start leaves the question open",   "9?",      "0:9 100:start 200:9",   "0=Ask(0) 200=Confirmed(9)"),
        ];
        for (name, codes, keys, want) in cases {
            assert_eq!(play(codes, None, keys), want, "{name}: {keys}");
        }
    }

    #[test]
    fn silence_is_said_once_for_each_start() {
        #[rustfmt::skip]
        let cases = [
            ("no key",                   "0:start",                 "3000=Silence"),
            ("a key in time",            "0:start 2999:9",          "2999=Match(9)"),
            ("a key at the end",         "0:start 3000:9",          "3000=Silence 3000=Match(9)"),
            ("asked again",              "0:start 5000:start",      "3000=Silence 8000=Silence"),
            ("a wrong key is no silence","0:start 100:5",           "100=Reject(5)"),
            ("never started",            "0:5",                     "0=Reject(5)"),
        ];
        for (name, keys, want) in cases {
            assert_eq!(play("9", Some(3000), keys), want, "{name}: {keys}");
        }
    }

    #[test]
    fn whatever_is_typed_comes_out_once_and_in_order() {
        let book = "9 99 *2 12? 1234 343 4*9?5 0000000000000000";
        let mut state = 7u64;
        for round in 0..3000 {
            let mut script = String::new();
            let mut keys = String::new();
            let mut at = 0;
            for _ in 0..40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                let key = ['9', '*', '2', '1', '3', '4', '0', '0'][(state >> 61) as usize];
                at += if (state >> 40).is_multiple_of(9) { 2500 } else { 100 };
                script += &format!("{at}:{key} ");
                keys.push(key);
            }
            let said = play(book, None, &script);
            // Ask and Confirmed/Unconfirmed of one code: its keys count with the latter, and the
            // confirming key, which no verdict repeats, is one more.
            let spoken: usize = said
                .split(' ')
                .filter_map(|verdict| {
                    verdict.split_once('(')?.1.strip_suffix(')').map(|k| (verdict, k))
                })
                .map(|(verdict, keys)| match verdict.split_once('=').unwrap().1 {
                    ask if ask.starts_with("Ask") => 0,
                    confirmed if confirmed.starts_with("Confirmed") => keys.len() + 1,
                    _ => keys.len(),
                })
                .sum();
            assert_eq!(
                spoken,
                keys.len(),
                "round {round}: {script}
{said}"
            );
        }
    }
}
