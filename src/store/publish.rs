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
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
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
    wake: SyncSender<()>,
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
        let watch = Watch::new("publish", &on_event);
        let site = site.clone();
        let this = Self::looking(move |is_over| {
            let _watch = &watch;
            look(&site, is_over)
        })?;
        let wake = this.wake.clone();
        let listening: OnEvent = Arc::new(move |event| {
            if matches!(event, StoreEvent::DatabaseBack) {
                // One that is full already wakes it.
                let _ = wake.try_send(());
            }
            on_event(event);
        });
        Ok((Some(this), listening))
    }

    /// Starts the thread, which looks by `look`; that is told where it should not go on.
    fn looking(
        look: impl FnMut(&AtomicBool) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let is_over = Arc::new(AtomicBool::new(false));
        // Whoever wakes it while it looks is not forgotten, whatever the look waits for itself.
        let (wake, woken) = sync_channel(1);
        let ended = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(move || keep_looking(look, &ended, &woken))
            .map_err(StoreError::io("start", "the publisher"))?;
        Ok(Self { is_over, wake, thread: Some(thread) })
    }
}

/// Looks at once, whenever it is woken and when it is time again, until it is over.
fn keep_looking(
    mut look: impl FnMut(&AtomicBool) -> Result<(), StoreError>,
    is_over: &AtomicBool,
    woken: &Receiver<()>,
) {
    let mut is_failing = false;
    while !is_over.load(Ordering::Acquire) {
        note(&look(is_over), &mut is_failing);
        // Once too often is one question a segment.
        let _ = woken.recv_timeout(if is_failing { RETRY_EVERY } else { LOOK_EVERY });
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = self.wake.try_send(());
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Longer than any machine takes to end a thread, and much less than [`LOOK_EVERY`].
    const AT_LAST: Duration = Duration::from_secs(60);

    /// One of the waits in which who asks a server tries again.
    const PAUSE: Duration = Duration::from_millis(10);

    #[test]
    fn a_store_that_is_closed_while_it_looks_does_not_wait_for_the_next_look() {
        let (begun, looks) = channel();
        let publisher = Publisher::looking(move |is_over| {
            begun.send(()).unwrap();
            // Whatever wakes the thread is taken by a wait of the look itself.
            while !is_over.load(Ordering::Acquire) {
                std::thread::park_timeout(PAUSE);
            }
            (0..20).for_each(|_pause| std::thread::park_timeout(PAUSE));
            Ok(())
        });
        let publisher = publisher.unwrap();
        looks.recv().unwrap();
        let (ended, end) = channel();
        let closing = std::thread::spawn(move || {
            drop(publisher);
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(AT_LAST), Ok(()), "nothing woke it");
        closing.join().unwrap();
    }
}
