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
use super::args::ImportForm;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::login::login;
use super::optout::PENDING;
use super::page::Page;
use super::text::count;
use crate::engine::desk::Access;
use crate::engine::desk::Claim;
use crate::engine::desk::DeskError;
use crate::engine::desk::ImportDone;
use crate::engine::desk::ImportPlace;
use crate::engine::desk::repeated;
use crate::model::ListName;
use crate::model::NumberReader;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::store::import;
use crate::store::import::Keeping;
use crate::store::import::Order;
use crate::store::import::Place;
use crate::store::import::Placed;
use crate::store::import::Prepared;
use crate::store::import::Progress;
use crate::store::import::Resumed;
use crate::store::import::Title;
use crate::suppression::import::EASTERNMOST_US;
use crate::suppression::import::Reason;
use crate::suppression::import::Settings;
use crate::suppression::import::Shape;
use crate::suppression::import::Tally;
use crate::suppression::import::Whole;
use crate::suppression::proof::Hash;

/// Microseconds of a day of UTC.
const DAY_US: i64 = 86_400_000_000;

/// What came of an import, for programs.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    file_sha256: String,
    shape: &'static str,
    /// Nothing for an export of ours whose rows say their lists.
    list: Option<String>,
    #[serde(flatten)]
    tally: Tally,
    /// Numbers that are on the list by it, each once; of an export, on all lists together.
    numbers: u64,
    /// Numbers that it takes off, each once.
    numbers_taken_off: u64,
    /// Imports of its registry that speak of a later day, from which it takes nothing off.
    later_imports: usize,
    duplicates: u64,
    dry_run: bool,
    /// Whether the same file had been imported into the same list before, or all of an export.
    is_earlier: bool,
    record: Option<String>,
    durable_at: Option<UnixMicros>,
    /// For which day that earlier import says so, where it does.
    earlier_as_of: Option<UnixMicros>,
    /// Whether other engines do not know all of it yet, though they are to.
    is_pending: bool,
    /// What an export put where.
    places: Vec<PlaceOutcome>,
    /// How many lines an earlier try had read, which this one went on behind.
    resumed_after_lines: Option<u64>,
    /// When that one was begun.
    begun_at: Option<UnixMicros>,
}

/// What an export put on one list for one account, campaign and topic, each a record of its own.
#[derive(Debug, Serialize)]
struct PlaceOutcome {
    list: String,
    account: Option<String>,
    campaign: Option<String>,
    topic: Option<String>,
    numbers: u64,
    ranges: usize,
    is_earlier: bool,
    record: Option<String>,
    durable_at: Option<UnixMicros>,
}

/// Imports a file, or says what importing it would do.
pub(super) fn import(common: &Common, what: Import, page: &mut Page) -> Result<Code, Failure> {
    if let Some(as_of) = what.as_of {
        check_has_come(as_of, clock::unix_now())?;
    }
    let list = what.list.as_deref().map(Into::into);
    let account = what.account.as_deref().map(Into::into);
    let is_export = match what.format {
        ImportForm::Export => true,
        ImportForm::Auto if what.column.is_none() => import::is_export(&what.file)?,
        _ => false,
    };
    if list.is_none() && !is_export {
        let file = what.file.display();
        let why = format!("--list is needed: `{file}` is no export of ours, whose rows say theirs");
        return Err(Failure::new(Code::Usage, why));
    }
    let (mut counter, place) = Counter::open_for_import(common, list, account, what.dry_run)?;
    let bar = Bar::new(common);
    let mut prepared = import::prepare(&order(&what, &place)?, &mut |progress| bar.tell(progress))?;
    whole(&what, &prepared)?;
    let claims = claims(&what, &prepared);
    let opened = match (&mut counter, what.dry_run || claims.is_empty()) {
        (Some(counter), _) => Some(counter),
        // Nothing was ever kept there: nothing can be compared with.
        (None, true) => None,
        (None, false) => Some(counter.insert(Counter::open(common, Access::Write)?)),
    };
    let done = match opened {
        Some(counter) => take_down(counter, claims, &what, &place, &mut prepared, &bar)?,
        None => vec![None; claims.len()],
    };
    if !what.dry_run {
        prepared.done();
    }
    let outcome = outcome(&what, &prepared, done);
    bar.end();
    if common.json {
        page.json(&outcome)?
    } else {
        describe(&outcome, &what, page)?
    }
    Ok(Code::Yes)
}

/// Has `claims` taken down, as far as no earlier import of the same file said the same; nothing for
/// what a dry run would do.
fn take_down(
    counter: &mut Counter,
    mut claims: Vec<Claim>,
    what: &Import,
    place: &ImportPlace,
    prepared: &mut Prepared,
    bar: &Bar,
) -> Result<Vec<Option<ImportDone>>, Failure> {
    let mut tell = |progress| bar.tell(progress);
    let weighed: Result<Vec<_>, Failure> =
        claims.iter().map(|claim| counter.weigh(claim)).collect();
    let same = repeated(&mut claims, weighed?, prepared, &place.store, &mut tell)?;
    if what.dry_run {
        return Ok(same.into_iter().map(|same| same.map(ImportDone::from)).collect());
    }
    // What was imported before is asked for all the same: where the answer was lost, it is refused
    // now.
    if same.contains(&None) {
        let title = title(what);
        let parts = if prepared.placed().is_empty() {
            vec![import::write(prepared, &title, &place.store, &mut tell)?]
        } else {
            let parts = import::write_placed(prepared, &title, &place.store, &mut tell)?;
            parts.into_iter().map(|part| (part, None)).collect()
        };
        for ((claim, parts), same) in claims.iter_mut().zip(parts).zip(same) {
            if same.is_none() {
                (claim.listed, claim.taken_off) = parts;
            }
        }
    }
    let done = counter.import(claims, &mut |done, of| bar.load(done, of))?;
    Ok(done.into_iter().map(Some).collect())
}

fn order(what: &Import, place: &ImportPlace) -> Result<Order, Failure> {
    let region = what.region.as_deref().unwrap_or(&place.default_region);
    let numbers = NumberReader::new(region)
        .map_err(|error| Failure::new(Code::Usage, format!("--region: {error}")))?;
    let stored = place.numbers.for_import(&place.store).map_err(DeskError::from)?;
    let number_key = stored.is_keyed().then(|| stored.mark().to_string());
    let shape = what.format.shape();
    let runs_in = place.store.is_dir().then(|| place.store.clone()).filter(|_dir| !what.dry_run);
    let keeping = runs_in.clone().map(|store| Keeping { store, now: clock::unix_now() });
    Ok(Order {
        rejects: what.rejects.clone(),
        runs_in,
        keeping,
        is_one_list: what.list.is_some(),
        numbers: stored,
        ..Order::new(
            what.file.clone(),
            Settings {
                shape,
                column: what.column.clone(),
                whole: match what.expect {
                    Some(lines) => Whole::Lines(lines),
                    None if what.whole => Whole::Said,
                    None => Whole::Unsaid,
                },
                wide_ranges: what.wide_ranges,
                number_key,
                ..Settings::new(numbers)
            },
        )
    })
}

/// No source speaks of a day to come: it is a slip, and would keep the files of all days until then
/// from counting. But a day is written without its place, and begins in the east before UTC's does.
fn check_has_come(as_of: UnixMicros, now: UnixMicros) -> Result<(), Failure> {
    let last = UnixMicros(now.0.saturating_add(EASTERNMOST_US));
    if day_number(as_of) <= day_number(last) {
        return Ok(());
    }
    let (last, found) = (day(last), day(as_of));
    let why = format!(
        "--as-of: expected {last}, the last day that has begun anywhere, or one before it, found \
         {found}"
    );
    Err(Failure::new(Code::Usage, why))
}

/// What takes a file again that was imported before as of `as_of`; nothing where that day is today,
/// since none is later.
fn again(as_of: Option<UnixMicros>, now: UnixMicros) -> &'static str {
    match as_of.is_some_and(|as_of| day_number(as_of) >= day_number(now)) {
        true => "",
        false => "; --as-of with a later day takes it again",
    }
}

/// Days of UTC since that of the epoch.
const fn day_number(at: UnixMicros) -> i64 {
    at.0.div_euclid(DAY_US)
}

fn day(at: UnixMicros) -> String {
    at.iso8601().chars().take_while(|c| *c != 'T').collect()
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
    let list = what.list.as_deref().unwrap_or_default().into();
    Title { list, source, as_of: what.as_of }
}

/// What is weighed, one for each place; the segments follow once they are written.
fn claims(what: &Import, prepared: &Prepared) -> Vec<Claim> {
    let Title { source, as_of, .. } = title(what);
    let claim = |list: ListName, tally: Tally| Claim {
        list,
        account: what.account.as_deref().map(Into::into),
        campaign: None,
        topic: None,
        said: None,
        source: source.clone(),
        as_of,
        shape: prepared.shape,
        tally,
        file_sha256: prepared.file_sha256,
        listed: None,
        taken_off: None,
        actor: what.actor.clone().or_else(login),
        may_shrink: what.allow_fewer,
    };
    let of_place = |placed: &Placed| {
        let Placed { place, rows, ranges, said, .. } = placed.clone();
        let Place { list, account, campaign, topic } = place;
        let read = rows + ranges.len() as u64;
        let tally = Tally { read, listed: rows, ranges, ..prepared.tally.clone() };
        Claim { account, campaign, topic, said: Some(said), ..claim(list, tally) }
    };
    match what.list.as_deref() {
        // An export of nothing but what was reversed is no import.
        Some(_)
            if prepared.shape == Shape::Export
                && prepared.listed == 0
                && prepared.tally.ranges.is_empty() =>
        {
            Vec::new()
        }
        Some(list) => vec![claim(list.into(), prepared.tally.clone())],
        None => prepared.placed().iter().map(of_place).collect(),
    }
}

fn outcome(what: &Import, prepared: &Prepared, done: Vec<Option<ImportDone>>) -> Outcome {
    let is_earlier =
        !done.is_empty() && done.iter().all(|it| it.as_ref().is_some_and(|it| it.is_earlier));
    let of_place = |(placed, done): (&Placed, &Option<ImportDone>)| PlaceOutcome {
        list: placed.place.list.to_string(),
        account: placed.place.account.as_ref().map(ToString::to_string),
        campaign: placed.place.campaign.as_ref().map(ToString::to_string),
        topic: placed.place.topic.as_ref().map(ToString::to_string),
        numbers: placed.count,
        ranges: placed.ranges.len(),
        is_earlier: done.as_ref().is_some_and(|done| done.is_earlier),
        record: done.as_ref().map(|done| done.record.clone()),
        durable_at: done.as_ref().map(|done| done.durable_at),
    };
    let places: Vec<PlaceOutcome> = prepared.placed().iter().zip(&done).map(of_place).collect();
    let is_pending = done.iter().flatten().any(|done| done.is_pending);
    let one = done.into_iter().next().flatten().filter(|_done| places.is_empty());
    Outcome {
        file: what.file.display().to_string(),
        file_sha256: Hash(prepared.file_sha256).to_string(),
        shape: prepared.shape.as_str(),
        list: what.list.clone(),
        tally: prepared.tally.clone(),
        numbers: prepared.listed + places.iter().map(|place| place.numbers).sum::<u64>(),
        numbers_taken_off: prepared.taken_off,
        later_imports: one.as_ref().map_or(0, |done| done.later),
        duplicates: prepared.duplicates(),
        dry_run: what.dry_run,
        is_earlier,
        record: one.as_ref().map(|done| done.record.clone()),
        earlier_as_of: one.as_ref().and_then(|done| done.as_of),
        durable_at: one.map(|done| done.durable_at),
        is_pending,
        places,
        resumed_after_lines: prepared.resumed.map(|resumed| resumed.lines),
        begun_at: prepared.resumed.map(|resumed| resumed.begun_at),
    }
}

fn describe(outcome: &Outcome, what: &Import, page: &mut Page) -> io::Result<()> {
    let (file, shape) = (&outcome.file, outcome.shape);
    writeln!(page, "{file}: {shape}, {}", lines(outcome.tally.read))?;
    if let (Some(lines), Some(begun_at)) = (outcome.resumed_after_lines, outcome.begun_at) {
        writeln!(page, "  resumed    {}", goes_on(Resumed { lines, begun_at }))?;
    }
    if let Some(list) = &outcome.list {
        writeln!(page, "  listed     {} on `{list}`", numbers(outcome.numbers))?;
        if !outcome.tally.ranges.is_empty() {
            let ranges = count(outcome.tally.ranges.len(), "range");
            writeln!(page, "  ranges     {ranges} on `{list}`")?;
        }
    }
    for place in &outcome.places {
        describe_place(place, page)?;
    }
    if outcome.numbers_taken_off > 0 {
        writeln!(page, "  taken off  {} of this registry", numbers(outcome.numbers_taken_off))?;
    }
    if outcome.later_imports > 0 {
        let later = count(outcome.later_imports, "import");
        writeln!(page, "  kept       what is listed by {later} of a later day (--as-of)")?;
    }
    if outcome.duplicates > 0 {
        writeln!(page, "  twice      {}", lines(outcome.duplicates))?;
    }
    if outcome.tally.rejected_sum() > 0 {
        let reasons = outcome.tally.rejected.iter();
        let reasons: Vec<String> =
            reasons.map(|(word, count)| format!("{count} {}", Reason::in_words(word))).collect();
        let rejected = lines(outcome.tally.rejected_sum());
        write!(page, "  rejected   {rejected}: {}", reasons.join(", "))?;
        match &what.rejects {
            Some(path) => writeln!(page, "; each is in {}", path.display())?,
            None => writeln!(page, "; --rejects FILE keeps them")?,
        }
    }
    describe_end(outcome, what, page)?;
    if outcome.is_pending {
        writeln!(page, "{PENDING}")?;
    }
    Ok(())
}

/// What became of it all.
fn describe_end(outcome: &Outcome, what: &Import, page: &mut Page) -> io::Result<()> {
    let records = outcome.places.iter().filter(|place| !place.is_earlier).count();
    match (&outcome.record, outcome.durable_at) {
        _ if outcome.numbers + outcome.numbers_taken_off == 0
            && outcome.tally.ranges.is_empty() =>
        {
            writeln!(page, "nothing to do: nothing in this file refuses anybody")
        }
        _ if !outcome.places.is_empty() && outcome.is_earlier => {
            writeln!(page, "nothing to do: this file was imported before")
        }
        _ if !outcome.places.is_empty() && !what.dry_run => {
            writeln!(page, "imported as {}, on disk", count(records, "record"))
        }
        (Some(record), Some(at)) if outcome.is_earlier => {
            let of = outcome.earlier_as_of.map(|of| format!(" as of {}", day(of)));
            let (at, of) = (at.iso8601(), of.unwrap_or_default());
            let again = again(outcome.earlier_as_of, clock::unix_now());
            writeln!(
                page,
                "nothing to do: this file was imported at {at}{of}, record {record}{again}"
            )
        }
        (Some(record), Some(at)) => {
            writeln!(page, "imported as record {record}, on disk at {}", at.iso8601())
        }
        _ => writeln!(page, "nothing was imported (--dry-run)"),
    }
}

fn describe_place(place: &PlaceOutcome, page: &mut Page) -> io::Result<()> {
    write!(page, "  listed     {}", numbers(place.numbers))?;
    if place.ranges > 0 {
        write!(page, " and {}", count(place.ranges, "range"))?;
    }
    write!(page, " on `{}`", place.list)?;
    if let Some(account) = &place.account {
        write!(page, " for account `{account}`")?;
    }
    if let Some(campaign) = &place.campaign {
        write!(page, " in campaign `{campaign}`")?;
    }
    if let Some(topic) = &place.topic {
        write!(page, " about `{topic}`")?;
    }
    match &place.record {
        Some(record) if place.is_earlier => writeln!(page, ", as before by record {record}"),
        Some(record) => writeln!(page, ", record {record}"),
        None => writeln!(page),
    }
}

fn goes_on(Resumed { lines, begun_at }: Resumed) -> String {
    let at = begun_at.iso8601();
    format!("goes on at line {} of an import begun at {at}", lines + 1)
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
            // Nobody sees it where the bar is hidden.
            Progress::Resumed(resumed) => self.0.println(goes_on(resumed)),
            Progress::Read { octets, of } => {
                self.show("reading  {wide_bar} {bytes}/{total_bytes} {eta}", octets, of);
            }
            Progress::Sorted { numbers, of } => {
                self.show("sorting  {wide_bar} {pos}/{len} {eta}", numbers, of);
            }
            Progress::Compared { numbers, of } => {
                self.show("checking {wide_bar} {pos}/{len} {eta}", numbers, of);
            }
            Progress::Written { numbers, of } => {
                self.show("writing  {wide_bar} {pos}/{len} {eta}", numbers, of);
            }
        }
    }

    fn load(&self, done: u64, of: u64) {
        self.show("loading  {wide_bar} {pos}/{len} {eta}", done, of);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_has_not_begun_is_refused_with_both_days() {
        // 2026-11-22T18:00Z by `date -u -d TIME +%s`.
        let now = UnixMicros(1_795_370_400_000_000);
        let midnight = UnixMicros(1_795_305_600_000_000);
        let judged =
            |at: i64| check_has_come(UnixMicros(at), now).map_err(|it| it.error.to_string());
        for (name, at) in [
            ("today", midnight.0),
            ("its last moment", midnight.0 + DAY_US - 1),
            ("yesterday", midnight.0 - DAY_US),
            ("today in the east", midnight.0 + DAY_US),
        ] {
            assert_eq!(judged(at), Ok(()), "{name}");
        }
        let want = "--as-of: expected 2026-11-23, the last day that has begun anywhere, or one \
                    before it, found 2026-11-24";
        assert_eq!(judged(midnight.0 + 2 * DAY_US), Err(want.to_owned()));
        // Before 10:00 UTC it is tomorrow nowhere.
        let morning = UnixMicros(midnight.0 + 10 * 3_600_000_000 - 1);
        let tomorrow = |now| check_has_come(UnixMicros(midnight.0 + DAY_US), now);
        assert!(tomorrow(morning).is_err() && tomorrow(UnixMicros(morning.0 + 1)).is_ok());
    }

    #[test]
    fn a_later_day_is_advised_only_where_there_is_one() {
        let now = UnixMicros(1_795_370_400_000_000);
        let is_advised =
            |days: i64| !again(Some(UnixMicros(now.0 + days * DAY_US)), now).is_empty();
        assert_eq!((is_advised(-1), is_advised(0), is_advised(1)), (true, false, false));
        assert!(!again(None, now).is_empty());
    }
}
