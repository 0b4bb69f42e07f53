//! Answers of the ledger to facts that people entered, told apart from those of calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;

use crate::suppression::Ack;

/// The bit that tokens of the desk have and those of calls never do.
const DESK: u64 = 1 << 63;

/// Who at the desk waits for which answer; clones share it.
///
/// The store is opened with a callback for its answers before there is a desk, so that this is
/// made first and handed to both.
#[derive(Clone, Debug, Default)]
pub struct Receipts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, SyncSender<Ack>>>,
}

impl Receipts {
    /// Hands `ack` to whoever waits for it at the desk; false when it belongs to a call.
    ///
    /// Never blocks, as the commit thread calls it. An answer whose asker has given up is dropped:
    /// the fact is in the journal or not, whoever listens.
    pub fn deliver(&self, ack: &Ack) -> bool {
        if ack.token & DESK == 0 {
            return false;
        }
        if let Some(asker) = self.waiting().remove(&ack.token) {
            // The one place of the channel is free; it fails only when the asker is gone.
            let _ = asker.try_send(ack.clone());
        }
        true
    }

    /// A token to submit a fact with, and where its answer will come.
    pub(super) fn expect(&self) -> (u64, Receiver<Ack>) {
        let token = DESK | self.0.next.fetch_add(1, Ordering::Relaxed);
        let (asker, answer) = sync_channel(1);
        self.waiting().insert(token, asker);
        (token, answer)
    }

    /// Nobody waits for the answer to `token` any more.
    pub(super) fn forget(&self, token: u64) {
        self.waiting().remove(&token);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, SyncSender<Ack>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppression::LedgerError;

    fn ack(token: u64) -> Ack {
        Ack { token, result: Err(LedgerError::Closed) }
    }

    #[test]
    fn answers_of_calls_are_left_alone_and_the_others_find_their_asker() {
        let receipts = Receipts::default();
        let (first, answer) = receipts.expect();
        let (second, other) = receipts.expect();
        assert!(!receipts.deliver(&ack(7)), "a call's");
        assert!(receipts.clone().deliver(&ack(first)));
        assert_eq!(answer.try_recv().map(|ack| ack.token), Ok(first));
        assert!(receipts.deliver(&ack(first)), "a second answer is nobody's, but the desk's");
        assert!(other.try_recv().is_err());
        receipts.forget(second);
        assert!(receipts.deliver(&ack(second)));
        assert!(other.try_recv().is_err());
        assert_ne!(first, second);
    }
}
