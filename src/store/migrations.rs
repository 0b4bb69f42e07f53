//! The tables, version by version: the same text for both databases.

refinery::embed_migrations!("src/store/migrations");

pub(super) use migrations::runner;

/// The version that this program needs.
pub(super) fn newest() -> i32 {
    let all = runner();
    all.get_migrations().iter().map(|migration| migration.version()).max().unwrap_or(0)
}
