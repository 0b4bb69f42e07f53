//! Arguments of `demo`.

use clap::Args;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// End when the calls are shown; without it the engine stays up until Ctrl-C.
    #[arg(long)]
    pub(in crate::cli) once: bool,
}

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  bajavoz demo                   see it, then call the engine yourself; Ctrl-C ends it
  bajavoz demo --once --json | jq '.calls[] | {number, key_ms, durable_ms, confirmed_ms}'

With --json the calls, records, refusals and the verdict are one document. Exits with 0 when all
went as it must, and with 1 when not.";
