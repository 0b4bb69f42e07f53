//! What can be told to a running engine, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::admin::Status;
use crate::call::Rules;
use crate::model::Number;

/// What a shard is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Decide new calls by these rules.
    Reload(Arc<Rules>),
    /// Take no new call; hang up what is left after `patience`; then end.
    Drain {
        /// How long running calls may go on.
        patience: Duration,
        /// Rings when no call is left.
        done: oneshot::Sender<()>,
    },
    /// The index refuses this number from now on: give up what rings for it.
    OptedOut(Number),
    /// Say how it stands.
    Status(oneshot::Sender<Status>),
    /// End at once.
    Stop,
    /// Panic, or have the media thread do so.
    #[cfg(test)]
    Panic {
        /// Whose thread.
        thread: &'static str,
    },
}
