//! `verify --store` and `--server`: a whole store, which is only read.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::FaultLine;
use super::blame;
use super::read;
use super::read_heads;
use crate::cli::args::Common;
use crate::cli::args::Verify;
use crate::cli::counter::load;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::page::Page;
use crate::cli::store::server;
use crate::cli::text::count;
use crate::net::clock;
use crate::store;
use crate::store::Clock;
use crate::store::Examined;
use crate::store::StoreError;
use crate::store::journal::Torn;
use crate::store::postgres;
use crate::suppression::proof::Heads;
use crate::suppression::proof::HeadsError;
use crate::suppression::proof::PublicKey;

/// Examines the store in the folder that was named, or in that of the configuration.
pub(super) fn verify(common: &Common, verify: &Verify, page: &mut Page) -> Result<Code, Failure> {
    let checked = if verify.server { Some(load(common)?) } else { None };
    let server = checked.as_ref().map(server).transpose()?;
    let own_dir = checked.map(|checked| checked.store.path);
    let dir = verify.store.clone().or(own_dir).unwrap_or_default();
    let dir = dir.as_path();
    if !dir.join("journal").is_dir() {
        let why = format!("there is no store in `{}`: it has no folder `journal`", dir.display());
        return Err(Failure::new(Code::Usage, why));
    }
    let heads = verify.heads.as_deref().map(|file| heads_in(file, &verify.keys)).transpose()?;
    // Whose heads they are is whose store it must be.
    let key = verify.keys.first().copied().or_else(|| heads.as_ref().map(|heads| heads.key));
    let heads_of = heads.as_ref().map(|heads| heads.made_at);
    let named = heads.map(|heads| heads.heads).unwrap_or_default();
    let clock: Clock = Arc::new(clock::unix_now);
    let examined = match &server {
        Some(server) => store::examine_shared(dir, server, &clock, key, &named),
        None => store::examine(dir, key, &named),
    };
    let examined = examined.map_err(|error| {
        let code = match &error {
            StoreError::Held { .. } => Code::Refused,
            error if error.is_passing() => Code::Unreachable,
            _ => Code::Usage,
        };
        Failure { code, error: error.into() }
    })?;
    if !examined.faults.is_empty() {
        let lines = examined.faults.iter();
        let lines = lines.map(|fault| FaultLine::new(dir, None, fault.record, fault.to_string()));
        blame(common, dir, lines, page)?;
        if let Some(made_at) = heads_of.filter(|_made_at| !common.json) {
            let at = made_at.iso8601();
            writeln!(page, "the heads are of {at}: a copy from before that lacks what came later")?;
        }
        if server.is_some() && verify.store.is_some() && !common.json {
            let why = "a copy of the folder lacks what the server has got since";
            writeln!(page, "if the journal lacks the end of a stream: {why}")?;
        }
        return Ok(Code::No);
    }
    if common.json {
        let name = dir.display().to_string();
        page.json(&serde_json::json!({
            "kind": "summary", "file": name, "faults": 0, "store": examined,
        }))?;
    } else {
        tell(dir, server.as_ref(), key, &examined, page)?;
    }
    Ok(Code::Yes)
}

fn heads_in(file: &Path, keys: &[PublicKey]) -> Result<Heads, Failure> {
    let text = read(file)?;
    let heads = str::from_utf8(&text).map_err(|_error| HeadsError::Unreadable);
    heads.and_then(|text| read_heads(text, keys)).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("`{}`", file.display()));
        Failure { code: Code::Usage, error }
    })
}

fn tell(
    dir: &Path,
    server: Option<&postgres::Settings>,
    key: Option<PublicKey>,
    examined: &Examined,
    page: &mut Page,
) -> std::io::Result<()> {
    let Examined { streams, records, opt_outs, imports, audio, erased, checkpoints, .. } = examined;
    let (expired, expired_at) = (examined.expired, examined.expired_at);
    writeln!(page, "{}: whole", dir.display())?;
    writeln!(page, "  records      {records} in {}", count(*streams, "stream"))?;
    let count = |number: u64, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
    if !examined.has_database {
        writeln!(page, "  database     none in this folder: only the journal was looked at")?;
        writeln!(
            page,
            "               (--server looks at the rows of the configuration's server)"
        )?;
    }
    if let Some(server) = server {
        writeln!(page, "  database     {}", server.place())?;
    }
    writeln!(page, "  opt-outs     {opt_outs}")?;
    if *erased > 0 {
        writeln!(page, "  erased       {}, whose key is destroyed", count(*erased, "record"))?;
    }
    if let Some(at) = expired_at {
        let (expired, at) = (count(expired, "record"), at.iso8601());
        let day = at.split('T').next().unwrap_or_default();
        writeln!(
            page,
            "  evidence     of {expired} was deleted by retention policy, last on {day}"
        )?;
    }
    if *imports > 0 {
        writeln!(page, "  imports      {imports}, each with its segments")?;
    }
    if *audio > 0 {
        writeln!(page, "  audio        of {}, each with its file", count(*audio, "press"))?;
    }
    let unsigned = match examined.unsigned {
        0 => "every record is signed".to_owned(),
        unsigned => format!("{} not signed yet", count(unsigned, "record")),
    };
    writeln!(page, "  checkpoints  {checkpoints}, {unsigned}")?;
    tell_others(examined, page)?;
    for from in &examined.waiting_from {
        writeln!(page, "  waiting      for the database, from record {from} on")?;
    }
    for Torn { segment, offset } in &examined.torn {
        writeln!(
            page,
            "  cut short    a write that was never acknowledged, or other octets behind"
        )?;
        writeln!(page, "               the last record: segment `{segment}`, offset {offset}")?;
    }
    if let Some(own) = examined.key {
        writeln!(page, "  key          {own}")?;
        if key.is_none() {
            writeln!(
                page,
                "               compare it with the one that you were given, or use --key"
            )?;
        }
    }
    Ok(())
}

/// Says what of other engines is in the database.
fn tell_others(examined: &Examined, page: &mut Page) -> std::io::Result<()> {
    let Examined { other_streams, others, other_keys, others_unsigned, .. } = examined;
    if *other_streams > 0 {
        let count_of = |number: &u64| usize::try_from(*number).unwrap_or(usize::MAX);
        let others = count(count_of(others), "record");
        let streams = count(*other_streams, "stream");
        writeln!(
            page,
            "  others       {others} of other engines in {streams}: each in its chain and"
        )?;
        writeln!(page, "               with its rows; their evidence they alone can check")?;
        if *others_unsigned > 0 {
            let unsigned = count(count_of(others_unsigned), "record");
            writeln!(page, "               {unsigned} of them not signed yet")?;
        }
    }
    for key in other_keys {
        writeln!(page, "               signed by {key}")?;
    }
    Ok(())
}
