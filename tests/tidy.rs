//! Keeps the house clean: the rules of style that a machine can hold.
//!
//! Walks the repository and reads its files as text and, for Rust, with
//! `syn`. Each rule is a function from one file to its findings, and each is tested on a text
//! that breaks it, so that a rule that has gone blind is noticed.

#[path = "tidy/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Files that may hold `unsafe`, each with the reason. A file outside this list may not.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("src/net/sys.rs", "system calls"),
    ("benches/counting/mod.rs", "an allocator that counts"),
    ("benches/sip_message.rs", "the clock of a thread"),
    ("tests/crash/syscalls.rs", "functions in the place of libc's"),
];

/// Folders that are not ours to judge.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "corpus", "artifacts"];

/// One text file of the repository.
struct TextFile {
    /// Path from the root of the repository, with `/`.
    name: String,
    text: String,
}

/// The repository under test: cargo names it at run time, so that a binary built for one work tree
/// never judges another.
fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR");
        folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &ROOT
}

/// Every file of the repository that is text and not data for a test.
fn text_files() -> Vec<TextFile> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&last.as_str())
                    && !["tests/data", "benches/runs"].contains(&name.as_str())
                {
                    open.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path)
                && is_ours(&last)
            {
                files.push(TextFile { name, text });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// True for the kinds of text that people write here; results and locks are made by programs.
fn is_ours(name: &str) -> bool {
    let kinds = ["rs", "toml", "md", "sh", "py", "xml", "csv", "yml", "service"];
    let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
    (kinds.contains(&kind) || name == "run") && name != "Cargo.lock"
}

fn rust_files(files: &[TextFile]) -> impl Iterator<Item = &TextFile> {
    files.iter().filter(|file| file.name.ends_with(".rs"))
}

fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn no_file_leaves_work_for_later() {
    let files = text_files();
    // The rules' own file spells the words that it looks for.
    let judged = files.iter().filter(|file| !file.name.starts_with("tests/tidy"));
    let findings: Vec<_> =
        judged.flat_map(|file| rules::left_for_later(&file.name, &file.text)).collect();
    none("unfinished work belongs on the issue list", &findings);
}

#[test]
fn lines_end_where_their_text_ends() {
    let files = text_files();
    let findings: Vec<_> =
        files.iter().flat_map(|file| rules::white_space(&file.name, &file.text)).collect();
    none("white space", &findings);
}

#[test]
fn every_rust_file_says_what_it_deals_with() {
    let files = text_files();
    let findings: Vec<_> =
        rust_files(&files).flat_map(|file| rules::module_doc(&file.name, &file.text)).collect();
    none("a file opens with //!", &findings);
}

#[test]
fn functions_fit_the_screen() {
    let files = text_files();
    let findings: Vec<_> =
        rust_files(&files).flat_map(|file| rules::long_functions(&file.name, &file.text)).collect();
    none("split it: branching in the parent, arithmetic in the leaves", &findings);
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let files = text_files();
    let judged = rust_files(&files).filter(|file| !file.name.starts_with("tests/tidy"));
    let findings: Vec<_> =
        judged.flat_map(|file| rules::silenced_lints(&file.name, &file.text)).collect();
    none("write #[expect(.., reason = \"..\")]", &findings);
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let files = text_files();
    let mut holders = Vec::new();
    for file in rust_files(&files) {
        let lines = rules::unsafe_lines(&file.name, &file.text);
        let is_listed = UNSAFE_FILES.iter().any(|(name, _)| *name == file.name);
        assert!(
            is_listed || lines.is_empty(),
            "unsafe outside the list:\n  {}",
            lines.join("\n  ")
        );
        if !lines.is_empty() {
            holders.push(file.name.as_str());
        }
    }
    for (name, _) in UNSAFE_FILES.iter().filter(|(name, _)| root().join(name).exists()) {
        assert!(holders.contains(name), "UNSAFE_FILES: {name} holds no unsafe any more");
    }
}

#[test]
fn tests_are_neither_skipped_nor_glad_of_a_panic() {
    let files = text_files();
    let judged = rust_files(&files).filter(|file| !file.name.starts_with("tests/tidy"));
    let findings: Vec<_> =
        judged.flat_map(|file| rules::excused_tests(&file.name, &file.text)).collect();
    none("assert today's behaviour with a reason, or move the suite to tests/long.sh", &findings);
}

#[test]
fn scripts_stop_at_the_first_failure() {
    let files = text_files();
    let scripts: Vec<_> =
        files.iter().filter(|file| file.name.ends_with(".sh") || file.name == ".ci/run").collect();
    assert!(scripts.iter().any(|file| file.name == ".ci/run"), "the walk has missed .ci/run");
    let findings: Vec<_> =
        scripts.iter().flat_map(|file| rules::script(&file.name, &file.text)).collect();
    none("a script that fails must fail", &findings);
}

#[test]
fn every_bench_opens_with_its_question() {
    let files = text_files();
    let findings: Vec<_> = rust_files(&files)
        .filter(|file| file.name.starts_with("benches/") && file.name.matches('/').count() == 1)
        .flat_map(|file| rules::question(&file.name, &file.text))
        .collect();
    none("the first line of a bench is the question that it answers", &findings);
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let files = text_files();
    let findings: Vec<_> = files
        .iter()
        .filter(|file| file.name.ends_with(".md"))
        .flat_map(|file| rules::dead_links(root(), &file.name, &file.text))
        .collect();
    none("a link leads nowhere", &findings);
}

#[test]
fn every_scenario_is_explained() {
    let files = text_files();
    let page = files.iter().find(|file| file.name == "tests/sipp/README.md").expect("the page");
    let scenarios: Vec<&str> = files
        .iter()
        .filter_map(|file| file.name.strip_prefix("tests/sipp/"))
        .filter(|name| name.ends_with(".xml"))
        .collect();
    assert!(scenarios.len() > 15, "only {} scenarios were seen", scenarios.len());
    for name in scenarios {
        assert!(page.text.contains(&format!("`{name}`")), "{name} is not on tests/sipp/README.md");
    }
}

#[test]
fn the_walk_sees_the_repository() {
    let files = text_files();
    for name in ["Cargo.toml", "src/lib.rs", "tests/tidy.rs", "tests/run.sh", "README.md"] {
        assert!(files.iter().any(|file| file.name == name), "{name} was not seen");
    }
}

#[test]
fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
    for (inner, want) in [(68, 0), (69, 1)] {
        let text = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(inner));
        assert_eq!(rules::long_functions("a.rs", &text).len(), want, "{} lines", inner + 2);
    }
}

#[test]
fn each_rule_sees_what_breaks_it() {
    for (name, rule, file, text, want) in rules::BROKEN {
        let findings = rule(file, text);
        assert_eq!(findings.len(), *want, "{name}: {findings:?}\n{text}");
    }
}
