//! Arguments of `verify`.

use std::path::PathBuf;

use clap::Args;

use crate::suppression::proof::PublicKey;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Bundles of `bajavoz proof`, or files of `bajavoz proof --heads`.
    #[arg(value_name = "FILE", required_unless_present_any = ["store", "server"])]
    #[arg(conflicts_with_all = ["store", "server", "heads"])]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// A whole store instead: the folder of [store] path, or a copy of it.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) store: Option<PathBuf>,
    /// The store with the rows of the PostgreSQL server that the configuration names; the engine may
    /// run meanwhile. Without --store, the folder of the configuration's [store] path.
    #[arg(long)]
    pub(in crate::cli) server: bool,
    /// A file of `bajavoz proof --heads` that the store must still agree with.
    #[arg(long, value_name = "FILE")]
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
  bajavoz verify --server --config /etc/bajavoz     this engine's journal against its server's rows

Needs no engine, and no configuration but for --server. Without --key it shows that the bundle is whole
and names the key it was signed by; that this is the store's key you must know from elsewhere. A store
is only read, and must not be in use but for --server; its call records are in no chain and are not
looked at. With --heads everything must still be there that was there when they were made: take heads
first and the copy after, since a copy lacks what was written later, the signature of the heads among it.
With --server the server is read as it stands at one moment, and the journal behind that. Of what other
engines wrote, their chains and signatures are checked and that nothing lacks its rows; their evidence
they alone can open: run it on each.
Exits with 0 when it is whole, 1 when not, 2 when the file is no bundle or the server's tables are of
another version, 3 when the server cannot be reached; of several files with what is worst.";
