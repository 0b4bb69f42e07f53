//! The threads that an engine cannot do without: when one of them dies, the engine ends.
//!
//! What a call does wrong is caught where it happens and loses that call. A panic elsewhere in a
//! thread takes the thread with it: calls would go on without media, or opt-outs without a disk.
//! So whoever runs the engine is told, hangs up, and ends with an error for the supervisor.

use tokio::sync::watch;

/// How an engine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    /// All its threads live.
    #[default]
    Running,
    /// It was drained or stopped.
    Ended,
    /// This thread panicked.
    Died(&'static str),
}

/// Where the threads tell.
#[derive(Clone, Debug)]
pub(super) struct Vital(watch::Sender<Life>);

impl Vital {
    /// With the end that hears it.
    pub(super) fn new() -> (Self, watch::Receiver<Life>) {
        let (sender, receiver) = watch::channel(Life::Running);
        (Self(sender), receiver)
    }

    /// Keep what this returns while `thread` runs: a panic drops it, and is told.
    pub(super) fn watch(&self, thread: &'static str) -> Watch {
        Watch { vital: self.clone(), thread }
    }

    /// A panic has ended `thread`; the first to die is named.
    pub(super) fn died(&self, thread: &'static str) {
        self.leave(Life::Died(thread));
    }

    /// The engine ended as it should.
    pub(super) fn ended(&self) {
        self.leave(Life::Ended);
    }

    fn leave(&self, last: Life) {
        self.0.send_if_modified(|life| {
            let is_first = *life == Life::Running;
            if is_first {
                *life = last;
            }
            is_first
        });
    }
}

/// A thread under watch.
#[derive(Debug)]
pub(super) struct Watch {
    vital: Vital,
    thread: &'static str,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.vital.died(self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_to_die_is_named_and_one_that_ends_is_not() {
        let (vital, life) = Vital::new();
        drop(vital.watch("media"));
        assert_eq!(*life.borrow(), Life::Running);
        for thread in ["commit", "media"] {
            let watch = vital.watch(thread);
            let dying = std::thread::spawn(move || {
                let _watch = watch;
                panic!("the test asked for it");
            });
            assert!(dying.join().is_err());
            vital.ended();
            assert_eq!(*life.borrow(), Life::Died("commit"));
        }
    }
}
