//! What can be told to a running engine, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::call::Rules;

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
    /// Say how it stands.
    Status(oneshot::Sender<Status>),
    /// End at once.
    Stop,
}

/// How a shard stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Calls in progress, those among them that only wait for their record.
    pub calls: usize,
    /// RTP port pairs in use.
    pub ports_in_use: usize,
    /// RTP port pairs there are; nothing when the system chooses them.
    pub ports_size: Option<usize>,
    /// Whether no new call is taken.
    pub is_draining: bool,
}
