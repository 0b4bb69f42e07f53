//! `status`, `drain` and `reload`: words to the running engine.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::args::Common;
use super::args::Drain;
use super::args::Status;
use super::client::Engine;
use super::client::unexpected;
use super::counter::engine;
use super::counter::load;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::text::count;
use crate::call::LiveCall;
use crate::campaign::Mode;
use crate::engine::Finding;
use crate::engine::admin::Reply;
use crate::engine::admin::Report;
use crate::engine::admin::Request;
use crate::engine::registries::RegistryState;
use crate::store;

/// How often is looked whether a drained engine has let go of its store, and how many times: for a
/// minute, in which it writes its last records.
const HELD_LOOK_EVERY: Duration = Duration::from_millis(20);
const HELD_LOOKS_MAX: u32 = 3_000;

/// One of the lines of `reload --json` that are findings, as `check --json` has them.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    /// What is wrong, or probably not meant.
    Finding(&'a Finding),
}

/// Says how the engine stands.
pub(super) fn status(common: &Common, what: &Status, page: &mut Page) -> Result<Code, Failure> {
    let mut engine = engine(common)?;
    if what.calls {
        return calls(common, engine, page);
    }
    engine.send(&Request::Status)?;
    match engine.next()? {
        Reply::Status(report) if common.json => page.json(&report)?,
        Reply::Status(report) => describe(&report, page)?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Code::Yes)
}

/// One line a call.
fn calls(common: &Common, mut engine: Engine, page: &mut Page) -> Result<Code, Failure> {
    engine.send(&Request::Calls)?;
    loop {
        match engine.next()? {
            Reply::Call(call) if common.json => page.json(&call)?,
            Reply::Call(live) => {
                let LiveCall { call, dialer, campaign, mode, sip_call_id, began_at } = *live;
                let mode = match mode {
                    Mode::Ivr => "ivr",
                    Mode::Bridge => "bridge",
                };
                let began = began_at.iso8601();
                // The dialer chose it, and a terminal obeys control characters.
                let sip_call_id = sip_call_id.escape_debug();
                writeln!(page, "{began}  {call}  {dialer}  {campaign}  {mode}  {sip_call_id}")?;
            }
            Reply::End => return Ok(Code::Yes),
            reply => return Err(unexpected(&reply)),
        }
    }
}

fn describe(report: &Report, page: &mut impl Write) -> std::io::Result<()> {
    let (status, standing) = (&report.status, &report.standing);
    let state = if status.is_draining { "draining" } else { "running" };
    let (node, version, pid) = (&standing.node, &report.version, report.pid);
    writeln!(page, "engine `{node}` {version}, process {pid}: {state}")?;
    writeln!(page, "  calls        {}", status.calls)?;
    match status.ports_size {
        Some(size) => writeln!(page, "  media ports  {} of {size} pairs", status.ports_in_use)?,
        None => writeln!(page, "  media ports  {} pairs", status.ports_in_use)?,
    }
    writeln!(page, "  suppressed   {}", count(standing.numbers, "number"))?;
    for registry in &standing.registries {
        let mark =
            if registry.state == RegistryState::Fresh { "registry    " } else { "ATTENTION   " };
        writeln!(page, "  {mark} `{}`: {registry}", registry.list)?;
    }
    let records = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX), "record");
    write!(page, "  journal      {} on disk since the start", records(standing.facts))?;
    match standing.facts_lost {
        0 => writeln!(page)?,
        lost => writeln!(page, ", {lost} not")?,
    }
    if let Some(failure) = &standing.failure {
        writeln!(page, "  ALARM        {failure}")?;
    }
    if standing.optouts_unwritten > 0 {
        let unwritten = standing.optouts_unwritten;
        writeln!(page, "  ALARM        {unwritten} opt-outs refused in memory only, not on disk")?;
    }
    database(report, page)?;
    if standing.reversals_lost > 0 {
        let lost = standing.reversals_lost;
        writeln!(
            page,
            "  ATTENTION    {lost} reversals hold from the next start on: no room to wait"
        )?;
    }
    if standing.calls_lost > 0 {
        writeln!(page, "  call records {} lost", standing.calls_lost)?;
    }
    if let Some(key) = standing.proof_key {
        writeln!(page, "  proof key    {key}")?;
    }
    writeln!(page, "  config       {}", standing.config)
}

/// What there is to say of a database, and of the engines that share it.
fn database(report: &Report, page: &mut impl Write) -> std::io::Result<()> {
    let standing = &report.standing;
    let waiting = count(usize::try_from(standing.facts_waiting).unwrap_or(usize::MAX), "record");
    if report.status.is_database_away {
        writeln!(
            page,
            "  ALARM        the database is not written: {waiting} in the journal alone"
        )?;
    } else if standing.facts_waiting > 0 {
        writeln!(page, "  database     {waiting} still to come from here")?;
    }
    let Some(lag_ms) = standing.lag_ms else { return Ok(()) };
    let (s, ms) = (lag_ms / 1_000, lag_ms % 1_000);
    if standing.import_due_ms > 0 {
        let due_s = standing.import_due_ms / 1_000;
        writeln!(
            page,
            "  ATTENTION    an import of another engine is not in force yet, for {due_s} s"
        )?;
    }
    if standing.is_stale {
        writeln!(
            page,
            "  ATTENTION    other engines' opt-outs are unknown for {s} s: calls are refused"
        )
    } else {
        writeln!(page, "  others       known as of {s}.{ms:03} s ago")
    }
}

/// Ends the engine when its calls have.
pub(super) fn drain(common: &Common, drain: &Drain, page: &mut Page) -> Result<Code, Failure> {
    let mut engine = engine(common)?;
    let dir = match &common.socket {
        Some(socket) => socket.parent().map(Path::to_owned).unwrap_or_default(),
        None => load(common)?.store.path,
    };
    let holder = store::held_by(&dir);
    engine.send(&Request::Drain { patience_ms: drain.patience_ms() })?;
    match engine.last()? {
        // An engine that is gone has no call left either.
        Some(Reply::Done) | None => {}
        Some(reply) => return Err(unexpected(&reply)),
    }
    // Whoever waits for a drain wants the store next: it is let go of last.
    for _look in 0..HELD_LOOKS_MAX {
        if holder.is_none() || store::held_by(&dir) != holder {
            break;
        }
        engine.pause(HELD_LOOK_EVERY);
    }
    if common.json {
        page.json(&serde_json::json!({ "drained": true }))?;
    } else {
        writeln!(page, "no call is left; the engine has ended")?;
    }
    Ok(Code::Yes)
}

/// Lets the engine read its configuration anew.
pub(super) fn reload(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    let mut engine = engine(common)?;
    engine.send(&Request::Reload)?;
    let reloaded = loop {
        match engine.next()? {
            Reply::Finding(finding) => tell(common, &finding, page)?,
            Reply::Reloaded(reloaded) => break reloaded,
            reply => return Err(unexpected(&reply)),
        }
    };
    if common.json {
        page.json(&reloaded)?;
        return Ok(Code::Yes);
    }
    for warning in &reloaded.warnings {
        tell(common, warning, page)?;
    }
    writeln!(page, "new calls are decided by configuration {}", reloaded.config)?;
    Ok(Code::Yes)
}

fn tell(common: &Common, finding: &Finding, page: &mut Page) -> std::io::Result<()> {
    if common.json {
        page.json(&Line::Finding(finding))
    } else {
        writeln!(page, "{}\n", finding.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::desk::Standing;

    fn told(lag_ms: Option<u64>, is_stale: bool, facts_waiting: u64, is_away: bool) -> String {
        let standing = Standing { lag_ms, is_stale, facts_waiting, ..Standing::default() };
        lines(standing, is_away)
    }

    fn lines(standing: Standing, is_away: bool) -> String {
        let mut report = Report { standing, ..Report::default() };
        report.status.is_database_away = is_away;
        let mut page = Vec::new();
        describe(&report, &mut page).expect("memory takes it");
        let page = String::from_utf8(page).expect("it is text");
        let marks = ["others", "ATTENTION", "ALARM", "database"];
        let of_database = page
            .lines()
            .map(str::trim)
            .filter(|line| marks.iter().any(|mark| line.starts_with(mark)));
        of_database.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_wrong_with_the_database_and_the_other_engines_is_told() {
        let unknown = "ATTENTION    other engines' opt-outs are unknown for 8 s: calls are refused";
        let alarm = "ALARM        the database is not written: 1 record in the journal alone";
        let both = format!("{alarm}; {unknown}");
        let due = lines(
            Standing { lag_ms: Some(1), import_due_ms: 61_000, ..Standing::default() },
            false,
        );
        assert!(due.contains("an import of another engine is not in force yet, for 61 s"), "{due}");
        #[rustfmt::skip]
        let cases = [
            ("an engine alone",      told(None, false, 0, false),        ""),
            ("one that catches up",  told(None, false, 2, false),        "database     2 records still to come from here"),
            ("one that follows",     told(Some(250), false, 0, false),   "others       known as of 0.250 s ago"),
            ("one that cannot know", told(Some(8_100), true, 0, false),  unknown),
            ("nor be known",         told(Some(8_100), true, 1, true),   &both),
        ];
        for (name, told, want) in cases {
            assert_eq!(told, want, "{name}");
        }
    }
}
