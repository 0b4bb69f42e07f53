//! Arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Backup {
    /// The folder to make; it must not be there.
    #[arg(value_name = "FOLDER")]
    pub(in crate::cli) folder: PathBuf,
}

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  bajavoz backup /mnt/backup/2026-11-22
  bajavoz backup /mnt/backup/2026-11-22 --json | jq .opt_outs

The copy holds the journal, the keys and the call records. Whoever has it can read who opted out:
keep it as private as the store. Exits with 1 when the journal is damaged.";

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The folder that `backup` made.
    #[arg(value_name = "FOLDER")]
    pub(in crate::cli) folder: PathBuf,
    /// Verify the backup and change nothing.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Leave the call records out, where they are damaged; every opt-out is put back.
    #[arg(long)]
    pub(in crate::cli) without_calls: bool,
}

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  bajavoz restore /mnt/backup/2026-11-22 --dry-run    verify it, change nothing
  bajavoz restore /mnt/backup/2026-11-22

Every record is checked: its place in the chain, its key, and that none is missing. Makes the folder
of [store] path, which must be missing or empty. Exits with 1 when the backup is not whole.";
