//! The tables, version by version: the same text for both databases.

refinery::embed_migrations!("src/store/migrations");

/// All of them, in one transaction: a table that is made without its version being noted would be
/// made again at every start, which fails.
pub(super) fn runner() -> refinery::Runner {
    migrations::runner().set_grouped(true)
}

/// The version that this program needs.
pub(super) fn newest() -> i32 {
    let all = runner();
    all.get_migrations().iter().map(|migration| migration.version()).max().unwrap_or(0)
}
