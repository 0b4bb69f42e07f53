//! Arguments of `proof`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `proof`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Proof {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["key", "heads"])]
    pub(in crate::cli) number: Option<String>,
    /// Where to write the bundle, a file that is not there yet; standard output unless given.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Print the store's public key instead.
    #[arg(long, conflicts_with_all = ["number", "heads", "out"])]
    pub(in crate::cli) key: bool,
    /// Write where each stream of the store ends instead, signed: keep it elsewhere.
    #[arg(long, conflicts_with = "number")]
    pub(in crate::cli) heads: bool,
}

pub(super) const PROOF_EXAMPLES: &str = "\
Examples:
  bajavoz proof +34600123456 --out proof.jsonl
  bajavoz proof --key            the public key; give it to auditors before they need it
  bajavoz proof --heads --out /mnt/elsewhere/$(date +%F).heads

A bundle has every record of the number with its evidence, and the hash chain from each to the next
signed checkpoint. Records of other people in between are in it without saying whom they are about. A number
that stands on a list by an import comes with its place in the import's file of numbers.
Heads are one signed line that says how each stream of the store ended. Without one from elsewhere
nobody can tell that the end of the newest stream was cut off together with what was signed there.
Exits with 1 when nothing is on record of the number. Who may read the bundle reads the number.";
