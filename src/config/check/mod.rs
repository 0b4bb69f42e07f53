//! Whether what is typed makes sense as a whole: names that are defined, numbers that fit each
//! other, prompts that can be played. Every fault of every file is found in one go.

mod campaign;
mod lists;
mod prompts;
mod store;
mod wiring;

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::checked::{AudioSpan, Checked, Evidence, Http, Telemetry};
use super::diagnostic::{Diagnostic, Severity};
use super::draft::{self, Draft, Named};
use super::file;
use super::source::{Place, Source};
use super::value::nearest;
use crate::campaign::PromptName;

use prompts::Shelf;

/// What other rooms know about a value; the engine hands it in, so that the files are judged by
/// the very code that will use them.
pub trait Rooms {
    /// Whether `wav`, the bytes of a prompt's file, can be played.
    ///
    /// # Errors
    ///
    /// What was expected and what was found, in one line.
    fn prompt(&self, name: &PromptName, wav: &[u8]) -> Result<(), String>;

    /// Whether numbers can be read in this ISO 3166-1 alpha-2 region.
    fn is_region(&self, region: &str) -> bool;

    /// Whether `filter` is in the syntax of `RUST_LOG`.
    ///
    /// # Errors
    ///
    /// Why not, in one line.
    fn log_filter(&self, filter: &str) -> Result<(), String>;
}

/// Checks `sources`, the files of the folder `dir`, whole.
///
/// # Errors
///
/// All findings, warnings among them, in the order of files and lines; at least one is an error.
pub fn check(
    sources: &[Arc<Source>],
    dir: &Path,
    rooms: &dyn Rooms,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let draft = draft::read(sources, &mut faults);
    let mut check = Check { dir, rooms, shelf: Shelf::new(dir), faults };
    let checked = draft.and_then(|draft| check.whole(&draft, sources));
    let mut findings = check.faults;
    findings.sort_by(|a, b| position(a).cmp(&position(b)));
    findings.dedup();
    let has_error = findings.iter().any(|finding| finding.severity() == Severity::Error);
    match checked {
        Some(checked) if !has_error => Ok(Checked { warnings: findings, ..checked }),
        _ => Err(findings),
    }
}

fn position(finding: &Diagnostic) -> (&str, usize, &'static str) {
    let place = finding.place();
    (place.source().path(), place.range().start, finding.code())
}

/// One check of one draft.
struct Check<'a> {
    dir: &'a Path,
    rooms: &'a dyn Rooms,
    shelf: Shelf,
    faults: Vec<Diagnostic>,
}

impl Check<'_> {
    /// The configuration, as far as it can be built; whoever asks looks at the faults too.
    fn whole(&mut self, draft: &Draft, sources: &[Arc<Source>]) -> Option<Checked> {
        let node = self.node(draft);
        let limits = self.limits(draft);
        let media = self.media(draft, limits);
        let listeners = self.listeners(draft, media.as_ref());
        let trunks = self.trunks(draft, &listeners);
        let dialers = self.dialers(draft, node.as_ref());
        let lists = self.lists(draft);
        self.filter(draft);
        let campaigns = self.campaigns(draft, limits);
        let store = self.store(draft);
        let telemetry = draft.telemetry.as_ref()?;
        Some(Checked {
            hash: hash(sources),
            node: node?,
            listeners,
            trunks,
            dialers,
            lists,
            media: media?,
            store: store?,
            retention: Self::retention(draft)?,
            evidence: evidence(&draft.evidence.as_ref()?.value),
            http: Http { bind: draft.http.as_ref()?.value.bind },
            telemetry: Telemetry {
                log: telemetry.value.log,
                filter: telemetry.value.filter.get_ref().clone(),
            },
            limits: limits?,
            campaigns: Arc::new(campaigns?),
            prompts: self.shelf.taken(),
            warnings: Vec::new(),
        })
    }

    fn report(&mut self, fault: Diagnostic) {
        self.faults.push(fault);
    }

    /// Whether `typed` names one of `defined`, tables `[KIND.NAME]`.
    fn is_defined<T>(
        &mut self,
        code: &'static str,
        kind: &str,
        defined: &Named<T>,
        typed: &str,
        place: Place,
    ) -> bool {
        if defined.contains_key(typed) {
            return true;
        }
        let message = format!("there is no [{kind}.{typed}]");
        let fault = Diagnostic::error(code, message, place).label("not defined");
        let known: Vec<&str> = defined.keys().map(String::as_str).collect();
        self.report(match nearest(typed, known.iter().copied()) {
            Some(near) => {
                fault.hint(format!("did you mean `{near}`?")).patch(format!("\"{near}\""))
            }
            None if known.is_empty() => fault.hint(format!("define it: [{kind}.{typed}]")),
            None => fault.hint(format!("defined are: {}", known.join(", "))),
        });
        false
    }

    fn filter(&mut self, draft: &Draft) {
        let Some(telemetry) = &draft.telemetry else { return };
        let filter = &telemetry.value.filter;
        if let Err(reason) = self.rooms.log_filter(filter.get_ref()) {
            let place = telemetry.place(filter.span());
            self.report(
                Diagnostic::error("E-VALUE", "`filter` has a value it cannot have", place)
                    .label(reason)
                    .hint("such as \"info\" or \"info,bajavoz::sip=debug\""),
            );
        }
    }

    fn region(&mut self, region: &str, place: Place) {
        if !self.rooms.is_region(region) {
            self.report(
                Diagnostic::error("E-REGION", format!("there is no region `{region}`"), place)
                    .label("unknown region")
                    .hint("ISO 3166-1, such as \"ES\" or \"MX\""),
            );
        }
    }
}

fn evidence(typed: &file::Evidence) -> Evidence {
    let span = AudioSpan { before: typed.audio_before.0, after: typed.audio_after.0 };
    Evidence { audio: typed.audio.then_some(span) }
}

/// Over the name and the text of each file, each with its length before it.
fn hash(sources: &[Arc<Source>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for source in sources {
        // The file's name alone: the same files in another folder are the same configuration.
        let name = source.path().rsplit('/').next().unwrap_or_default();
        for part in [name, source.text()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().into()
}
