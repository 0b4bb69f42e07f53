//! The publisher: puts into the shared database what it lacks of the segments that are here.
//!
//! Whoever imports has done so before the record was made. But a server may lose pieces with a
//! restore, or take the place of one that had them, and a node may have been ended between. So every
//! node looks after all imports whose segments it has: at its start, when the database is back, and
//! every [`LOOK_EVERY`]. On a thread and a connection of its own, since a registry may take minutes,
//! in which opt-outs go on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::StoreError;
use super::site::Site;
use super::watch::OnEvent;
use super::watch::StoreEvent;
use super::watch::Watch;

/// How often what the server has is looked through without an occasion: one question a segment.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// How soon after a failure it is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// The publisher's thread, with its handle.
#[derive(Debug)]
pub(super) struct Publisher {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts the thread, where the database of `site` is shared; and what is to be told in place of
    /// `on_event`, so that it hears that the database is back.
    pub(super) fn start(
        site: &Site,
        on_event: OnEvent,
    ) -> Result<(Option<Self>, OnEvent), StoreError> {
        if !site.is_shared() {
            return Ok((None, on_event));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let (site, ended) = (site.clone(), Arc::clone(&is_over));
        let watch = Watch::new("publish", &on_event);
        let thread = std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(move || {
                let _watch = watch;
                let mut is_failing = false;
                while !ended.load(Ordering::Acquire) {
                    let looked = look(&site, &ended);
                    note(&looked, &mut is_failing);
                    // Woken by `wake`; once too often is one question a segment.
                    std::thread::park_timeout(if is_failing { RETRY_EVERY } else { LOOK_EVERY });
                }
            })
            .map_err(StoreError::io("start", "the publisher"))?;
        let waker = thread.thread().clone();
        let listening: OnEvent = Arc::new(move |event| {
            if matches!(event, StoreEvent::DatabaseBack) {
                waker.unpark();
            }
            on_event(event);
        });
        Ok((Some(Self { is_over, thread: Some(thread) }), listening))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

fn look(site: &Site, is_over: &AtomicBool) -> Result<(), StoreError> {
    let mut database = site.database()?;
    let mut octets = 0;
    database.publish_all(&mut |put| {
        octets += put;
        !is_over.load(Ordering::Acquire)
    })?;
    if octets > 0 {
        tracing::info!(octets, "segments of imports that the database lacked are there");
    }
    Ok(())
}

/// Says once that it fails, until it works again.
fn note(looked: &Result<(), StoreError>, is_failing: &mut bool) {
    let was_failing = std::mem::replace(is_failing, looked.is_err());
    if let (Err(error), false) = (looked, was_failing) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, "segments of imports cannot be handed to the database now");
    }
}
