//! The follower: reads what other nodes have made durable into this node's index.
//!
//! ```text
//! heads ──► Feed: what is due ──► records, in order ──► index, and whose phone still rings
//!                     \──► complete, as of when the heads were asked for ──► Freshness
//! ```
//!
//! A thread and a connection of its own, so that neither the journal nor a question waits for it. A
//! notice of the server wakes it; without one it looks every [`POLL_EVERY`]. What this process wrote
//! itself it knows without the server. It begins with everything that is on record, and the index
//! counts as fresh only after that, and after the database has what earlier processes of this node
//! left in the journal.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::Fact;
use crate::suppression::Feed;
use crate::suppression::Freshness;
use crate::suppression::Index;
use crate::suppression::feed::Due;
use crate::suppression::feed::Step;

use super::StoreError;
use super::erase::Erasures;
use super::ledger::Pen;
use super::projection;
use super::reader::Page;
use super::reader::Reader;
use super::site::Site;
use super::watch::Watch;

/// How soon another node's record is looked for when no notice tells of it.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// Records of one stream that are read at a time.
const PAGE_LEN: usize = 1_000;

/// After how many rounds imports that could not be mounted are tried again: five seconds or less.
const IMPORTS_PAUSE_ROUNDS: u32 = 20;

/// Reads the clock that nobody sets; handed in, since only the driver of the clock may read it.
pub type Monotonic = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Hears of each number that another node has put on a list, once the index refuses it.
pub type OnNumber = Arc<dyn Fn(Number) + Send + Sync>;

/// How other nodes are followed.
#[derive(Clone)]
pub struct Following {
    /// What is kept up to date.
    pub index: Arc<Index>,
    /// The clock by which the index's freshness is told.
    pub now: Monotonic,
    /// For how long the database may be out of reach before calls are refused.
    pub stale_after: Duration,
    /// Told of each number, on the follower's thread: it must hand the news on and return.
    pub on_number: OnNumber,
    /// Who does here what other nodes have erased.
    pub node: NodeName,
}

/// What a follower has met, and how far it is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// For how long this node may have missed something.
    pub lag: Duration,
    /// Records taken over.
    pub records: u64,
    /// Records that were waited for, since one before them was missing.
    pub holes: u64,
    /// How often a stream ended before a record that had been taken: the database has lost some.
    pub regressions: u64,
    /// Streams of which it has less now than this node knows.
    pub lost: u64,
    /// For how long another node's import has been known that is not in force.
    pub import_due: Duration,
    /// Rounds that failed, and tries to bring imports in.
    pub failures: u64,
}

/// The follower, with its handle.
pub(super) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Shared with the thread.
struct Shared {
    following: Following,
    /// Knows which streams are this process's own, and whether the database has what earlier
    /// processes of this node left in the journal.
    written: projection::Feed,
    feed: Mutex<Option<Feed>>,
    began_at: Instant,
    failures: AtomicU64,
    is_over: AtomicBool,
}

impl Follower {
    /// Starts the thread. The index is stale until it has caught up once.
    pub(super) fn start(
        site: Site,
        following: Following,
        written: projection::Feed,
        pen: Pen,
        watch: Watch,
    ) -> Result<Self, StoreError> {
        following.index.set_freshness(Freshness::Never);
        following.index.keep_numbers_as(&site.numbers);
        let shared = Arc::new(Shared {
            began_at: (following.now)(),
            following,
            written,
            feed: Mutex::default(),
            failures: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let reader = site.reader()?;
        let erasures = Erasures::new(site.clone(), shared.following.node.clone(), pen);
        let mut round = Round {
            shared: Arc::clone(&shared),
            site,
            reader,
            imports: Imports::default(),
            erasures,
            is_failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(move || {
                let _watch = watch;
                while !round.shared.is_over() {
                    round.play();
                    round.reader.wait(POLL_EVERY);
                }
            })
            .map_err(StoreError::io("start", "the follower"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What was met, and how far this node is behind.
    pub(super) fn followed(&self) -> Followed {
        let shared = &self.shared;
        let (now, feed) = ((shared.following.now)(), shared.feed());
        let counters = feed.as_ref().map(Feed::counters).unwrap_or_default();
        let waited = now.saturating_duration_since(shared.began_at);
        Followed {
            lag: feed.as_ref().map_or(waited, |feed| feed.lag(now)),
            records: counters.taken,
            holes: counters.holes,
            regressions: counters.regressions,
            lost: feed.as_ref().map_or(0, |feed| feed.lost().len() as u64),
            import_due: feed.as_ref().map(|feed| feed.import_due_for(now)).unwrap_or_default(),
            failures: shared.failures.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("followed", &self.followed()).finish()
    }
}

impl Shared {
    fn feed(&self) -> MutexGuard<'_, Option<Feed>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store is being closed.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Tells the index until when it is fresh.
    fn tell(&self, feed: &Feed) {
        self.following.index.set_freshness(feed.freshness());
    }
}

/// What the thread owns.
struct Round {
    shared: Arc<Shared>,
    site: Site,
    reader: Reader,
    imports: Imports,
    erasures: Erasures,
    is_failing: bool,
}

impl Round {
    /// Looks once for what is new.
    fn play(&mut self) {
        match self.look() {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("other nodes' records are read again");
                }
            }
            // Not read to its end, since the store is being closed.
            Err(_cut) if self.shared.is_over() => {}
            Err(error) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_failing, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "other nodes' records cannot be read");
                }
            }
        }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let written = &shared.written;
        if shared.feed().is_none() && !written.is_recovered() {
            // What this node promised before its restart is in the journal alone.
            return Ok(());
        }
        let asked_at = (shared.following.now)();
        self.look_at_clocks(asked_at);
        let had = written.own();
        let mut heads = self.reader.heads()?;
        if written.hold_against(&had, &heads) > 0 {
            tracing::error!(
                "the database has lost records of this node, which forwards them again"
            );
        }
        // Asked for behind the heads, so that a stream that has just begun is among them.
        let own = written.own();
        heads.retain(|(writer, _seq)| !own.contains_key(writer));
        if shared.feed().is_none() {
            self.fill(asked_at, &heads)?;
            // What others have erased while this node was down; its own it has completed.
            let Self { reader, erasures, .. } = self;
            reader.each_erasure(None, |record, erasure| {
                erasures.are_due(record, &erasure, Some(erasure.erased_at));
            })?;
        }
        self.look_after_imports();
        let due = self.due(asked_at, heads);
        let read = self.read_all(due);
        self.erasures.look_after();
        read
    }

    /// Reads every stream that is due. A record that cannot be read keeps back its own stream alone;
    /// the first of them is told of.
    fn read_all(&mut self, due: Vec<Due>) -> Result<(), StoreError> {
        let mut unread = None;
        for stream in due {
            match self.read(stream) {
                Ok(()) => {}
                // Who is away for one is away for all.
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => drop(unread.get_or_insert(error)),
            }
        }
        unread.map_or(Ok(()), Err)
    }

    /// What was known before the machine stood still is not new any more.
    fn look_at_clocks(&self, now: Instant) {
        let mut feed = self.shared.feed();
        let Some(feed) = feed.as_mut() else { return };
        if let Some(stood) = feed.clocks(now, self.site.wall()) {
            let seconds = stood.as_secs();
            tracing::warn!(seconds, "this machine stood still, or its clock was put forward");
            self.shared.tell(feed);
        }
    }

    /// Begins with everything that is on record; of other nodes that reached as far as `heads` say.
    fn fill(&self, asked_at: Instant, heads: &[(WriterId, u64)]) -> Result<(), StoreError> {
        let Following { index, stale_after, .. } = &self.shared.following;
        // What is imported here meanwhile must not be left out of what is mounted in the end.
        let turn = index.turn();
        let filled = self.reader.fill_unless(index, &|| self.shared.is_over())?;
        let (entries, without_list) = filled;
        drop(turn);
        if without_list > 0 {
            tracing::error!(without_list, "entries name lists for which there is no room here");
        }
        tracing::info!(entries, "everything that any node has on record is refused here");
        *self.shared.feed() = Some(Feed::new(asked_at, heads.iter().copied(), *stale_after));
        Ok(())
    }

    /// What is to be read, by how far each stream is.
    fn due(&self, asked_at: Instant, heads: Vec<(WriterId, u64)>) -> Vec<Due> {
        let mut feed = self.shared.feed();
        let Some(feed) = feed.as_mut() else { return Vec::new() };
        let met = feed.counters().regressions;
        let due = feed.heads(asked_at, heads);
        if feed.counters().regressions > met {
            let streams: Vec<String> = feed.lost().iter().map(WriterId::to_string).collect();
            tracing::error!(
                streams = streams.join(" "),
                "the database has lost records of other nodes that this one knows; a node forwards \
                 its own again while it runs"
            );
        }
        feed.import_due(self.imports.due_since());
        self.shared.tell(feed);
        due
    }

    fn look_after_imports(&mut self) {
        if self.imports.has_failed() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
        if self.imports.may_begin() {
            let (site, index) = (self.site.clone(), Arc::clone(&self.shared.following.index));
            self.imports.begin(move || mount_imports(&site, &index));
        }
    }

    /// Reads one stream as far as it goes.
    fn read(&mut self, Due { writer, mut after }: Due) -> Result<(), StoreError> {
        loop {
            let Page { records, is_last, unread } = self.reader.page(writer, after, PAGE_LEN)?;
            for (record, fact) in records {
                // Nobody waits for the feed while others are told of a record.
                let step = self.shared.feed().as_mut().map(|feed| feed.record(record));
                match step {
                    Some(Step::Apply) => self.apply(record, fact.as_ref()),
                    Some(Step::Known) => {}
                    Some(Step::Hole) | None => return Ok(()),
                }
                // Behind the index: a node that counts as fresh knows what it counts as known.
                if let Some(feed) = self.shared.feed().as_ref() {
                    self.shared.tell(feed);
                }
                after = record.seq;
            }
            if let Some(error) = unread {
                return Err(error);
            }
            if is_last || self.shared.is_over() {
                return Ok(());
            }
        }
    }

    /// Does to the index what a record of another node says.
    fn apply(&mut self, record: RecordId, fact: Option<&Fact>) {
        let Following { index, on_number, now, .. } = &self.shared.following;
        match fact {
            Some(Fact::OptOut(optout)) => {
                if let Err(error) = index.settle_optout(optout, record) {
                    tracing::warn!(%record, %error, "the index has no room for a list");
                }
                on_number(optout.number);
            }
            Some(Fact::Import(_)) => self.imports.are_due(now()),
            Some(Fact::Reversal(reversal)) => {
                for cancelled in &reversal.cancels {
                    index.reverse(reversal.number, cancelled.record, &cancelled.lists);
                }
            }
            // Whatever was sealed here up to now.
            Some(Fact::Erasure(erasure)) => self.erasures.are_due(record, erasure, None),
            // Without a fact its key was destroyed, and nobody is named any more.
            Some(Fact::Audio(_) | Fact::Checkpoint(_) | Fact::Confirmed(_)) | None => {}
        }
    }
}

/// Brings imports of other nodes into the index, on a thread of their own: fetching a registry and
/// making a base of it may take a minute, in which opt-outs come in as ever.
#[derive(Default)]
struct Imports {
    /// Since when there are some that the thread does not know of.
    waiting_since: Option<Instant>,
    /// Since when there are those that it is about.
    begun_since: Option<Instant>,
    /// Rounds to wait after a failure.
    pause: u32,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Imports {
    fn are_due(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Since when there is one that is not in force.
    fn due_since(&self) -> Option<Instant> {
        self.begun_since.or(self.waiting_since)
    }

    /// Whether a try has come to its end, in vain; it is made again after a pause.
    fn has_failed(&mut self) -> bool {
        self.pause = self.pause.saturating_sub(1);
        let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) else { return false };
        match thread.join() {
            Ok(Ok(())) => {
                self.begun_since = None;
                tracing::info!("other nodes' imports are in the index");
                return false;
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "other nodes' imports are not in the index yet");
            }
            Err(_panic) => {
                tracing::error!("other nodes' imports are not in the index yet: a panic");
            }
        }
        self.put_off();
        true
    }

    fn may_begin(&self) -> bool {
        self.waiting_since.is_some() && self.pause == 0 && self.thread.is_none()
    }

    /// Has `mount` bring in all that wait.
    fn begin(&mut self, mount: impl FnOnce() -> Result<(), StoreError> + Send + 'static) {
        self.begun_since = self.waiting_since.take();
        self.thread = std::thread::Builder::new().name("imports".to_owned()).spawn(mount).ok();
        if self.thread.is_none() {
            self.put_off();
        }
    }

    fn put_off(&mut self) {
        self.waiting_since = self.begun_since.take().or(self.waiting_since);
        self.pause = IMPORTS_PAUSE_ROUNDS;
    }
}

/// Makes the base of all imports on record, with the segments that other nodes wrote, and of those
/// that only this node knows yet.
fn mount_imports(site: &Site, index: &Index) -> Result<(), StoreError> {
    let _turn = index.turn();
    let reader = site.reader()?;
    let on_record = reader.imports()?;
    let is_doubted = index.doubts(&on_record);
    let imports = index.with_known(on_record);
    let base = reader.build_base(&imports, &mut |_done, _of| {})?;
    index.mount(base);
    index.take_imports(&imports);
    if is_doubted {
        return Ok(());
    }
    if let Err(error) = index.with_base(|base| reader.save_base(base, &imports)) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the imported numbers cannot be kept for the next start");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::server::wait_for;
    use crate::store::tests::stand::any_moment;

    #[test]
    fn imports_that_fail_or_panic_stay_due_since_they_came_and_are_tried_again() {
        let came = any_moment();
        let later = came + Duration::from_secs(9);
        let mut imports = Imports::default();
        assert!(!imports.may_begin());
        imports.are_due(came);
        type Work = fn() -> Result<(), StoreError>;
        let works: [(Work, bool); 3] = [
            (|| Err(StoreError::Closed), true),
            (|| panic!("the test has the thread panic"), true),
            (|| Ok(()), false),
        ];
        for (work, fails) in works {
            assert_eq!(imports.due_since(), Some(came));
            assert!(imports.may_begin());
            imports.begin(work);
            imports.are_due(later);
            assert!(!imports.may_begin(), "one at a time");
            let is_over = || imports.thread.as_ref().is_some_and(JoinHandle::is_finished);
            wait_for("the thread ends", is_over);
            assert_eq!(imports.has_failed(), fails);
            while fails && !imports.may_begin() {
                assert!(!imports.has_failed(), "a failure is told once");
            }
        }
        assert_eq!(imports.due_since(), Some(later), "what came meanwhile is still to come in");
    }
}
