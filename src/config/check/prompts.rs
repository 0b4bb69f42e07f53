//! The prompts on disk: whether each that is named is there and can be played.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Check;
use crate::campaign::PromptName;
use crate::config::diagnostic::Diagnostic;
use crate::config::draft::{Draft, Located};
use crate::config::file;
use crate::config::source::Place;
use crate::config::value::nearest;

/// Ten minutes of 16-bit sound at 8000 Hz: twice what a prompt may have, so that only a file that
/// was put there by mistake is refused unread.
const WAV_LEN_MAX: u64 = 10 * 60 * 8000 * 2;

/// The folder of the prompts and what was taken from it.
pub(super) struct Shelf {
    dir: PathBuf,
    /// `None`: it cannot be played, and that is reported.
    judged: BTreeMap<PromptName, Option<PathBuf>>,
    /// Languages that were reported to have no folder.
    strange: BTreeSet<String>,
}

impl Shelf {
    pub(super) fn new(config_dir: &Path) -> Self {
        Self { dir: config_dir.to_owned(), judged: BTreeMap::new(), strange: BTreeSet::new() }
    }

    /// The prompts that were asked for and can be played.
    pub(super) fn taken(&self) -> BTreeMap<PromptName, PathBuf> {
        let playable = |(name, path): (&PromptName, &Option<PathBuf>)| {
            path.as_ref().map(|path| (name.clone(), path.clone()))
        };
        self.judged.iter().filter_map(playable).collect()
    }
}

impl Check<'_> {
    pub(super) fn open_shelf(&mut self, draft: &Draft) {
        if let Some(prompts) = &draft.prompts {
            self.shelf.dir = self.dir.join(&prompts.value.dir);
        }
    }

    /// The language of a campaign's prompts, its own or the node's; `None` where that cannot be
    /// said or has no folder, which is reported once.
    pub(super) fn language<'d>(
        &mut self,
        draft: &'d Draft,
        table: &'d Located<file::Campaign>,
    ) -> Option<&'d str> {
        let own = table.value.language.as_ref().map(|typed| (typed, table.place(typed.span())));
        let of_node = draft.node.as_ref().map(|node| (&node.value.language, node));
        let of_node = of_node.map(|(typed, node)| (typed, node.place(typed.span())));
        let (typed, place) = own.or(of_node)?;
        let language = typed.get_ref().as_str();
        if self.shelf.dir.join(language).is_dir() {
            return Some(language);
        }
        if self.shelf.strange.insert(language.to_owned()) {
            let there = folders_in(&self.shelf.dir);
            let message = format!("there are no prompts in the language `{language}`");
            let fault = Diagnostic::error("E-LANGUAGE", message, place)
                .label(format!("there is no {}", self.shelf.dir.join(language).display()));
            self.report(match nearest(language, there.iter().map(String::as_str)) {
                Some(near) => {
                    fault.hint(format!("did you mean `{near}`?")).patch(format!("\"{near}\""))
                }
                None if there.is_empty() => fault.hint("prompts.dir says where the languages are"),
                None => fault.hint(format!("there are: {}", there.join(", "))),
            });
        }
        None
    }

    /// The prompt `typed` of `language`; its faults are reported once, at the first who names it.
    ///
    /// Without a language (the table that names it is faulty) nothing can be said about it.
    pub(super) fn prompt(
        &mut self,
        language: Option<&str>,
        typed: &str,
        place: Place,
    ) -> PromptName {
        let Some(language) = language else { return PromptName::new("", typed) };
        let name = PromptName::new(language, typed);
        if !self.shelf.judged.contains_key(&name) {
            let folder = self.shelf.dir.join(language);
            let path = folder.join(format!("{typed}.wav"));
            let verdict = match read(&path) {
                Ok(wav) => self.rooms.prompt(&name, &wav).map_err(|reason| {
                    Diagnostic::error("E-PROMPT", format!("`{name}` cannot be played"), place)
                        .label(reason)
                        .hint("make it WAV, 8000 Hz, mono, 16 bit: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav")
                }),
                Err(error) => Err(missing(&name, typed, &folder, &path, &error, place)),
            };
            let is_playable = verdict.map_err(|fault| self.report(fault)).is_ok();
            self.shelf.judged.insert(name.clone(), is_playable.then_some(path));
        }
        name
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let len = fs::metadata(path)?.len();
    if len > WAV_LEN_MAX {
        return Err(io::Error::other(format!("{len} bytes are more than ten minutes of sound")));
    }
    fs::read(path)
}

fn missing(
    name: &PromptName,
    typed: &str,
    folder: &Path,
    path: &Path,
    error: &io::Error,
    place: Place,
) -> Diagnostic {
    let message = format!("the prompt `{name}` cannot be read");
    if error.kind() != io::ErrorKind::NotFound {
        let label = format!("{}: {error}", path.display());
        return Diagnostic::error("E-PROMPT", message, place).label(label);
    }
    let there = names_in(folder);
    let fault = Diagnostic::error("E-PROMPT", message, place)
        .label(format!("there is no {}", path.display()));
    match nearest(typed, there.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if there.is_empty() => fault.hint("there is no WAV in that folder at all"),
        None => fault.hint(format!("there are: {}", there.join(", "))),
    }
}

/// The prompts of a folder by name; a folder that cannot be read has none.
fn names_in(folder: &Path) -> Vec<String> {
    let name =
        |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".wav")?.to_owned());
    sorted(folder, name)
}

fn folders_in(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder.then(|| entry.file_name().to_str().map(str::to_owned)).flatten()
    };
    sorted(folder, name)
}

fn sorted(folder: &Path, name: impl Fn(fs::DirEntry) -> Option<String>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}
