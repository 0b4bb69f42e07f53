//! How long evidence and call records are kept, and which clock is believed about it.
//!
//! What refuses a number is none of it: an opt-out is kept for ever, and only what proves how it
//! was made grows old. The evidence of a number's records stands sealed under one key, so that it
//! goes together, once the newest of them is past its time, and never before.
//!
//! ```text
//! now ──► Watchman: is that clock believed? ──► today ──► Retention: what is older than its time
//! ```
//!
//! What is destroyed cannot be had back, and a clock may be years off after a battery or a typing
//! error. So the time that is believed goes on with the clock as long as that does so step by step;
//! one that has leapt is followed by [`LEAP_MAX`] for each day that the process has seen pass by its
//! monotonic clock, with an alarm; and one that was set back destroys nothing. What records say of the
//! time counts only where none was ever believed: one of them may have been written while the clock
//! was years ahead.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::UnixMicros;

/// How often it is looked after: evidence is kept a day longer than it must be, at most.
pub const EVERY: Duration = Duration::from_secs(86_400);

/// How far the clock may have gone on since it was believed last. Our choice: a campaign's pause,
/// and little beside the years that evidence is kept.
pub const LEAP_MAX: Duration = Duration::from_secs(31 * 86_400);

/// How far the clock may stand behind what was believed. Our choice: far more than clocks are set back
/// by, and nothing beside a day by which evidence is kept longer anyway.
pub const BEHIND_MAX: Duration = Duration::from_secs(86_400);

/// How long what is kept; nothing means for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// What proves opt-outs and reversals: personal fields and audio.
    pub evidence: Option<Duration>,
    /// Call records, counted from their ends.
    pub calls: Option<Duration>,
}

impl Retention {
    /// Before which time the newest record of a number must be written for its evidence to go.
    pub fn evidence_limit(&self, today: UnixMicros) -> Option<UnixMicros> {
        self.evidence.map(|kept| earlier(today, kept))
    }

    /// Before which time a call must have ended for its record to go.
    pub fn calls_limit(&self, today: UnixMicros) -> Option<UnixMicros> {
        self.calls.map(|kept| earlier(today, kept))
    }

    /// Whether `newer` keeps anything for less long.
    pub fn is_shortened_by(&self, newer: &Self) -> bool {
        is_shorter(self.evidence, newer.evidence) || is_shorter(self.calls, newer.calls)
    }
}

fn is_shorter(before: Option<Duration>, after: Option<Duration>) -> bool {
    after.is_some_and(|after| before.is_none_or(|before| after < before))
}

fn earlier(at: UnixMicros, by: Duration) -> UnixMicros {
    UnixMicros(at.0.saturating_sub(micros(by)))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Why the clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It stands before what was believed.
    Behind,
    /// It has leapt on.
    Ahead,
}

impl Doubt {
    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Ahead => "ahead",
        }
    }
}

/// What a clock was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// By which time evidence is held against the policy now; nothing is destroyed without.
    pub today: Option<UnixMicros>,
    /// Why it is another one than the clock's.
    pub doubt: Option<Doubt>,
}

/// Whoever believes the clock, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchman {
    /// The last time that was believed.
    believed: UnixMicros,
    /// Whether that was a leap's, which is what today is until the next day or until the clock is right.
    has_leapt: bool,
}

impl Watchman {
    /// Goes on from the time that was `believed` last; without one, from the `newest` record, and
    /// where there is none either, from `now`: then there is nothing that could be destroyed.
    pub fn new(believed: Option<UnixMicros>, newest: Option<UnixMicros>, now: UnixMicros) -> Self {
        Self { believed: believed.or(newest).unwrap_or(now), has_leapt: false }
    }

    /// The last time that was believed.
    pub const fn believed(&self) -> UnixMicros {
        self.believed
    }

    /// Judges that it is `now`.
    ///
    /// - `is_day_seen`: whether this process has seen a day pass, by a clock that nobody sets, since
    ///   it last judged so.
    pub fn judge(&mut self, now: UnixMicros, is_day_seen: bool) -> Judged {
        let furthest = UnixMicros(self.believed.0.saturating_add(micros(LEAP_MAX)));
        if now <= furthest {
            self.has_leapt = false;
            let is_behind = now.0.saturating_add(micros(BEHIND_MAX)) < self.believed.0;
            if is_behind {
                return Judged { today: None, doubt: Some(Doubt::Behind) };
            }
            self.believed = self.believed.max(now);
            return Judged { today: Some(now), doubt: None };
        }
        if is_day_seen {
            self.believed = furthest;
            self.has_leapt = true;
        }
        let today = self.has_leapt.then_some(self.believed);
        Judged { today, doubt: Some(Doubt::Ahead) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    const NOW: UnixMicros = UnixMicros(1_795_293_016_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn days(count: i64) -> UnixMicros {
        UnixMicros(NOW.0 + count * micros(DAY))
    }

    #[test]
    fn what_is_older_than_its_time_is_past_it() {
        let kept = |evidence| Retention { evidence, calls: Some(DAY) };
        assert_eq!(kept(None).evidence_limit(NOW), None, "for ever");
        assert_eq!(kept(Some(365 * DAY)).evidence_limit(NOW), Some(days(-365)));
        assert_eq!(kept(None).calls_limit(NOW), Some(days(-1)));
        let longest = kept(Some(Duration::MAX)).evidence_limit(NOW);
        assert!(longest.is_some_and(|limit| limit.0 < 0), "before there were clocks");
    }

    #[test]
    fn a_policy_is_shortened_by_any_part() {
        let of = |evidence: Option<u32>, calls: Option<u32>| Retention {
            evidence: evidence.map(|days| DAY * days),
            calls: calls.map(|days| DAY * days),
        };
        #[rustfmt::skip]
        let cases = [
            ("the same",             of(Some(9), Some(9)), of(Some(9), Some(9)), false),
            ("evidence for less",    of(Some(9), Some(9)), of(Some(8), Some(9)), true),
            ("calls for less",       of(Some(9), Some(9)), of(Some(9), Some(8)), true),
            ("no more for ever",     of(None,    Some(9)), of(Some(9), Some(9)), true),
            ("for ever from now on", of(Some(9), Some(9)), of(None,    None),    false),
            ("longer",               of(Some(9), Some(9)), of(Some(10), None),   false),
        ];
        for (name, before, after, want) in cases {
            assert_eq!(before.is_shortened_by(&after), want, "{name}");
        }
    }

    /// Judges days in turn, each with whether a day was seen; what is believed of each.
    fn play(believed: Option<i64>, newest: Option<i64>, steps: &[(i64, bool)]) -> String {
        let newest = newest.map(days);
        let first = steps.first().map_or(NOW, |(day, _seen)| days(*day));
        let mut watchman = Watchman::new(believed.map(days), newest, first);
        let told = steps.iter().map(|(day, is_day_seen)| {
            let Judged { today, doubt } = watchman.judge(days(*day), *is_day_seen);
            let today = today.map_or_else(
                || "-".to_owned(),
                |today| ((today.0 - NOW.0) / micros(DAY)).to_string(),
            );
            format!(
                "{today}{}",
                doubt.map(|doubt| format!(" {}", doubt.as_str())).unwrap_or_default()
            )
        });
        told.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_clock_is_believed_as_long_as_it_goes_on_step_by_step() {
        #[rustfmt::skip]
        let cases = [
            ("a first start, without records",  None,    None,     vec![(0, false), (1, true)],                    "0, 1"),
            ("a first start, with records",     None,    Some(-3), vec![(0, false)],                               "0"),
            ("a pause of a month",              Some(0), Some(0),  vec![(31, false)],                              "31"),
            ("a day more, at a start",          Some(0), Some(0),  vec![(32, false)],                              "- ahead"),
            ("which is caught up with",         Some(0), Some(0),  vec![(40, false), (41, true), (42, true)],      "- ahead, 31 ahead, 42"),
            ("in many steps a day",             Some(0), Some(0),  vec![(90, false), (90, true), (90, false), (91, true)], "- ahead, 31 ahead, 31 ahead, 62 ahead"),
            ("ten years ahead, started often",  Some(0), Some(0),  vec![(3650, false), (3650, false)],             "- ahead, - ahead"),
            ("ten years ahead, for two days",   Some(0), Some(0),  vec![(3650, false), (3651, true), (3652, true)], "- ahead, 31 ahead, 62 ahead"),
            ("and set right then",              Some(0), Some(0),  vec![(3650, true), (1, true)],                  "31 ahead, - behind"),
            ("set back by an hour or so",       Some(0), Some(1),  vec![(0, false)],                               "0"),
            ("set back by days",                Some(0), Some(0),  vec![(-2, false), (-2, true)],                  "- behind, - behind"),
            ("behind the newest record alone",  None,    Some(0),  vec![(-2, false)],                              "- behind"),
            ("a record of years ahead",         Some(0), Some(3650), vec![(1, false), (2, true)],                  "1, 2"),
            ("set back, and right again",       Some(0), Some(0),  vec![(-2, false), (1, true)],                   "- behind, 1"),
        ];
        for (name, believed, newest, steps, want) in cases {
            assert_eq!(play(believed, newest, &steps), want, "{name}");
        }
    }

    #[test]
    fn whatever_the_clock_says_what_is_believed_goes_on_by_a_leap_at_most() {
        for seed in 0..2_000_u64 {
            let mut tokens = TokenSource::new(Seed(seed, 9));
            let mut draw = |below: u64| tokens.next_u64() % below;
            let mut watchman = Watchman::new(Some(NOW), Some(NOW), NOW);
            let mut before = NOW;
            for _ in 0..40 {
                let is_day_seen = draw(2) == 0;
                let now = days(draw(8_000).cast_signed() - 4_000);
                let judged = watchman.judge(now, is_day_seen);
                let leap = watchman.believed().0 - before.0;
                assert!((0..=micros(LEAP_MAX)).contains(&leap), "seed {seed}");
                before = watchman.believed();
                let today = judged.today.unwrap_or(NOW);
                assert!(today <= now.max(NOW) && today <= watchman.believed(), "seed {seed}");
            }
        }
    }
}
