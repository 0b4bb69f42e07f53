//! Arguments of the verbs that a running engine answers.

use std::time::Duration;

use clap::Args;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// List the calls in progress, the oldest first, instead of counting them: when it
    /// began, our id, dialer, campaign, mode, and the Call-ID that the dialer chose.
    #[arg(long)]
    pub(in crate::cli) calls: bool,
}

pub(super) const RELOAD_EXAMPLES: &str = "\
Examples:
  bajavoz check && bajavoz reload
  bajavoz reload --json | jq -r 'select(.kind == \"finding\") | .message'

New calls are decided by the new files, running ones go on by the old. Exits with 0 when they are in
force, 3 when no engine runs, and 4 when the engine refuses them and goes on as it was; what is wrong
with them is said.";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  bajavoz status
  bajavoz status --calls --json | jq -r .campaign | sort | uniq -c";

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Drain {
    /// How many seconds running calls may go on; limits.drain unless given.
    #[arg(long, value_name = "SECONDS")]
    pub(in crate::cli) patience: Option<u64>,
}

impl Drain {
    /// What the engine is told.
    pub(in crate::cli) fn patience_ms(&self) -> Option<u64> {
        let millis = |seconds| Duration::from_secs(seconds).as_millis();
        self.patience.map(|seconds| u64::try_from(millis(seconds)).unwrap_or(u64::MAX))
    }
}

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  bajavoz drain                  wait as long as limits.drain says, then hang up
  bajavoz drain --patience 0     hang up at once

Returns when the last call has ended and the engine with it.";
