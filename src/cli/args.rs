//! What may be typed: the verbs, their arguments, and the help that teaches them.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

mod backup;
mod decode;
mod demo;
mod erase;
mod explain;
mod export;
mod import;
mod optout;
mod proof;
mod retention;
mod steer;
mod store;
mod verify;

pub(super) use backup::Backup;
pub(super) use backup::Restore;
pub(super) use decode::Decode;
pub(super) use demo::Demo;
pub(super) use erase::Erase;
pub(super) use explain::Explain;
pub(super) use export::Export;
pub(super) use export::Form;
pub(super) use import::Import;
pub(super) use import::ImportForm;
pub(super) use optout::Add;
pub(super) use optout::Optout;
pub(super) use optout::Reverse;
pub(super) use optout::Show;
pub(super) use proof::Proof;
pub(super) use steer::Drain;
pub(super) use steer::Status;
pub(super) use store::Copy;
pub(super) use store::Migrate;
pub(super) use store::StoreVerb;
pub(super) use verify::Verify;

use backup::BACKUP_EXAMPLES;
use backup::RESTORE_EXAMPLES;
use decode::DECODE_EXAMPLES;
use demo::DEMO_EXAMPLES;
use erase::ERASE_EXAMPLES;
use explain::EXPLAIN_EXAMPLES;
use import::IMPORT_EXAMPLES;
use proof::PROOF_EXAMPLES;
use retention::RETENTION_EXAMPLES;
use steer::DRAIN_EXAMPLES;
use steer::RELOAD_EXAMPLES;
use steer::STATUS_EXAMPLES;
use verify::VERIFY_EXAMPLES;

/// Telephony opt-out engine: gates calls by suppression lists, hears the key, makes it durable.
#[derive(Debug, Parser)]
#[command(name = "bajavoz", version, propagate_version = true, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(super) struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub(super) common: Common,
    /// The verb.
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The configuration folder, its *.toml and those of its folder campaigns [default: config].
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON for programs, one object a line; errors too, on standard error.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The engine's admin socket, where it is not admin.sock in the folder of [store] path.
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

impl Common {
    /// The configuration folder.
    pub(super) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or_else(|| Path::new("config"))
    }
}

const EXAMPLES: &str = "\
Examples:
  bajavoz check                                     say everything that is wrong in config/
  bajavoz explain +34600123456 --campaign promo     may it be called, and by what is that decided
  bajavoz optout add 600123456 --list robinson      never call this number again
  bajavoz import robinson.csv --list robinson       put a file of numbers on a list
  bajavoz optout export > optouts.csv               everybody who opted out, with three times each
  bajavoz proof 600123456 --out proof.jsonl         what an auditor can check without us
  bajavoz verify proof.jsonl                        is it whole, and what does it say
  bajavoz decode call.pcap                          which keys would we have heard in this capture

Exit codes:
  0   done; the answer is yes
  1   the answer is no: errors found, must not be called, nothing on record, no key heard
  2   what was typed cannot be used, or a file cannot be read
  3   no engine, or no server, can be reached
  4   refused: by the engine, or since an engine holds the store
  70  a defect of bajavoz

Verbs about lists ask the running engine over its admin socket (mode 0600). Where none runs they
open the store themselves, and refuse while another process holds it.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// See it work: engine, dialer, carrier and phones in one process, on loopback.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Run the engine in the foreground, until SIGTERM or `bajavoz drain` has drained it.
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// Check the configuration, whole, and say everything that is wrong with it.
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Say whether a campaign may call a number, and which list, record and line decide it.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Put the numbers of a file on a list: CSV, a number a line, or a national registry.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Enter, reverse, show and export opt-outs.
    #[command(subcommand)]
    Optout(Optout),
    /// Destroy what can be read of a number; it stays refused.
    #[command(after_help = ERASE_EXAMPLES)]
    Erase(Erase),
    /// Say what would be deleted today of evidence and call records, since it was kept long enough.
    #[command(after_help = RETENTION_EXAMPLES)]
    Retention,
    /// Write what is on record of a number as a signed bundle, which anybody can check offline.
    #[command(after_help = PROOF_EXAMPLES)]
    Proof(Proof),
    /// Check a bundle, or a whole store, and name exactly the record that was touched or is missing.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Say how the running engine stands, or which calls it has.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// End the running engine: no new calls, running ones may finish.
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(Drain),
    /// Let the running engine read its configuration anew; all of it or nothing.
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload,
    /// Copy the store to a new folder, and verify the copy; the engine may run on.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(Backup),
    /// Verify a backup and make the store from it; no engine may have the store.
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Restore),
    /// Look after the database behind the journal: a file, or a PostgreSQL server.
    #[command(subcommand)]
    Store(StoreVerb),
    /// Hear the keys in a WAV file or a capture, by the very code that listens to calls.
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(Decode),
}

const RUN_EXAMPLES: &str = "\
Examples:
  bajavoz run --config /etc/bajavoz
  kill -HUP PID                  read the configuration anew; all of it or nothing
  kill -TERM PID                 no new calls; a second one hangs up what is left

Logs go to standard error. Health and metrics are served on [http] bind.";

const CHECK_EXAMPLES: &str = "\
Examples:
  bajavoz check --config /etc/bajavoz
  bajavoz check --json | jq -r 'select(.kind == \"finding\") | \"\\(.file):\\(.line) \\(.message)\"'

Where registries are configured and the store or an engine is at hand, it says how old they are.
Exits with 0 when the engine would start with these files on the store that is there, 1 when not, 2
when there is nothing to read.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
