//! `explain` and `optout`: questions about lists and opt-outs, and entering them.

use std::io;
use std::io::Write;
use std::path::Path;

use super::args::Add;
use super::args::Common;
use super::args::Explain;
use super::args::Export;
use super::args::Form;
use super::args::Optout;
use super::args::Reverse;
use super::args::Show;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::login::login;
use super::page::Page;
use super::text::count;
use super::text::one_line;
use super::text::optout_texts;
use super::text::write_texts;
use super::xlsx::XlsxExport;
use crate::engine::desk::Access;
use crate::engine::desk::Addition;
use crate::engine::desk::Reversed;
use crate::engine::desk::Reversing;
use crate::engine::desk::Selection;
use crate::engine::desk::Shown;
use crate::engine::desk::Still;
use crate::engine::desk::Verdict;
use crate::engine::desk::Withdrawing;
use crate::engine::desk::Withdrawn;
use crate::model::ListName;
use crate::model::UnixMicros;
use crate::suppression::Outcome;

/// Says whether a number may be called.
pub(super) fn explain(common: &Common, explain: Explain, page: &mut Page) -> Result<Code, Failure> {
    let mut counter = Counter::open(common, Access::Read)?;
    let campaign = explain.campaign.as_str().into();
    let explanation = counter.explain(explain.number, campaign)?;
    if common.json {
        page.json(&explanation)?;
    } else {
        write!(page, "{explanation}")?;
    }
    Ok(match explanation.verdict {
        Verdict::MayCall => Code::Yes,
        Verdict::MustNotCall => Code::No,
    })
}

/// One of the verbs on opt-outs.
pub(super) fn optout(common: &Common, optout: Optout, page: &mut Page) -> Result<Code, Failure> {
    match optout {
        Optout::Add(what) => add(common, what, page),
        Optout::Reverse(what) => reverse(common, what, page),
        Optout::Show(what) => show(common, what, page),
        Optout::Export(what) => export(common, what, page),
    }
}

fn add(common: &Common, add: Add, page: &mut Page) -> Result<Code, Failure> {
    let addition = Addition {
        number: add.number,
        lists: add.lists.iter().map(|list| list.as_str().into()).collect(),
        account: add.account.as_deref().map(Into::into),
        campaign: add.campaign.as_deref().map(Into::into),
        reason: add.reason,
        actor: add.actor.or_else(login),
    };
    let added = Counter::open_for(common, &addition)?.add(addition)?;
    if common.json {
        page.json(&added)?;
    } else {
        let (number, lists) = (added.number.reveal(), joined(&added.lists));
        let at = added.durable_at.iso8601();
        writeln!(page, "{number} is on {lists}; record {}, on disk at {at}", added.record)?;
        if added.is_pending {
            writeln!(page, "{PENDING}")?;
        }
    }
    Ok(Code::Yes)
}

fn reverse(common: &Common, reverse: Reverse, page: &mut Page) -> Result<Code, Failure> {
    if let Some(record) = reverse.import {
        let Reverse { reason, actor, yes, .. } = reverse;
        let actor = actor.or_else(login);
        return withdraw(common, Withdrawing { record, reason, actor, is_rehearsal: !yes }, page);
    }
    let reversing = Reversing {
        number: reverse.number.unwrap_or_default(),
        records: reverse.records,
        lists: reverse.lists.iter().map(|list| list.as_str().into()).collect(),
        is_all: reverse.all,
        reason: reverse.reason,
        actor: reverse.actor.or_else(login),
        is_rehearsal: !reverse.yes,
    };
    let reversed =
        Counter::open_for_reversal(common, reversing.is_rehearsal)?.reverse(reversing)?;
    if common.json {
        page.json(&reversed)?;
    } else {
        tell_reversed(&reversed, page)?;
    }
    Ok(Code::Yes)
}

/// What is said of a record that the database lacks.
pub(super) const PENDING: &str = "other engines do not know it yet: the database cannot be written \
    now, and an engine of this node forwards it once it can";

/// By what a number goes on to be refused.
fn by(still: &Still) -> String {
    match (&still.record, &still.range) {
        (Some(record), Some(range)) => format!("the range {range} of record {record}"),
        (Some(record), None) => format!("record {record}"),
        (None, Some(range)) => format!("the range {range} in the list's table"),
        (None, None) => "memory alone, until the engine ends".to_owned(),
    }
}

fn withdraw(common: &Common, what: Withdrawing, page: &mut Page) -> Result<Code, Failure> {
    let mut counter = Counter::open_for_reversal(common, what.is_rehearsal)?;
    let withdrawn = counter.withdraw(what, &mut |_done, _of| {})?;
    if common.json {
        page.json(&withdrawn)?;
    } else {
        tell_withdrawn(&withdrawn, page)?;
    }
    Ok(Code::Yes)
}

fn tell_withdrawn(withdrawn: &Withdrawn, page: &mut Page) -> io::Result<()> {
    let Withdrawn { import, list, numbers, ranges, .. } = withdrawn;
    let numbers = count(usize::try_from(*numbers).unwrap_or(usize::MAX), "number");
    let ranges = count(*ranges, "range");
    let at = withdrawn.imported_at.iso8601();
    writeln!(page, "import {import} of {at}: {numbers} and {ranges} on `{list}`")?;
    if withdrawn.taken_off > 0 {
        let taken_off = usize::try_from(withdrawn.taken_off).unwrap_or(usize::MAX);
        let taken_off = count(taken_off, "number");
        writeln!(page, "  it took off {taken_off}, which stand again as they did before it")?;
    }
    match (&withdrawn.record, withdrawn.durable_at) {
        (Some(record), Some(at)) => {
            writeln!(page, "taken back by record {record}, on disk at {}", at.iso8601())?;
        }
        _ => writeln!(page, "nothing was taken back; --yes does it")?,
    }
    if withdrawn.is_pending {
        writeln!(page, "{PENDING}")?;
    }
    Ok(())
}

fn tell_reversed(reversed: &Reversed, page: &mut Page) -> io::Result<()> {
    let number = reversed.number.reveal();
    let would = if reversed.record.is_some() { "is" } else { "would be" };
    for entry in &reversed.cancels {
        let (lists, origin, at) = (joined(&entry.lists), entry.origin.as_str(), entry.pressed_at);
        let (record, at) = (&entry.record, at.iso8601());
        writeln!(page, "{number} {would} off {lists}: {origin} of {at}, record {record}")?;
    }
    for still in &reversed.still {
        writeln!(page, "{number} stays on {}: by {}", still.list, by(still))?;
    }
    if reversed.still.is_empty() {
        writeln!(page, "nothing else refuses {number}")?;
    }
    match (&reversed.record, reversed.durable_at) {
        (Some(record), Some(at)) => {
            writeln!(page, "reversed by record {record}, on disk at {}", at.iso8601())?;
            if reversed.is_pending {
                writeln!(page, "{PENDING}")?;
            }
            Ok(())
        }
        _ => writeln!(page, "nothing was reversed; --yes does it"),
    }
}

fn show(common: &Common, show: Show, page: &mut Page) -> Result<Code, Failure> {
    let records = Counter::open(common, Access::Read)?.show(show.number)?;
    for shown in &records {
        if common.json {
            page.json(shown)?;
        } else {
            describe(shown, page)?;
        }
    }
    if records.is_empty() && !common.json {
        writeln!(page, "nothing is on record of this number")?;
    }
    Ok(if records.is_empty() { Code::No } else { Code::Yes })
}

fn describe(shown: &Shown, page: &mut Page) -> io::Result<()> {
    let (entry, optout) = (&shown.entry, &shown.entry.optout);
    writeln!(page, "record {}, {}", entry.record, optout.origin.as_str())?;
    writeln!(page, "  number     {}", optout.number.reveal())?;
    writeln!(page, "  lists      {}", joined(&optout.lists))?;
    match shown.refuses.is_empty() {
        true if entry.standing().next().is_none() => {
            writeln!(page, "  refused    by no list any more")?;
        }
        true => writeln!(page, "  refused    by no list that the configuration still has")?,
        false => writeln!(page, "  refused    by {}", joined(&shown.refuses))?,
    }
    for undone in &entry.reversed {
        let (list, at, record) = (&undone.list, undone.reversed_at.iso8601(), undone.record);
        let by = undone.actor.as_ref().map(|actor| format!(" by {}", one_line(actor)));
        let (by, reason) = (by.unwrap_or_default(), one_line(&undone.reason));
        writeln!(page, "  reversed   on {list} at {at}{by} ({reason}), record {record}")?;
    }
    write_texts(optout_texts(optout), page)?;
    let texts = [
        ("node", Some(optout.node.to_string())),
        ("pressed", Some(optout.pressed_at.iso8601())),
        ("durable", Some(entry.durable_at.unwrap_or(entry.written_at).iso8601())),
        ("confirmed", confirmed(entry.confirmed_at, entry.outcome)),
    ];
    write_texts(texts, page)?;
    if let Some(deleted) = &entry.evidence_deleted {
        writeln!(page, "  evidence   {deleted}, record {}", deleted.record)?;
    }
    Ok(())
}

/// When the person had heard the confirmation, or how it went instead.
fn confirmed(at: Option<UnixMicros>, outcome: Option<Outcome>) -> Option<String> {
    let at = at?.iso8601();
    Some(match outcome? {
        Outcome::Played => at,
        Outcome::CutShort => format!("the person hung up in the middle of it at {at}"),
        Outcome::NotPlayed => format!("not played, given up at {at}"),
    })
}

fn joined(lists: &[ListName]) -> String {
    lists.iter().map(ListName::as_str).collect::<Vec<_>>().join(", ")
}

fn export(common: &Common, export: Export, page: &mut Page) -> Result<Code, Failure> {
    let sheet = sheet(common, &export)?;
    let unwritten = |path: &Path, error: io::Error| {
        let error = anyhow::Error::new(error).context(format!("cannot write `{}`", path.display()));
        Failure { code: Code::Usage, error }
    };
    if let (Some(from), Some(to)) = (export.from, export.to)
        && from >= to
    {
        let (from, to) = (from.iso8601(), to.iso8601());
        let why = format!("expected --from before --to, found {from} and {to}");
        return Err(Failure::new(Code::Usage, why));
    }
    if let Some(path) = sheet {
        XlsxExport::spare(path).map_err(|error| unwritten(path, error))?;
    }
    let selection = Selection {
        from: export.from,
        to: export.to,
        campaign: export.campaign.as_deref().map(Into::into),
        list: export.list.as_deref().map(Into::into),
        origin: export.origin,
        number: export.number.clone(),
        is_standing: export.standing,
        with_imports: export.imports,
    };
    let format = export.format.format(common.json);
    let mut counter = Counter::open(common, Access::Read)?;
    let Some(path) = sheet else {
        let left_out = counter.export(selection, format, page)?;
        tell_left_out(common, left_out);
        return Ok(Code::Yes);
    };
    let unwritten = |error: io::Error| unwritten(path, error);
    let mut xlsx = XlsxExport::new().map_err(unwritten)?;
    let left_out = counter.export(selection, format, &mut xlsx)?;
    tell_left_out(common, left_out);
    let rows = xlsx.save(path).map_err(unwritten)?;
    if common.json {
        page.json(&serde_json::json!({ "file": path.display().to_string(), "rows": rows }))?;
    } else {
        let rows = count(usize::try_from(rows).unwrap_or(usize::MAX), "row");
        writeln!(page, "{rows} in {}", path.display())?;
    }
    Ok(Code::Yes)
}

/// Says on standard error that an export has not everybody who is refused.
fn tell_left_out(common: &Common, imports: u64) {
    if imports == 0 {
        return;
    }
    let text = if common.json {
        serde_json::json!({ "imports_left_out": imports }).to_string()
    } else {
        let imports = count(usize::try_from(imports).unwrap_or(usize::MAX), "import");
        format!("left out: {imports}; --imports has their numbers too, --list those of one list")
    };
    // Without standard error there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The file of a spreadsheet, which is no text and so does not go to standard output.
fn sheet<'a>(common: &Common, export: &'a Export) -> Result<Option<&'a Path>, Failure> {
    match (export.format, export.output.as_deref()) {
        (Form::Xlsx, Some(path)) => Ok(Some(path)),
        (Form::Xlsx, None) => Err(Failure::new(Code::Usage, "--format xlsx needs --output FILE")),
        (Form::Csv | Form::Jsonl, Some(_path)) => {
            let form = if common.json { "jsonl" } else { "csv and jsonl" };
            let why = format!("--output is for --format xlsx; {form} go to standard output");
            Err(Failure::new(Code::Usage, why))
        }
        (Form::Csv | Form::Jsonl, None) => Ok(None),
    }
}
