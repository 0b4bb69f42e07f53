//! `verify --store`: a whole store, which is only read.

use std::io::Write;
use std::path::Path;

use super::Line;
use super::blame;
use crate::cli::args::Common;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::page::Page;
use crate::store;
use crate::store::Examined;
use crate::store::StoreError;
use crate::suppression::proof::PublicKey;

/// Examines the store in `dir`.
pub(super) fn verify(
    common: &Common,
    dir: &Path,
    key: Option<PublicKey>,
    page: &mut Page,
) -> Result<Code, Failure> {
    if !dir.join("journal").is_dir() {
        let why = format!("there is no store in `{}`: it has no folder `journal`", dir.display());
        return Err(Failure::new(Code::Usage, why));
    }
    let examined = store::examine(dir, key).map_err(|error| {
        let code = match &error {
            StoreError::Held { .. } => Code::Refused,
            _ => Code::Usage,
        };
        Failure { code, error: error.into() }
    })?;
    if !examined.faults.is_empty() {
        let lines = examined.faults.iter().map(|fault| Line {
            line: None,
            record: fault.record.map(|record| record.to_string()),
            message: fault.to_string(),
        });
        blame(common, dir, lines, page)?;
        return Ok(Code::No);
    }
    if common.json {
        page.json(&serde_json::json!({ "kind": "summary", "faults": 0, "store": examined }))?;
    } else {
        tell(dir, key, &examined, page)?;
    }
    Ok(Code::Yes)
}

fn tell(
    dir: &Path,
    key: Option<PublicKey>,
    examined: &Examined,
    page: &mut Page,
) -> std::io::Result<()> {
    let Examined { streams, records, opt_outs, imports, erased, checkpoints, .. } = examined;
    writeln!(page, "{}: whole", dir.display())?;
    writeln!(page, "  records      {records} in {streams} streams")?;
    writeln!(page, "  opt-outs     {opt_outs}, and {erased} records whose key is destroyed")?;
    writeln!(page, "  imports      {imports}, each with its segments")?;
    writeln!(page, "  checkpoints  {checkpoints}, {} records not signed yet", examined.unsigned)?;
    if examined.waiting > 0 {
        writeln!(page, "  waiting      {} records for the database", examined.waiting)?;
    }
    if examined.torn > 0 {
        writeln!(page, "  cut short    {} writes, never acknowledged", examined.torn)?;
    }
    if let Some(own) = examined.key {
        let from = if key.is_some() { "" } else { " (of the store itself; --key would name it)" };
        writeln!(page, "  key          {own}{from}")?;
    }
    Ok(())
}
