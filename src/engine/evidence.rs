//! The audio around presses on its way to the disk, on a thread of its own: neither a call nor the
//! journal waits for it.
//!
//! Each clip becomes a file that is named by its SHA-256, durable before the fact that names it is
//! submitted. What cannot be kept is said by the same fact.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use super::error::EngineError;
use crate::media::clip::Clip;
use crate::model::RecordId;
use crate::net::clock;
use crate::store::Store;
use crate::suppression::Audio;
use crate::suppression::AudioLoss;
use crate::suppression::AudioResult;
use crate::suppression::Fact;
use crate::suppression::FactLedger;

/// Clips that wait at most, each 480 kB at most: two seconds of the busiest node's opt-outs, which
/// is far longer than a sound disk takes for one.
const QUEUE_LEN_MAX: usize = 64;

/// What is submitted here is answered to nobody; no call draws it, as theirs have 63 bits.
const TOKEN: u64 = u64::MAX;

/// A clip, and the opt-out that it is evidence of.
type Job = (RecordId, Box<Clip>);

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Evidence {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    desk: Desk,
}

/// Where facts about audio go.
#[derive(Clone, Debug)]
struct Desk {
    store: Arc<Store>,
    lost: Arc<AtomicU64>,
}

impl Evidence {
    /// Starts the thread.
    pub(super) fn start(store: Arc<Store>) -> Result<Self, EngineError> {
        let (queue, jobs): (_, Receiver<Job>) = sync_channel(QUEUE_LEN_MAX);
        let desk = Desk { store, lost: Arc::default() };
        let own = desk.clone();
        let thread = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || {
                for (record, clip) in jobs {
                    own.keep(record, &clip);
                }
            })
            .map_err(EngineError::Thread)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), desk })
    }

    /// Keeps the audio of the opt-out `record`, a moment later; nothing was heard without `clip`.
    pub(super) fn keep(&self, record: RecordId, clip: Option<Box<Clip>>) {
        let Some(clip) = clip else { return self.desk.lose(record, AudioLoss::Unheard) };
        let Some(queue) = &self.queue else { return self.desk.lose(record, AudioLoss::Busy) };
        match queue.try_send((record, clip)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.desk.lose(record, AudioLoss::Busy);
            }
        }
    }

    /// Opt-outs whose audio was wanted and is not kept.
    pub(super) fn lost(&self) -> u64 {
        self.desk.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        // What waits is kept first: the store is still there, since the thread holds it.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of its own has cost audio, and is logged.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn keep(&self, record: RecordId, clip: &Clip) {
        let wav = clip.to_wav();
        let millis = |of: std::time::Duration| u32::try_from(of.as_millis());
        let kept = |sha256| AudioResult::Kept {
            sha256,
            octets: wav.len() as u64,
            duration_ms: millis(clip.duration()).unwrap_or(u32::MAX),
            before_ms: millis(clip.before_mark()).unwrap_or(u32::MAX),
        };
        let said = self.store.keep_audio_and(&wav, |sha256| self.say(record, kept(sha256)));
        if let Err(error) = said {
            tracing::warn!(%record, %error, "the audio around a press is not kept");
            self.lose(record, AudioLoss::Disk);
        }
    }

    fn lose(&self, record: RecordId, why: AudioLoss) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.say(record, AudioResult::Lost { why });
    }

    fn say(&self, record: RecordId, result: AudioResult) {
        let fact = Fact::Audio(Audio { record, at: clock::unix_now(), result });
        if let Err(error) = self.store.submit(TOKEN, fact) {
            tracing::warn!(%record, %error, "nothing is on record of the audio around a press");
        }
    }
}
