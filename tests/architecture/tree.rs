//! Reads the module tree as the compiler does: from lib.rs and main.rs along the `mod` lines.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;

use crate::check::Finding;
use crate::table;

/// One parsed file.
pub(crate) struct SourceFile {
    /// Path under `src`, with `/`.
    pub(crate) name: String,
    /// Module path of the file: `sip/uri.rs` is `["sip", "uri"]`.
    pub(crate) module: Vec<String>,
    /// True for a file that only `#[cfg(test)]` brings in.
    pub(crate) is_test: bool,
    /// Its items.
    pub(crate) syntax: syn::File,
    lines: usize,
}

impl SourceFile {
    /// Parses a text that stands for the file `name` under `src`.
    pub(crate) fn from_source(name: &str, source: &str) -> syn::Result<Self> {
        let mut module: Vec<String> =
            name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Ok(Self {
            name: name.to_owned(),
            module,
            is_test: false,
            syntax: syn::parse_file(source)?,
            lines: source.lines().count(),
        })
    }

    /// The room this file belongs to; empty for lib.rs.
    pub(crate) fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Lines before the first test module, or all.
    pub(crate) fn production_lines(&self) -> usize {
        if self.is_test {
            return 0;
        }
        let tests = self.syntax.items.iter().find_map(|item| match item {
            syn::Item::Mod(module) if is_test(&module.attrs) => Some(module.span().start().line),
            _ => None,
        });
        tests.map_or(self.lines, |line| line.saturating_sub(1))
    }
}

/// True when the attributes hold `#[cfg(test)]`, alone or within `all(..)`.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let text = list.tokens.to_string();
        list.path.is_ident("cfg") && (text == "test" || text.starts_with("all (test"))
    })
}

/// All files that lib.rs and main.rs bring in.
pub(crate) fn read(source: &Path) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for root in ["lib.rs", "main.rs"] {
        visit(source, Path::new(root), false, &mut files)?;
    }
    Ok(files)
}

fn visit(
    source: &Path,
    name: &Path,
    is_test_file: bool,
    files: &mut Vec<SourceFile>,
) -> io::Result<()> {
    let text = fs::read_to_string(source.join(name))?;
    let label = name.to_string_lossy().replace('\\', "/");
    let mut file = SourceFile::from_source(&label, &text)
        .map_err(|error| io::Error::other(format!("{label}: {error}")))?;
    file.is_test = is_test_file;
    let parent = name.parent().unwrap_or_else(|| Path::new(""));
    let folder = match name.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => parent.to_owned(),
        Some(stem) => parent.join(stem),
    };
    let children = declared(&file.syntax, &folder, is_test_file);
    files.push(file);
    for (candidates, test) in children {
        let found =
            candidates.iter().find(|path| source.join(path).is_file()).ok_or_else(|| {
                io::Error::other(format!("{label}: no file for {}", candidates[0].display()))
            })?;
        visit(source, found, test, files)?;
    }
    Ok(())
}

/// The files that the `mod name;` lines of a file may mean, and whether for tests only.
fn declared(syntax: &syn::File, folder: &Path, inside_test: bool) -> Vec<(Vec<PathBuf>, bool)> {
    let modules = syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() => Some(module),
        _ => None,
    });
    modules
        .map(|module| {
            let name = module.ident.to_string();
            let paths = vec![folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
            (paths, inside_test || is_test(&module.attrs))
        })
        .collect()
}

/// Folders that are no room, and files that no `mod` line brings in.
pub(crate) fn strays(source: &Path) -> io::Result<Vec<Finding>> {
    let reached: BTreeSet<String> = read(source)?.into_iter().map(|file| file.name).collect();
    let mut findings = Vec::new();
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let under = path.strip_prefix(source).unwrap_or(&path);
            let name = under.to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                if folder == source && table::room(&name).is_none() {
                    findings.push(Finding::new(&name, 0, "this folder is not a room"));
                }
                open.push(path);
            } else if name.ends_with(".rs") && !reached.contains(&name) {
                findings.push(Finding::new(&name, 0, "no `mod` line brings this file in"));
            }
        }
    }
    Ok(findings)
}
