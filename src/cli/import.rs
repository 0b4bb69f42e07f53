//! `import`: a file of numbers onto a list.
//!
//! The file is read, sorted and written as segments here, in the process of whoever imports, so
//! that a running engine has no more to do than to check and load what is finished.

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;

use super::args::Common;
use super::args::Import;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::optout::login;
use super::page::Page;
use super::text::count;
use crate::engine::desk::Access;
use crate::engine::desk::Claim;
use crate::engine::desk::Earlier;
use crate::engine::desk::ImportDone;
use crate::engine::desk::ImportPlace;
use crate::model::NumberReader;
use crate::model::UnixMicros;
use crate::store::import;
use crate::store::import::Order;
use crate::store::import::Prepared;
use crate::store::import::Progress;
use crate::store::import::Title;
use crate::suppression::import::Settings;
use crate::suppression::import::Tally;
use crate::suppression::proof::Hash;

/// What came of an import, for programs.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    file_sha256: String,
    shape: &'static str,
    list: String,
    #[serde(flatten)]
    tally: Tally,
    /// Numbers that are on the list by it, each once.
    numbers: u64,
    /// Numbers that it takes off, each once.
    numbers_taken_off: u64,
    duplicates: u64,
    dry_run: bool,
    /// Whether the same file had been imported into the same list before.
    is_earlier: bool,
    record: Option<String>,
    durable_at: Option<UnixMicros>,
}

/// Imports a file, or says what importing it would do.
pub(super) fn import(common: &Common, what: Import, page: &mut Page) -> Result<Code, Failure> {
    let list = what.list.as_str().into();
    let account = what.account.as_deref().map(Into::into);
    let (mut counter, place) = Counter::open_for_import(common, list, account, what.dry_run)?;
    let bar = Bar::new(common);
    let mut prepared = import::prepare(&order(&what, &place)?, &mut |progress| bar.tell(progress))?;
    whole(&what, &prepared)?;
    let mut claim = claim(&what, &prepared);
    let opened = match (&mut counter, what.dry_run) {
        (Some(counter), _) => Some(counter),
        // Nothing was ever kept there: nothing can be compared with.
        (None, true) => None,
        (None, false) => Some(counter.insert(Counter::open(common, Access::Write)?)),
    };
    let mut outcome = outcome(&what, &prepared);
    if let Some(counter) = opened {
        let earlier = counter.weigh(&claim)?;
        if let Some(Earlier { record, imported_at }) = earlier {
            outcome.is_earlier = true;
            (outcome.record, outcome.durable_at) = (Some(record), Some(imported_at));
        } else if !what.dry_run {
            let title = title(&what);
            let parts = import::write(&mut prepared, &title, &place.store, &mut |progress| {
                bar.tell(progress);
            });
            (claim.listed, claim.taken_off) = parts?;
            let done = counter.import(claim, &mut |done, of| bar.load(done, of))?;
            let ImportDone { record, durable_at, is_earlier } = done;
            outcome.is_earlier = is_earlier;
            (outcome.record, outcome.durable_at) = (Some(record), Some(durable_at));
        }
    }
    bar.end();
    if common.json {
        page.json(&outcome)?
    } else {
        describe(&outcome, &what, page)?
    }
    Ok(Code::Yes)
}

fn order(what: &Import, place: &ImportPlace) -> Result<Order, Failure> {
    let region = what.region.as_deref().unwrap_or(&place.default_region);
    let numbers = NumberReader::new(region)
        .map_err(|error| Failure::new(Code::Usage, format!("--region: {error}")))?;
    let runs_in = place.store.is_dir().then(|| place.store.clone()).filter(|_dir| !what.dry_run);
    Ok(Order {
        file: what.file.clone(),
        settings: Settings { shape: what.format.shape(), numbers, column: what.column.clone() },
        rejects: what.rejects.clone(),
        runs_in,
        run_numbers: import::RUN_NUMBERS,
    })
}

/// A file with another number of lines than its source says it has is not whole.
fn whole(what: &Import, prepared: &Prepared) -> Result<(), Failure> {
    let found = prepared.tally.read;
    match what.expect {
        Some(expected) if expected != found => {
            let why = format!("expected {expected} lines, found {found}; nothing was imported");
            Err(Failure::new(Code::Usage, why))
        }
        _ => Ok(()),
    }
}

fn title(what: &Import) -> Title {
    let source = what.source.clone().unwrap_or_default();
    Title { list: what.list.as_str().into(), source, as_of: what.as_of }
}

/// What is weighed; the segments follow once they are written.
fn claim(what: &Import, prepared: &Prepared) -> Claim {
    let Title { list, source, as_of } = title(what);
    Claim {
        list,
        account: what.account.as_deref().map(Into::into),
        source,
        as_of,
        shape: prepared.shape,
        tally: prepared.tally.clone(),
        file_sha256: prepared.file_sha256,
        listed: None,
        taken_off: None,
        actor: what.actor.clone().or_else(login),
        may_shrink: what.allow_fewer,
    }
}

fn outcome(what: &Import, prepared: &Prepared) -> Outcome {
    Outcome {
        file: what.file.display().to_string(),
        file_sha256: Hash(prepared.file_sha256).to_string(),
        shape: prepared.shape.as_str(),
        list: what.list.clone(),
        tally: prepared.tally.clone(),
        numbers: prepared.listed,
        numbers_taken_off: prepared.taken_off,
        duplicates: prepared.duplicates(),
        dry_run: what.dry_run,
        is_earlier: false,
        record: None,
        durable_at: None,
    }
}

fn describe(outcome: &Outcome, what: &Import, page: &mut Page) -> io::Result<()> {
    let (file, shape, list) = (&outcome.file, outcome.shape, &outcome.list);
    writeln!(page, "{file}: {shape}, {}", lines(outcome.tally.read))?;
    writeln!(page, "  listed     {} on `{list}`", numbers(outcome.numbers))?;
    if !outcome.tally.ranges.is_empty() {
        writeln!(page, "  ranges     {} on `{list}`", count(outcome.tally.ranges.len(), "range"))?;
    }
    if outcome.numbers_taken_off > 0 {
        writeln!(page, "  taken off  {} of this registry", numbers(outcome.numbers_taken_off))?;
    }
    if outcome.duplicates > 0 {
        writeln!(page, "  twice      {}", lines(outcome.duplicates))?;
    }
    if outcome.tally.rejected_sum() > 0 {
        let reasons = outcome.tally.rejected.iter();
        let reasons: Vec<String> =
            reasons.map(|(reason, count)| format!("{count} {reason}")).collect();
        let rejected = lines(outcome.tally.rejected_sum());
        write!(page, "  rejected   {rejected}: {}", reasons.join(", "))?;
        match &what.rejects {
            Some(path) => writeln!(page, "; each is in {}", path.display())?,
            None => writeln!(page, "; --rejects FILE keeps them")?,
        }
    }
    match (&outcome.record, outcome.durable_at) {
        (Some(record), Some(at)) if outcome.is_earlier => {
            let at = at.iso8601();
            writeln!(page, "nothing to do: this file was imported at {at}, record {record}")
        }
        (Some(record), Some(at)) => {
            writeln!(page, "imported as record {record}, on disk at {}", at.iso8601())
        }
        _ => writeln!(page, "nothing was imported (--dry-run)"),
    }
}

fn lines(of: u64) -> String {
    count(usize::try_from(of).unwrap_or(usize::MAX), "line")
}

fn numbers(of: u64) -> String {
    count(usize::try_from(of).unwrap_or(usize::MAX), "number")
}

/// How far it is, for people who watch.
struct Bar(ProgressBar);

impl Bar {
    /// On standard error, where that is a terminal; elsewhere nothing is shown.
    fn new(common: &Common) -> Self {
        let is_watched = io::stderr().is_terminal() && !common.json;
        let bar = if is_watched { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Self(bar)
    }

    fn tell(&self, progress: Progress) {
        match progress {
            Progress::Read { octets, of } => {
                self.show("reading  {wide_bar} {bytes}/{total_bytes} {eta}", octets, of);
            }
            Progress::Sorted { numbers, of } => {
                self.show("sorting  {wide_bar} {pos}/{len} {eta}", numbers, of);
            }
            Progress::Written { numbers, of } => {
                self.show("writing  {wide_bar} {pos}/{len} {eta}", numbers, of);
            }
        }
    }

    fn load(&self, done: u64, of: u64) {
        self.show("refusing {wide_bar} {pos}/{len} {eta}", done, of);
    }

    fn show(&self, template: &str, done: u64, of: u64) {
        if self.0.is_hidden() {
            return;
        }
        if self.0.position() > done || self.0.length() != Some(of) {
            self.0.reset();
            self.0.set_length(of);
            // Ours are right; a bar in its own style does too.
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.0.set_style(style);
            }
        }
        self.0.set_position(done);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
