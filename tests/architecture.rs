//! The doors of the house: which room may name which room, which foreign crate, and what the
//! pure rooms must never reach for.
//!
//! Every file under `src` is parsed with `syn` and every path in it is walked, not only the
//! `use` lines: paths in expressions, types, patterns, attributes and inside macros, after the
//! file's own imports and aliases are expanded. The law is [`table`]; changing it is a design
//! decision with a commit of its own. The checker itself is tested by planting violations.

#[path = "architecture/check.rs"]
mod check;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/table.rs"]
mod table;
#[path = "architecture/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use check::Finding;
use table::{DEV_ONLY, FOREIGN, Kind, ROOMS};

/// Lines of production code (before `mod tests`) that a file may have.
const FILE_LINES_MAX: usize = 800;

/// The repository under test: cargo names it at run time, so that a binary built for one work tree
/// never judges another.
fn repository() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR");
        folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &ROOT
}

fn report(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

#[test]
fn every_path_in_every_file_stays_within_its_rooms_doors() {
    let files = tree::read(&repository().join("src")).expect("src is readable");
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(check::file(file));
    }
    assert!(files.len() > ROOMS.len(), "only {} files were seen: is the walk broken?", files.len());
    assert!(findings.is_empty(), "doors that do not exist:{}", report(&findings));
}

#[test]
fn every_folder_is_a_room_and_every_file_is_reached() {
    let findings = tree::strays(&repository().join("src")).expect("src is readable");
    assert!(findings.is_empty(), "not in the table or not compiled:{}", report(&findings));
}

#[test]
fn files_stay_short_enough_to_read() {
    let files = tree::read(&repository().join("src")).expect("src is readable");
    for file in files {
        let lines = file.production_lines();
        assert!(
            lines <= FILE_LINES_MAX,
            "{}: {lines} lines of production code, {FILE_LINES_MAX} are allowed: split the noun",
            file.name
        );
    }
}

#[test]
fn the_rooms_stand_in_the_order_of_their_dependencies() {
    let text = std::fs::read_to_string(repository().join("src/lib.rs")).expect("lib.rs is there");
    let findings = check::order("src/lib.rs", &text);
    assert!(findings.is_empty(), "{}", report(&findings));
}

#[test]
fn the_table_itself_has_no_upward_door_and_no_cycle() {
    for room in ROOMS {
        for door in room.doors {
            let target = table::room(door).unwrap_or_else(|| panic!("{door} is not a room"));
            assert!(
                target.level <= room.level,
                "{} may name {door}, which stands above it",
                room.name
            );
            assert!(
                room.kind != Kind::Pure || target.kind == Kind::Pure,
                "{} is pure and may name {door}, which is not",
                room.name
            );
        }
    }
    for room in ROOMS {
        assert!(!reaches(room.name, room.name), "{} can reach itself through doors", room.name);
    }
}

fn reaches(from: &str, goal: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for door in table::room(name).map_or(&[][..], |room| room.doors) {
            if *door == goal {
                return true;
            }
            if seen.insert(*door) {
                open.push(door);
            }
        }
    }
    false
}

#[test]
fn every_dependency_has_a_row_and_every_row_a_dependency() {
    let text = std::fs::read_to_string(repository().join("Cargo.toml")).expect("Cargo.toml");
    let (normal, dev) = dependencies(&text);
    let rows: BTreeSet<&str> = FOREIGN.iter().map(|row| row.name).collect();
    for name in &normal {
        assert!(rows.contains(name.as_str()), "Cargo.toml: {name} has no row in the FOREIGN table");
    }
    for name in &rows {
        assert!(normal.contains(*name), "FOREIGN: {name} is not a dependency any more");
    }
    for name in dev.iter().filter(|name| !normal.contains(*name)) {
        assert!(DEV_ONLY.contains(&name.as_str()), "Cargo.toml: dev {name} is not in DEV_ONLY");
    }
}

/// The names under `[dependencies]` (also of targets and of the build) and `[dev-dependencies]`.
fn dependencies(manifest: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let mut normal = BTreeSet::new();
    let mut dev = BTreeSet::new();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let names = if section == "dev-dependencies" { &mut dev } else { &mut normal };
            let keys = table.get(section).and_then(toml::Value::as_table).into_iter();
            names.extend(keys.flat_map(|table| table.keys().cloned()));
        }
    }
    (normal, dev)
}

#[test]
fn planted_violations_are_found() {
    for (name, file, source, want) in check::PLANTED {
        let file = tree::SourceFile::from_source(file, source).expect("planted source parses");
        let found = check::file(&file);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|line| line.contains(want)),
            "{name}: expected a finding with {want:?}, got {told:?}\n{source}"
        );
    }
}

#[test]
fn honest_code_is_left_alone() {
    for (name, file, source) in check::HONEST {
        let file = tree::SourceFile::from_source(file, source).expect("honest source parses");
        let found = check::file(&file);
        assert!(found.is_empty(), "{name}:{}\n{source}", report(&found));
    }
}

#[test]
fn a_room_out_of_order_is_found() {
    let found = check::order("src/lib.rs", "pub mod call;\npub mod sip;\n");
    assert!(report(&found).contains("sip stands after call"), "{}", report(&found));
    let found = check::order("src/lib.rs", "pub mod model;\npub mod attic;\n");
    assert!(report(&found).contains("attic is not a room"), "{}", report(&found));
}

#[test]
fn lines_are_counted_up_to_the_tests() {
    let source = "//! Doc.\n\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
    let file = tree::SourceFile::from_source("menu/code.rs", source).expect("it parses");
    assert_eq!(file.production_lines(), 4);
}

#[test]
fn dependencies_are_read_from_every_section() {
    let manifest = "[dependencies]\na = \"1\"\n[build-dependencies]\nb = \"1\"\n\
        [dev-dependencies]\nc = \"1\"\n[target.'cfg(unix)'.dependencies]\nd = \"1\"\n";
    let (normal, dev) = dependencies(manifest);
    assert_eq!(normal.into_iter().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(dev.into_iter().collect::<Vec<_>>(), ["c"]);
}
