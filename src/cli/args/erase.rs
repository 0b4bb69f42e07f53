//! The arguments of `erase`.

use clap::Args;

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Erase {
    /// The number, as +34600123456 or as people write it in node.default-region; or as lists of the
    /// store show it, hmac: and 16 digits.
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) number: String,
    /// Why, for the record, which stays for ever: without the number.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Who erases, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) actor: Option<String>,
    /// Only say what would be erased.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

pub(super) const ERASE_EXAMPLES: &str = "\
Examples:
  bajavoz erase 600123456 --dry-run
  bajavoz erase 600123456 --reason 'request 2026-117'

The number's keys are destroyed and its audio is removed, on every engine of one database: nothing of
it can be read any more, in records, calls or backups that are made from now on. It stays refused by
its hash, and `verify` holds. Only a store with number-storage = \"hmac\" can do that; copies of before
hold what they held. Exits with 0 when it is erased, was before or, with --dry-run, could be, and with
1 when there is nothing of it to erase.";
