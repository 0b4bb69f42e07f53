//! `verify --store`: a whole store, which is only read.

use std::io::Write;
use std::path::Path;

use super::FaultLine;
use super::blame;
use super::read;
use super::read_heads;
use crate::cli::args::Common;
use crate::cli::args::Verify;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::page::Page;
use crate::cli::text::count;
use crate::store;
use crate::store::Examined;
use crate::store::StoreError;
use crate::store::journal::Torn;
use crate::suppression::proof::Heads;
use crate::suppression::proof::HeadsError;
use crate::suppression::proof::PublicKey;

/// Examines the store in `dir`.
pub(super) fn verify(
    common: &Common,
    dir: &Path,
    verify: &Verify,
    page: &mut Page,
) -> Result<Code, Failure> {
    if !dir.join("journal").is_dir() {
        let why = format!("there is no store in `{}`: it has no folder `journal`", dir.display());
        return Err(Failure::new(Code::Usage, why));
    }
    let heads = verify.heads.as_deref().map(|file| heads_in(file, &verify.keys)).transpose()?;
    // Whose heads they are is whose store it must be.
    let key = verify.keys.first().copied().or_else(|| heads.as_ref().map(|heads| heads.key));
    let heads_of = heads.as_ref().map(|heads| heads.made_at);
    let named = heads.map(|heads| heads.heads).unwrap_or_default();
    let examined = store::examine(dir, key, &named).map_err(|error| {
        let code = match &error {
            StoreError::Held { .. } => Code::Refused,
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
        return Ok(Code::No);
    }
    if common.json {
        let name = dir.display().to_string();
        page.json(&serde_json::json!({
            "kind": "summary", "file": name, "faults": 0, "store": examined,
        }))?;
    } else {
        tell(dir, key, &examined, page)?;
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
