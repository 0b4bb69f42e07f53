//! Threads, shards, reload and drain: the wiring of a running engine.
