//! The files of a configuration folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{Rooms, check};
use super::checked::Checked;
use super::diagnostic::Diagnostic;
use super::source::{Place, Source};

/// The generated list of all keys stands in the same folder and defines every table once more.
const REFERENCE: &str = "reference.toml";

/// A file beyond this was put there by mistake.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// More campaigns than this want another tool.
const FILES_MAX: usize = 10_000;

/// Reads and checks the folder `dir`: its `*.toml` but `reference.toml`, then those of its folder
/// `campaigns`, each in the order of their names.
///
/// # Errors
///
/// All findings in all files, in the order of files and lines; at least one is an error.
pub fn load(dir: &Path, rooms: &dyn Rooms) -> Result<Checked, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut paths = toml_files(dir, &mut faults);
    let campaigns = dir.join("campaigns");
    if campaigns.is_dir() {
        paths.extend(toml_files(&campaigns, &mut faults));
    }
    if paths.is_empty() && faults.is_empty() {
        let hint = "write a bajavoz.toml there, or name another folder with --config";
        faults.push(unreadable(dir, "there is no *.toml in this folder").hint(hint));
    }
    if paths.len() > FILES_MAX {
        faults.push(unreadable(dir, &format!("there are more than {FILES_MAX} files")));
        return Err(faults);
    }
    let mut sources = Vec::new();
    for path in &paths {
        match read(path) {
            Ok(text) => sources.push(Source::new(&path.to_string_lossy(), text)),
            Err(error) => faults.push(unreadable(path, &error.to_string())),
        }
    }
    if faults.is_empty() {
        return check(&sources, dir, rooms);
    }
    // What the other files lack may stand in the one that cannot be read.
    Err(faults)
}

fn toml_files(dir: &Path, faults: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            faults.push(unreadable(dir, &error.to_string()));
            return Vec::new();
        }
    };
    let is_ours = |path: &PathBuf| {
        path.extension() == Some(OsStr::new("toml"))
            && path.file_name() != Some(OsStr::new(REFERENCE))
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> io::Result<String> {
    let len = std::fs::metadata(path)?.len();
    if len > FILE_LEN_MAX {
        return Err(io::Error::other(format!("{len} bytes are more than {FILE_LEN_MAX}")));
    }
    std::fs::read_to_string(path)
}

fn unreadable(path: &Path, reason: &str) -> Diagnostic {
    let source = Source::new(&path.to_string_lossy(), String::new());
    let place = Place::new(&Arc::clone(&source), 0..0);
    Diagnostic::error("E-FILE", "this cannot be read", place).label(reason)
}
