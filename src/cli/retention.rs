//! `retention`: what would be deleted today of evidence and call records.

use std::io;
use std::io::Write;
use std::time::Duration;

use super::args::Common;
use super::counter;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::text::count;
use crate::engine::desk::Access;
use crate::model::UnixMicros;
use crate::store::Ageing;
use crate::suppression::Retention;

/// Says what the configuration's policy would delete.
pub(super) fn retention(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    // By the files, whatever is in force: this is asked before a reload.
    let retention = counter::load(common)?.retention;
    let ageing = Counter::open(common, Access::Read)?.ageing(retention)?;
    if common.json {
        page.json(&serde_json::json!({ "retention": retention, "ageing": ageing }))?;
    } else {
        tell(&retention, &ageing, page)?;
    }
    let is_nothing = ageing.past.is_empty() && ageing.calls == 0;
    Ok(if is_nothing { Code::Yes } else { Code::No })
}

fn tell(retention: &Retention, ageing: &Ageing, page: &mut Page) -> io::Result<()> {
    let counted = |number: u64, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
    writeln!(page, "evidence is kept {}", kept(retention.evidence))?;
    writeln!(page, "call records are kept {}", kept(retention.calls))?;
    let numbers = counted(ageing.numbers, "number");
    match ageing.oldest {
        Some(oldest) => writeln!(page, "of {numbers} there is evidence, since {}", day(oldest))?,
        None => writeln!(page, "of no number there is evidence")?,
    }
    for month in &ageing.past {
        let (numbers, records) =
            (counted(month.numbers, "number"), counted(month.records, "record"));
        writeln!(page, "  {}    {numbers}, {records}", month.month)?;
    }
    // A clock that is years ahead is seen by its day.
    writeln!(page, "today, {}, that deletes {ageing}", day(ageing.today))?;
    if !ageing.past.is_empty() {
        writeln!(page, "each of these numbers is refused as before")?;
    }
    Ok(())
}

fn kept(time: Option<Duration>) -> String {
    match time {
        None => "for ever".to_owned(),
        Some(time) => {
            let days = usize::try_from(time.as_secs() / 86_400).unwrap_or(usize::MAX);
            format!("for {}", count(days, "day"))
        }
    }
}

fn day(at: UnixMicros) -> String {
    at.iso8601().chars().take_while(|c| *c != 'T').collect()
}
