//! Opt-outs as append-only facts, the lists they stand on, and the index that refuses calls.
