//! Arguments of `verify`.

use std::path::PathBuf;

use clap::Args;

use crate::suppression::proof::PublicKey;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Bundles of `bajavoz proof`, or files of `bajavoz proof --heads`.
    #[arg(value_name = "FILE", required_unless_present = "store", conflicts_with = "store")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// A whole store instead: the folder of [store] path, or a copy of it.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) store: Option<PathBuf>,
    /// A file of `bajavoz proof --heads` that the store must still agree with.
    #[arg(long, value_name = "FILE", requires = "store")]
    pub(in crate::cli) heads: Option<PathBuf>,
    /// The store's public key, as `bajavoz proof --key` has printed it; several where the files are
    /// of several engines.
    #[arg(long = "key", value_name = "PUBLICKEY", value_delimiter = ',')]
    pub(in crate::cli) keys: Vec<PublicKey>,
}

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  bajavoz verify proof.jsonl --key \"$(cat key-of-the-store)\"
  bajavoz verify madrid-1.jsonl madrid-2.jsonl --key KEY1 --key KEY2
  bajavoz verify proof.jsonl --json | jq -r 'select(.kind == \"fault\") | .message'
  bajavoz verify --store /var/backups/bajavoz       a copy of a store, journal against database
  bajavoz verify --store COPY --heads 2026-11-22.heads

Needs no engine and no configuration. Without --key it shows that the bundle is whole and names the
key it was signed by; that this is the store's key you must know from elsewhere. A store is only
read, and must not be in use; its call records are in no chain and are not looked at. With --heads
everything must still be there that was there when they were made: take heads first and the copy
after, since a copy lacks what was written later, the signature of the heads among it.
Exits with 0 when it is whole, 1 when not, 2 when the file is no bundle; of several files with what is
worst.";
