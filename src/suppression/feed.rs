//! Following every writer's stream, so that this node knows what the others have made durable.
//!
//! ```text
//! heads (how far each stream is in the store) ──► Due: read on from here ──► records, in order
//! all of them taken ──► complete, as of the moment when the heads were asked for
//! ```
//!
//! A stream is read by its own cursor and never by a serial column over all writers: records of two
//! writers become visible in any order, and a cursor over both would leave some behind for ever. A
//! record that is missing between two is waited for and never skipped. What wakes the follower does
//! not matter to what is true.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;

/// How long another node's import may take to come into force here, beyond the time for which the
/// store may be out of reach: fetching a registry of 350 MB over 100 Mbit/s and making a base of
/// 250 million numbers take a minute.
pub const IMPORT_GRACE: Duration = Duration::from_secs(120);

/// By how much the wall clock has to run ahead of the other between two looks to count as a
/// standstill. Our choice: a clock that is set right is moved by less, and knowledge that is older
/// by less is as good.
const STANDSTILL_MIN: Duration = Duration::from_secs(1);

/// How far a node is behind, and what it must read.
#[derive(Debug)]
pub struct Feed {
    /// The last record of each stream that was taken.
    cursors: BTreeMap<WriterId, u64>,
    /// How far each stream must have been taken before we are complete again.
    wanted: BTreeMap<WriterId, u64>,
    /// When the heads were asked for that `wanted` came from.
    asked_at: Option<Instant>,
    /// At this moment there was nothing that we had not taken.
    complete_at: Option<Instant>,
    /// Streams that end before a record that was taken.
    lost: BTreeSet<WriterId>,
    /// Since when an import is known that is not in force.
    import_due_since: Option<Instant>,
    /// What both clocks showed at the last look.
    clocks: Option<(Instant, UnixMicros)>,
    /// When following began.
    began_at: Instant,
    stale_after: Duration,
    counters: FeedCounters,
}

/// What a feed has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounters {
    /// Records taken.
    pub taken: u64,
    /// Records that were not the next of their stream; those between were waited for.
    pub holes: u64,
    /// Streams that ended before a record that had been taken: the store has lost some.
    pub regressions: u64,
}

/// Until when a node knows what the others have made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// For ever: there are no others.
    #[default]
    Alone,
    /// It has not caught up with them yet.
    Never,
    /// Until this moment, unless it hears of them before.
    Until(Instant),
}

impl Freshness {
    /// Whether an opt-out made elsewhere may be unknown here, longer after than is allowed.
    pub fn is_stale(self, now: Instant) -> bool {
        match self {
            Self::Alone => false,
            Self::Never => true,
            Self::Until(moment) => now > moment,
        }
    }
}

/// A stream that has more than was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub writer: WriterId,
    /// The last that was taken; 0 for none.
    pub after: u64,
}

/// What becomes of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the next: do what it says.
    Apply,
    /// It was taken before.
    Known,
    /// One before it is missing: read again later, from there.
    Hole,
}

impl Feed {
    /// Follows from `cursors` on, the last record of each stream that this node knows already. The
    /// node is stale until it was complete once, and whenever that is `stale_after` ago.
    pub fn new(
        now: Instant,
        cursors: impl IntoIterator<Item = (WriterId, u64)>,
        stale_after: Duration,
    ) -> Self {
        Self {
            cursors: cursors.into_iter().collect(),
            wanted: BTreeMap::new(),
            asked_at: None,
            complete_at: None,
            lost: BTreeSet::new(),
            import_due_since: None,
            clocks: None,
            began_at: now,
            stale_after,
            counters: FeedCounters::default(),
        }
    }

    /// Takes what both clocks show, at each look before all else, and returns for how long the
    /// machine has stood still since the last, if it has. While it sleeps or is held, the clock that
    /// nobody sets stands still too; the wall clock is right again afterwards. By as much as it has
    /// run ahead, what this node knows is older than it seems.
    pub fn clocks(&mut self, now: Instant, wall: UnixMicros) -> Option<Duration> {
        let (then, wall_then) = self.clocks.replace((now, wall))?;
        let passed = u64::try_from(wall.0.saturating_sub(wall_then.0)).unwrap_or_default();
        let stood =
            Duration::from_micros(passed).saturating_sub(now.saturating_duration_since(then));
        if stood < STANDSTILL_MIN {
            return None;
        }
        let earlier = |at: Instant| at.checked_sub(stood);
        self.asked_at = self.asked_at.and_then(earlier);
        self.complete_at = self.complete_at.and_then(earlier);
        Some(stood)
    }

    /// Takes how far each stream is in the store, as asked at `asked_at`, and returns what to read. A
    /// stream that is not among them is not in the store.
    pub fn heads(
        &mut self,
        asked_at: Instant,
        heads: impl IntoIterator<Item = (WriterId, u64)>,
    ) -> Vec<Due> {
        let heads: BTreeMap<WriterId, u64> = heads.into_iter().collect();
        self.wanted.clear();
        self.asked_at = Some(asked_at);
        let mut due = Vec::new();
        for (&writer, &head) in &heads {
            let after = self.cursors.get(&writer).copied().unwrap_or_default();
            if head > after {
                self.wanted.insert(writer, head);
                due.push(Due { writer, after });
            }
        }
        let head = |writer: &WriterId| heads.get(writer).copied().unwrap_or_default();
        let ends_before = self.cursors.iter().filter(|(writer, taken)| head(writer) < **taken);
        let lost: BTreeSet<WriterId> = ends_before.map(|(writer, _taken)| *writer).collect();
        self.counters.regressions += lost.difference(&self.lost).count() as u64;
        self.lost = lost;
        self.note_completeness();
        due
    }

    /// Takes a record that was read. [`Step::Hole`] leaves the stream where it is.
    pub fn record(&mut self, record: RecordId) -> Step {
        let cursor = self.cursors.entry(record.writer).or_default();
        if record.seq <= *cursor {
            return Step::Known;
        }
        if record.seq != *cursor + 1 {
            self.counters.holes += 1;
            return Step::Hole;
        }
        *cursor = record.seq;
        self.counters.taken += 1;
        if self.wanted.get(&record.writer).is_some_and(|wanted| *wanted <= record.seq) {
            self.wanted.remove(&record.writer);
            self.note_completeness();
        }
        Step::Apply
    }

    fn note_completeness(&mut self) {
        if self.wanted.is_empty() {
            self.complete_at = self.complete_at.max(self.asked_at);
        }
    }

    /// For how long this node may have missed something: the age of the last moment at which it
    /// knew everything that was in the store; since the beginning while there was none.
    pub fn lag(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.complete_at.unwrap_or(self.began_at))
    }

    /// Takes since when an import is known whose numbers are not refused yet, if there is one.
    pub const fn import_due(&mut self, since: Option<Instant>) {
        self.import_due_since = since;
    }

    /// For how long an import has been known that is not in force; zero where there is none.
    pub fn import_due_for(&self, now: Instant) -> Duration {
        let since = self.import_due_since;
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Until when this node knows enough to call somebody: the lag is too long from then on, or an
    /// import has been due for [`IMPORT_GRACE`] longer than that.
    pub fn freshness(&self) -> Freshness {
        let complete = self.complete_at.and_then(|at| at.checked_add(self.stale_after));
        let Some(until) = complete else { return Freshness::Never };
        let due = self.import_due_since.and_then(|since| since.checked_add(self.stale_after));
        let due = due.and_then(|at| at.checked_add(IMPORT_GRACE));
        Freshness::Until(due.map_or(until, |due| until.min(due)))
    }

    /// Streams of which the store has less than was taken.
    pub const fn lost(&self) -> &BTreeSet<WriterId> {
        &self.lost
    }

    /// The last record of each stream that was taken.
    pub fn cursors(&self) -> impl Iterator<Item = (WriterId, u64)> + '_ {
        self.cursors.iter().map(|(writer, seq)| (*writer, *seq))
    }

    /// What was met so far.
    pub const fn counters(&self) -> FeedCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE_AFTER: Duration = Duration::from_secs(5);

    fn id(writer: u64, seq: u64) -> RecordId {
        RecordId { writer: WriterId(writer), seq }
    }

    fn heads(heads: &[(u64, u64)]) -> Vec<(WriterId, u64)> {
        heads.iter().map(|&(writer, seq)| (WriterId(writer), seq)).collect()
    }

    fn stale(feed: &Feed, now: Instant) -> bool {
        feed.freshness().is_stale(now)
    }

    /// A feed that follows from nothing, and the moment when it began.
    fn feed() -> (Feed, Instant) {
        #[expect(clippy::disallowed_methods, reason = "any moment will do: only distances count")]
        let now = Instant::now();
        (Feed::new(now, [], STALE_AFTER), now)
    }

    #[test]
    fn a_node_is_stale_until_it_was_complete_and_when_that_is_too_long_ago() {
        let (mut feed, start) = feed();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(stale(&feed, at(0)));
        assert_eq!(feed.lag(at(700)), Duration::from_millis(700), "since it began");
        let due = feed.heads(at(100), heads(&[(1, 2), (2, 1)]));
        let after = |writer| Due { writer: WriterId(writer), after: 0 };
        assert_eq!(due, [after(1), after(2)]);
        assert_eq!((feed.record(id(1, 1)), feed.record(id(2, 1))), (Step::Apply, Step::Apply));
        assert!(stale(&feed, at(200)), "1/2 is not there yet");
        assert_eq!(feed.record(id(1, 2)), Step::Apply);
        assert!(!stale(&feed, at(200)));
        assert_eq!(feed.lag(at(200)), Duration::from_millis(100), "since the heads were asked for");
        assert_eq!(feed.freshness(), Freshness::Until(at(5_100)));
        assert!(!stale(&feed, at(5_100)));
        assert!(stale(&feed, at(5_101)));
        assert!(feed.heads(at(6_000), heads(&[(1, 2), (2, 1)])).is_empty());
        assert!(!stale(&feed, at(6_001)), "nothing new is complete, too");
    }

    #[test]
    fn a_hole_is_waited_for_and_what_is_known_is_not_done_twice() {
        let (mut feed, start) = feed();
        feed.heads(start, heads(&[(1, 4)]));
        let steps = [1, 2, 4, 2, 3, 4, 4].map(|seq| feed.record(id(1, seq)));
        use Step::{Apply, Hole, Known};
        assert_eq!(steps, [Apply, Apply, Hole, Known, Apply, Apply, Known]);
        assert!(!stale(&feed, start));
        assert_eq!(feed.counters(), FeedCounters { taken: 4, holes: 1, regressions: 0 });
    }

    #[test]
    fn a_hole_makes_the_node_stale_however_often_it_asks() {
        let (mut feed, start) = feed();
        feed.heads(start, []);
        let mut now = start;
        for _ in 0..100 {
            now += Duration::from_millis(250);
            feed.heads(now, heads(&[(1, 2), (2, 1)]));
            feed.record(id(2, 1));
            assert_eq!(feed.record(id(1, 2)), Step::Hole);
        }
        assert!(stale(&feed, now));
        assert_eq!(feed.lag(now), Duration::from_secs(25));
    }

    #[test]
    fn a_store_that_has_lost_records_is_noticed() {
        let now = feed().1;
        let mut feed = Feed::new(now, heads(&[(1, 7)]), STALE_AFTER);
        feed.heads(now, heads(&[(1, 5)]));
        assert_eq!(feed.counters().regressions, 1);
        assert_eq!(
            feed.cursors().collect::<Vec<_>>(),
            heads(&[(1, 7)]),
            "we know them all the same"
        );
    }

    #[test]
    fn what_a_store_has_lost_is_counted_when_it_is_met_and_not_each_time_it_is_asked() {
        let now = feed().1;
        let mut feed = Feed::new(now, heads(&[(1, 7), (2, 3)]), STALE_AFTER);
        // What the store has (0: not even the stream), which streams have lost something then, and
        // how many were met so far.
        #[rustfmt::skip]
        let steps: [([u64; 2], &[u64], u64); 6] = [
            ([7, 3], &[],     0),
            ([5, 3], &[1],    1),
            ([6, 3], &[1],    1),
            ([0, 2], &[1, 2], 2),
            ([7, 3], &[],     2),
            ([0, 0], &[1, 2], 4),
        ];
        for (found, lost, met) in steps {
            let there = (1..).zip(found).filter(|(_writer, seq)| *seq > 0);
            feed.heads(now, heads(&there.collect::<Vec<_>>()));
            let lost: BTreeSet<_> = lost.iter().map(|writer| WriterId(*writer)).collect();
            assert_eq!((feed.lost(), feed.counters().regressions), (&lost, met), "{found:?}");
        }
    }

    #[test]
    fn an_import_that_does_not_come_into_force_makes_the_node_stale_after_a_grace() {
        let (mut feed, start) = feed();
        let bound = IMPORT_GRACE + STALE_AFTER;
        feed.heads(start, []);
        feed.import_due(Some(start));
        feed.heads(start + bound, []);
        assert!(!stale(&feed, start + bound));
        assert!(stale(&feed, start + bound + Duration::from_millis(1)));
        assert_eq!(feed.import_due_for(start + bound), bound);
        feed.import_due(None);
        assert!(!stale(&feed, start + bound + STALE_AFTER), "it is in force");
        feed.import_due(Some(start + bound));
        assert!(stale(&feed, start + bound + STALE_AFTER * 2), "the grace is for imports alone");
    }

    #[test]
    fn a_machine_that_stood_still_knows_what_it_knew_before() {
        // By how many ms each clock goes on to the next look -> stale, and for how long it has
        // known nothing new.
        #[rustfmt::skip]
        let cases = [
            ("both go on",                           250, 250,       false, 250),
            ("it sleeps for an hour",                250, 3_600_250, true,  3_600_250),
            ("it is held for less than is allowed",  250, 4_250,     false, 4_250),
            ("it is held for more",                  250, 5_001,     true,  5_001),
            ("the wall clock is set right",          250, 1_249,     false, 250),
            ("by a second",                          250, 1_250,     false, 1_250),
            ("or back",                              250, -9_000,    false, 250),
        ];
        for (name, ms, wall_ms, is_stale, lag_ms) in cases {
            let (mut feed, start) = feed();
            let start = start + Duration::from_secs(7_200);
            let wall = 1_795_293_016_000_000;
            assert_eq!(feed.clocks(start, UnixMicros(wall)), None, "{name}");
            feed.heads(start, []);
            let now = start + Duration::from_millis(ms);
            let stood = feed.clocks(now, UnixMicros(wall + wall_ms * 1_000));
            assert_eq!(stood.is_some(), lag_ms > ms, "{name}");
            assert_eq!(stale(&feed, now), is_stale, "{name}");
            assert_eq!(feed.lag(now), Duration::from_millis(lag_ms), "{name}");
            feed.heads(now, []);
            assert_eq!(feed.clocks(now, UnixMicros(wall + wall_ms * 1_000)), None, "{name}");
            assert!(!stale(&feed, now), "{name}: it has asked since");
        }
    }

    #[test]
    fn heads_asked_for_earlier_do_not_make_the_node_older() {
        let (mut feed, start) = feed();
        let later = start + Duration::from_secs(1);
        feed.heads(later, []);
        feed.heads(start, []);
        assert_eq!(feed.lag(later), Duration::ZERO);
    }
}
