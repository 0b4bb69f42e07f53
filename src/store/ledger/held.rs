//! Answers that wait until the database has the fact too.
//!
//! With [`AckPolicy::Journal`] nothing waits here. Else the commit thread puts an answer in once its
//! record is on the journal's disk, the projection thread takes it out when the database has the
//! record, and whichever answers has no time left are given out by the commit thread: as durable
//! here alone, or as not recorded.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::store::watch::OnEvent;
use crate::store::watch::StoreEvent;
use crate::suppression::Ack;
use crate::suppression::Durable;
use crate::suppression::LedgerError;
use crate::suppression::OptOut;

/// How long the database may keep a person waiting who has pressed; the journal has the record by
/// then, and is enough. Silence is noticed from about this time on.
const BOTH_MAX: Duration = Duration::from_millis(300);

/// How long, where the journal is not enough: a call gives up after two seconds, and must hear of
/// it before.
const STORE_MAX: Duration = Duration::from_millis(1_500);

/// Opt-outs that were answered as not recorded and that are told of once the database has them, at
/// most. Our choice: half an hour of 33 presses a second, some 200 MiB. Beyond it they come into the
/// database all the same, and their numbers stay refused as they are.
const LATE_MAX: usize = 65_536;

/// When a fact counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// Once it is on the disk of the journal.
    #[default]
    Journal,
    /// Once journal and database have it; after 300 ms the journal is enough, the answer is marked
    /// as pending and an alarm stands until the database has it.
    Both,
    /// Once the database has it, which the journal has then too; after 1.5 s it counts as not
    /// recorded, though the journal hands it over later all the same.
    Store,
}

impl AckPolicy {
    /// How long an answer waits for the database.
    const fn patience(self) -> Option<Duration> {
        match self {
            Self::Journal => None,
            Self::Both => Some(BOTH_MAX),
            Self::Store => Some(STORE_MAX),
        }
    }
}

/// Gives the answers out; shared by the commit thread and the projection thread.
pub(in crate::store) struct Held {
    policy: AckPolicy,
    on_ack: Box<dyn Fn(Ack) + Send + Sync>,
    on_event: OnEvent,
    inner: Mutex<Inner>,
    /// Answers that were given before the database had the fact.
    pending: AtomicU64,
    /// Opt-outs that found no room among those that are told of later.
    untold: AtomicU64,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Of each stream, the last record whose answer was given before the database had it.
    owed: Vec<RecordId>,
    /// Opt-outs that were answered as not recorded and that the journal hands over all the same.
    late: VecDeque<(RecordId, Box<OptOut>)>,
}

struct Waiting {
    token: u64,
    durable: Durable,
    optout: Option<Box<OptOut>>,
}

impl Held {
    pub(in crate::store) fn new(
        policy: AckPolicy,
        on_ack: Box<dyn Fn(Ack) + Send + Sync>,
        on_event: OnEvent,
    ) -> Self {
        let (pending, untold) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { policy, on_ack, on_event, inner: Mutex::default(), pending, untold }
    }

    /// Answers as soon as the policy lets us: `record` is on the disk of the journal. Before the
    /// projection thread is handed the record, so that it finds who waits.
    pub(super) fn is_on_disk(&self, token: u64, durable: Durable, optout: Option<&OptOut>) {
        if self.policy == AckPolicy::Journal {
            return self.answer(token, Ok(durable));
        }
        let is_kept = self.policy == AckPolicy::Store;
        let optout = optout.filter(|_| is_kept).cloned().map(Box::new);
        self.lock().waiting.push_back(Waiting { token, durable, optout });
    }

    /// Answers at once that a fact is not durable.
    pub(super) fn refuse(&self, token: u64, error: LedgerError) {
        self.answer(token, Err(error));
    }

    /// The database has every record of the stream up to `last`.
    pub(in crate::store) fn is_stored(&self, last: RecordId) {
        if self.policy == AckPolicy::Journal {
            return;
        }
        let is_in = |record: RecordId| record.writer == last.writer && record.seq <= last.seq;
        let (stored, late, is_caught_up) = {
            let mut inner = self.lock();
            let stored = take(&mut inner.waiting, |waiting| is_in(waiting.durable.record));
            let late = take(&mut inner.late, |(record, _optout)| is_in(*record));
            let owed = inner.owed.len();
            inner.owed.retain(|record| !is_in(*record));
            (stored, late, owed > 0 && inner.owed.is_empty())
        };
        for Waiting { token, durable, .. } in stored {
            self.answer(token, Ok(durable));
        }
        for (record, optout) in late {
            (self.on_event)(StoreEvent::WrittenLate { optout, record });
        }
        if is_caught_up {
            tracing::info!("the database has caught up with what was answered without it");
        }
    }

    /// In how long [`Self::expire`] has something to do.
    pub(super) fn due_in(&self, now: UnixMicros) -> Option<Duration> {
        let patience = self.policy.patience()?;
        let inner = self.lock();
        Some(patience.saturating_sub(age(inner.waiting.front()?, now)))
    }

    /// Gives out the answers that have waited long enough.
    pub(super) fn expire(&self, now: UnixMicros) {
        let Some(patience) = self.policy.patience() else { return };
        self.give_up(|waiting| age(waiting, now) >= patience);
    }

    /// Gives out every answer: nobody is left to take records into the database.
    pub(in crate::store) fn close(&self) {
        self.give_up(|_waiting| true);
    }

    fn give_up(&self, is_over: impl FnMut(&Waiting) -> bool) {
        let (expired, is_first) = {
            let mut inner = self.lock();
            let mut expired = take(&mut inner.waiting, is_over);
            let was_owed = !inner.owed.is_empty();
            for Waiting { durable, optout, .. } in &mut expired {
                inner.owe(durable.record);
                let Some(optout) = optout.take() else { continue };
                if inner.late.len() < LATE_MAX {
                    inner.late.push_back((durable.record, optout));
                } else {
                    self.untold.fetch_add(1, Ordering::Relaxed);
                }
            }
            let is_first = !was_owed && !expired.is_empty();
            (expired, is_first)
        };
        self.pending.fetch_add(expired.len() as u64, Ordering::Relaxed);
        if is_first {
            tracing::error!("the database does not take records; they wait in the journal");
        }
        for Waiting { token, durable, .. } in expired {
            let result = match self.policy {
                AckPolicy::Store => Err(LedgerError::Unstored { record: durable.record }),
                _ => Ok(Durable { is_pending: true, ..durable }),
            };
            self.answer(token, result);
        }
    }

    /// Whether somebody waits for the database.
    pub(in crate::store) fn is_awaited(&self) -> bool {
        self.policy != AckPolicy::Journal && !self.lock().waiting.is_empty()
    }

    /// Whether anybody ever waits for the database.
    pub(in crate::store) fn waits(&self) -> bool {
        self.policy != AckPolicy::Journal
    }

    /// Whether the database lacks a record that was answered without it.
    pub(in crate::store) fn is_behind(&self) -> bool {
        !self.lock().owed.is_empty()
    }

    /// Answers that were given before the database had the fact, since the start.
    pub(in crate::store) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Opt-outs that nobody is told of once the database has them, since there was no room, since
    /// the start.
    pub(in crate::store) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    fn answer(&self, token: u64, result: Result<Durable, LedgerError>) {
        (self.on_ack)(Ack { token, result });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Inner {
    fn owe(&mut self, record: RecordId) {
        match self.owed.iter_mut().find(|owed| owed.writer == record.writer) {
            Some(owed) => *owed = (*owed).max(record),
            None => self.owed.push(record),
        }
    }
}

/// How long an answer has waited; a wall clock that was set back makes it old, not young.
fn age(waiting: &Waiting, now: UnixMicros) -> Duration {
    Duration::from_micros(now.0.abs_diff(waiting.durable.durable_at.0))
}

/// Takes out what `is_meant`, in its order.
fn take<T>(queue: &mut VecDeque<T>, mut is_meant: impl FnMut(&T) -> bool) -> Vec<T> {
    let mut taken = Vec::new();
    for item in std::mem::take(queue) {
        if is_meant(&item) {
            taken.push(item);
        } else {
            queue.push_back(item);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::WriterId;
    use crate::store::tests::optout;

    const MS: i64 = 1_000;

    /// What was told, in order: `token ok`, `token pending`, `token not`, and `late` of an opt-out.
    fn held(policy: AckPolicy) -> (Held, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (acks, events) = (Arc::clone(&told), Arc::clone(&told));
        let on_ack = Box::new(move |ack: Ack| {
            let how = match ack.result {
                Ok(durable) if durable.is_pending => "pending",
                Ok(_durable) => "ok",
                Err(_error) => "not",
            };
            acks.lock().unwrap().push(format!("{} {how}", ack.token));
        });
        let on_event: OnEvent = Arc::new(move |event| {
            let StoreEvent::WrittenLate { record, .. } = event else { return };
            events.lock().unwrap().push(format!("late {}", record.seq));
        });
        (Held::new(policy, on_ack, on_event), told)
    }

    fn id(writer: u64, seq: u64) -> RecordId {
        RecordId { writer: WriterId(writer), seq }
    }

    fn durable(writer: u64, seq: u64, at_ms: i64) -> Durable {
        let durable_at = UnixMicros(at_ms * MS);
        Durable { record: id(writer, seq), durable_at, is_pending: false }
    }

    #[test]
    fn answers_wait_as_the_policy_says() {
        // Tokens 1 and 2 are records 1 and 2 of a stream, on disk at 0 and 100 ms.
        use AckPolicy::{Both, Journal, Store};
        #[rustfmt::skip]
        let cases: [(&str, AckPolicy, &[&str], &str); 9] = [
            ("the journal is enough",         Journal, &["stored 2"],                        "1 ok, 2 ok"),
            ("nobody answers before",         Both,    &["at 299"],                          ""),
            ("the database has both",         Both,    &["stored 2"],                        "1 ok, 2 ok"),
            ("the database has one",          Both,    &["stored 1"],                        "1 ok"),
            ("the other had to wait",         Both,    &["stored 1", "at 400"],              "1 ok, 2 pending"),
            ("it has it at last",             Both,    &["at 300", "at 400", "stored 2"],    "1 pending, 2 pending"),
            ("none counts without it",        Store,   &["at 1499", "stored 1", "at 1600"],  "1 ok, 2 not"),
            ("though it comes later",             Store,   &["at 1600", "stored 2"],         "1 not, 2 not, late 2"),
            ("the store is closed",           Both,    &["close"],                           "1 pending, 2 pending"),
        ];
        for (name, policy, steps, want) in cases {
            let (held, told) = held(policy);
            held.is_on_disk(1, durable(7, 1, 0), None);
            held.is_on_disk(2, durable(7, 2, 100), Some(&optout(1)));
            for step in steps {
                match step.split_once(' ') {
                    Some(("stored", seq)) => held.is_stored(id(7, seq.parse().unwrap())),
                    Some((_at, ms)) => held.expire(UnixMicros(ms.parse::<i64>().unwrap() * MS)),
                    None => held.close(),
                }
            }
            assert_eq!(told.lock().unwrap().join(", "), want, "{name}");
        }
    }

    #[test]
    fn the_alarm_stands_until_every_stream_has_caught_up() {
        let (held, told) = held(AckPolicy::Both);
        held.is_on_disk(1, durable(7, 5, 0), None);
        held.is_on_disk(2, durable(8, 1, 0), None);
        assert!(held.is_awaited() && !held.is_behind());
        assert_eq!(held.due_in(UnixMicros(100 * MS)), Some(Duration::from_millis(200)));
        held.expire(UnixMicros(300 * MS));
        assert!(!held.is_awaited() && held.is_behind());
        assert_eq!((held.pending(), held.due_in(UnixMicros(0))), (2, None));
        for (record, is_behind) in [(id(7, 4), true), (id(8, 1), true), (id(7, 5), false)] {
            held.is_stored(record);
            assert_eq!(held.is_behind(), is_behind, "{record}");
        }
        assert_eq!(told.lock().unwrap().as_slice(), ["1 pending", "2 pending"]);
    }

    #[test]
    fn what_waits_for_a_database_that_is_away_has_a_maximum() {
        let (held, told) = held(AckPolicy::Store);
        let optout = optout(1);
        for seq in 1..=LATE_MAX as u64 + 3 {
            held.is_on_disk(seq, durable(7, seq, 0), Some(&optout));
            held.expire(UnixMicros(1_500 * MS));
        }
        assert_eq!((held.untold(), told.lock().unwrap().len()), (3, LATE_MAX + 3));
        held.is_stored(id(7, LATE_MAX as u64 + 3));
        let late = told.lock().unwrap().iter().filter(|told| told.starts_with("late")).count();
        assert_eq!((late, held.is_behind()), (LATE_MAX, false));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let (held, told) = held(AckPolicy::Both);
        held.is_on_disk(1, durable(7, 1, 10_000), None);
        held.expire(UnixMicros(0));
        assert_eq!(told.lock().unwrap().as_slice(), ["1 pending"]);
    }
}
