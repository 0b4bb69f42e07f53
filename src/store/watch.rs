//! What a store tells its owner unasked: that the journal fails or works again, that a thread died.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::model::RecordId;
use crate::suppression::LedgerError;
use crate::suppression::OptOut;

/// What a store tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The database is written again, and knows everything that the journal does.
    DatabaseBack,
    /// The database cannot be written: facts wait in the journal, and nothing is lost.
    DatabaseFailed,
    /// A thread of the store has panicked: `commit`, `projection`, `follow` or `publish`; the store is
    /// of no more use.
    Died(&'static str),
    /// The journal is written again, and so are the opt-outs that were refused meanwhile.
    JournalBack,
    /// The journal cannot be written: every fact is refused until it is back.
    JournalFailed(LedgerError),
    /// An opt-out is durable whose submitter had been told that it is not.
    WrittenLate {
        /// The opt-out, with the time when it was pressed.
        optout: Box<OptOut>,
        /// Where it is.
        record: RecordId,
    },
}

/// Hears it, on a thread of the store: it must hand the news on and return.
pub type OnEvent = Arc<dyn Fn(StoreEvent) + Send + Sync>;

/// Kept by a thread of the store while it runs: a panic drops it, and is told.
pub(super) struct Watch {
    thread: &'static str,
    on_event: OnEvent,
}

impl Watch {
    pub(super) fn new(thread: &'static str, on_event: &OnEvent) -> Self {
        Self { thread, on_event: Arc::clone(on_event) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.on_event)(StoreEvent::Died(self.thread));
        }
    }
}

/// Why the journal cannot be written now, if it cannot; shared by who writes and who submits.
#[derive(Debug, Default)]
pub(super) struct Failure(Mutex<Option<LedgerError>>);

impl Failure {
    pub(super) fn current(&self) -> Option<LedgerError> {
        *self.lock()
    }

    /// Whether there was none before; the first stands.
    pub(super) fn raise(&self, failure: LedgerError) -> bool {
        let mut current = self.lock();
        let is_first = current.is_none();
        current.get_or_insert(failure);
        is_first
    }

    pub(super) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<LedgerError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
