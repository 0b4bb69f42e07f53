//! What reaches a signalling shard from other threads: one bounded queue and a bell.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;

use tokio::sync::Notify;

use super::control::Command;
use crate::call::Acknowledgement;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::model::RecordId;

/// Most messages that wait for a shard: half a second of 32,000 keys a second.
const INBOX_LEN_MAX: usize = 16_384;

/// A message for a shard.
#[derive(Debug)]
pub(super) enum ShardInput {
    /// A call's media has something to tell.
    Voice(VoiceId, VoiceEvent),
    /// RTP ports that a media thread has closed.
    PortClosed(SocketAddr),
    /// The ledger answered.
    Acknowledgement(Acknowledgement),
    /// A press is on record by now, of which its call was told that it is not.
    WrittenLate(RecordId),
    /// Somebody steers the engine.
    Command(Command),
}

/// The end that other threads hold.
#[derive(Clone, Debug)]
pub(super) struct InboxSender {
    queue: SyncSender<ShardInput>,
    bell: Arc<Notify>,
    full: Arc<AtomicU64>,
}

/// The end that the shard holds.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: mpsc::Receiver<ShardInput>,
    bell: Arc<Notify>,
    full: Arc<AtomicU64>,
}

/// A new inbox.
pub(super) fn inbox() -> (InboxSender, Inbox) {
    let (sender, receiver) = mpsc::sync_channel(INBOX_LEN_MAX);
    let bell = Arc::new(Notify::new());
    let full = Arc::new(AtomicU64::new(0));
    let sender = InboxSender { queue: sender, bell: Arc::clone(&bell), full: Arc::clone(&full) };
    (sender, Inbox { queue: receiver, bell, full })
}

impl InboxSender {
    /// Sends, waiting for room where there is none: for threads that may wait.
    pub(super) fn send(&self, input: ShardInput) {
        // A shard that is gone has hung up its calls; what comes after it has no addressee.
        let _ = self.queue.send(input);
        self.bell.notify_one();
    }

    /// Sends what waits in `backlog`, in order, without ever waiting or losing anything: what
    /// finds no room stays there. The bell rings once for all of it, since a shard that sleeps
    /// costs as much to wake as a packet to send.
    pub(super) fn send_what_fits(&self, backlog: &mut VecDeque<ShardInput>) {
        let before = backlog.len();
        while let Some(next) = backlog.pop_front() {
            match self.queue.try_send(next) {
                Ok(()) => {}
                Err(TrySendError::Full(kept)) => {
                    self.full.fetch_add(1, Ordering::Relaxed);
                    backlog.push_front(kept);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => backlog.clear(),
            }
        }
        if backlog.len() < before {
            self.bell.notify_one();
        }
    }
}

impl Inbox {
    /// How often there was no room.
    pub(super) fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    /// Waits until something may have come.
    pub(super) async fn ring(&self) {
        self.bell.notified().await;
    }

    /// The next message, if there is one.
    pub(super) fn next(&self) -> Option<ShardInput> {
        self.queue.try_recv().ok()
    }
}
