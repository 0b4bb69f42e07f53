//! `verify`: whether bundles or a store are what was written, and what they say.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use super::args::Common;
use super::args::Verify;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::text::count;
use crate::model::RecordId;
use crate::model::hex;
use crate::suppression::EvidenceDeleted;
use crate::suppression::Fact;
use crate::suppression::proof::Heads;
use crate::suppression::proof::HeadsError;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::bundle;
use crate::suppression::proof::bundle::Fault;
use crate::suppression::proof::bundle::Verified;
use crate::suppression::proof::bundle::VerifiedRecord;

mod describe;
mod store;

use describe::describe;

/// Largest file that is read: far beyond what a bundle of the most records takes.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Checks bundles or a store.
pub(super) fn verify(common: &Common, verify: &Verify, page: &mut Page) -> Result<Code, Failure> {
    match verify.files.as_slice() {
        [] => store::verify(common, verify, page),
        [file] => verify_file(common, file, &verify.keys, page),
        files => verify_files(common, files, &verify.keys, page),
    }
}

/// Checks one file after the other, whatever becomes of those before; the worst is the answer.
fn verify_files(
    common: &Common,
    files: &[PathBuf],
    keys: &[PublicKey],
    page: &mut Page,
) -> Result<Code, Failure> {
    let (mut whole, mut worst) = (0, Code::Yes);
    for (place, file) in files.iter().enumerate() {
        if place > 0 && !common.json {
            writeln!(page)?;
        }
        let code = match verify_file(common, file, keys, page) {
            Ok(code) => code,
            Err(failure) if page.is_left() => return Err(failure),
            Err(failure) => {
                failure.report(common.json);
                failure.code
            }
        };
        whole += usize::from(code == Code::Yes);
        worst = if code as u8 > worst as u8 { code } else { worst };
    }
    let all = files.len();
    if common.json {
        let total = serde_json::json!({ "kind": "total", "files": all, "whole": whole });
        page.json(&total)?;
    } else {
        writeln!(page, "\n{}: {whole} whole, {} not", count(all, "file"), all - whole)?;
    }
    Ok(worst)
}

/// Checks a bundle under that of the keys which it is signed by.
fn verify_bundle(text: &[u8], keys: &[PublicKey]) -> Result<Verified, Vec<Fault>> {
    let mut verified = bundle::verify(text, keys.first().copied());
    for &key in keys.iter().skip(1) {
        verified =
            verified.or_else(|faults| bundle::verify(text, Some(key)).map_err(|_others| faults));
    }
    verified
}

fn verify_file(
    common: &Common,
    file: &Path,
    keys: &[PublicKey],
    page: &mut Page,
) -> Result<Code, Failure> {
    let text = read(file)?;
    match verify_bundle(&text, keys) {
        Ok(verified) => {
            tell(common, file, !keys.is_empty(), &verified, page)?;
            Ok(Code::Yes)
        }
        Err(faults) => {
            if let Some(heads) = heads(&text, keys) {
                return tell_heads(common, file, heads, page);
            }
            if serde_json::from_slice::<serde_json::Value>(first_line(&text)).is_err() {
                let why = format!("`{}` is no bundle of `bajavoz proof`", file.display());
                return Err(Failure::new(Code::Usage, why));
            }
            let lines = faults.iter().map(|fault| {
                FaultLine::new(file, Some(fault.line), fault.record, fault.to_string())
            });
            blame(common, file, lines, page)?;
            let is_none = |fault: &Fault| fault.line == 1 && fault.found.is_unreadable();
            Ok(if faults.iter().any(is_none) { Code::Usage } else { Code::No })
        }
    }
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|&octet| octet == b'\n').next().unwrap_or_default()
}

/// What the file says as heads, where it is meant for some.
fn heads(text: &[u8], keys: &[PublicKey]) -> Option<Result<Heads, HeadsError>> {
    let text = str::from_utf8(text).ok()?;
    match read_heads(text, keys) {
        Err(HeadsError::Unreadable) => None,
        read => Some(read),
    }
}

/// Reads heads under that of the keys which they are signed by.
fn read_heads(text: &str, keys: &[PublicKey]) -> Result<Heads, HeadsError> {
    let mut read = Heads::read(text, keys.first().copied());
    for &key in keys.iter().skip(1) {
        read = read.or_else(|error| Heads::read(text, Some(key)).map_err(|_other| error));
    }
    read
}

fn tell_heads(
    common: &Common,
    file: &Path,
    heads: Result<Heads, HeadsError>,
    page: &mut Page,
) -> Result<Code, Failure> {
    let name = file.display();
    let Heads { node, made_at, key, heads } = match heads {
        Ok(heads) => heads,
        Err(error) => {
            let fault = FaultLine::new(file, Some(1), None, error.to_string());
            blame(common, file, [fault].into_iter(), page)?;
            return Ok(Code::No);
        }
    };
    if common.json {
        page.json(&serde_json::json!({
            "kind": "summary", "file": name.to_string(), "faults": 0, "heads": heads.len(), "made_at": made_at,
            "key": key,
        }))?;
        return Ok(Code::Yes);
    }
    writeln!(page, "{name}: heads, as they were written")?;
    writeln!(page, "  made       {} on {node}", made_at.iso8601())?;
    writeln!(page, "  name       the ends of {}", count(heads.len(), "stream"))?;
    writeln!(page, "  key        {key}")?;
    writeln!(
        page,
        "hold a copy of the store against them by `bajavoz verify --store DIR --heads {name}`"
    )?;
    Ok(Code::Yes)
}

/// One fault, as a line of `--json`.
#[derive(Serialize)]
struct FaultLine {
    kind: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    record: Option<String>,
    message: String,
}

impl FaultLine {
    fn new(file: &Path, line: Option<usize>, record: Option<RecordId>, message: String) -> Self {
        let (file, record) = (file.display().to_string(), record.map(|record| record.to_string()));
        Self { kind: "fault", file, line, record, message }
    }
}

/// Says what is wrong with a file or a folder.
fn blame(
    common: &Common,
    path: &Path,
    lines: impl ExactSizeIterator<Item = FaultLine>,
    page: &mut Page,
) -> io::Result<()> {
    let (name, faults) = (path.display(), lines.len());
    for line in lines {
        if common.json {
            page.json(&line)?;
        } else {
            writeln!(page, "{name}: {}", line.message)?;
        }
    }
    if common.json {
        page.json(
            &serde_json::json!({ "kind": "summary", "file": name.to_string(), "faults": faults }),
        )
    } else {
        writeln!(page, "{name}: {}", count(faults, "fault"))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let len = fs::metadata(path).map(|found| found.len());
    let read = len.and_then(|len| match len {
        0..=FILE_BYTES_MAX => fs::read(path),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    });
    read.map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("cannot read `{}`", path.display()));
        Failure { code: Code::Usage, error }
    })
}

fn tell(
    common: &Common,
    file: &Path,
    is_key_given: bool,
    verified: &Verified,
    page: &mut Page,
) -> Result<(), Failure> {
    let (records, name) = (&verified.records, file.display().to_string());
    if common.json {
        for record in records {
            page.json(&serde_json::json!({
                "kind": "record",
                "file": name,
                "record": record.id.to_string(),
                "written_at": record.written_at,
                "opt_out": match record.said() { Some(Fact::OptOut(optout)) => Some(optout), _ => None },
                "import": match record.said() { Some(Fact::Import(it)) => Some(it), _ => None },
                "places": record.places,
                "audio": match record.said() { Some(Fact::Audio(it)) => Some(it), _ => None },
                "wav": (!record.audio.is_empty()).then(|| hex(&record.audio)),
                "reversal": match record.said() { Some(Fact::Reversal(it)) => Some(it), _ => None },
                "erased": record.fact.is_none(),
                "evidence_deleted": deleted(record.id, records),
                "confirmation": match record.said() { Some(Fact::Confirmed(it)) => Some(it), _ => None },
            }))?;
        }
        page.json(&serde_json::json!({
            "kind": "summary",
            "file": name,
            "faults": 0,
            "bundle": verified,
            "records": records.len(),
            "elsewhere": verified.elsewhere.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "is_key_given": is_key_given,
        }))?;
        return Ok(());
    }
    let (made, node) = (verified.made_at.iso8601(), &verified.node);
    let (mine, others) = (count(records.len(), "record"), verified.others);
    let checkpoints = count(verified.checkpoints, "signed checkpoint");
    writeln!(page, "{name}: whole")?;
    writeln!(page, "  number     {}", verified.number.reveal())?;
    writeln!(page, "  made       {made} on {node}")?;
    writeln!(page, "  holds      {mine} of the number, {others} that lead to {checkpoints}")?;
    for record in &verified.elsewhere {
        writeln!(page, "  elsewhere  record {record}: ask the node that wrote it for its bundle")?;
    }
    writeln!(page, "  key        {}", verified.key)?;
    if !is_key_given {
        writeln!(page, "             compare it with the one that you were given, or use --key")?;
    }
    for record in records {
        describe(record, deleted(record.id, records), verified.number, page)?;
    }
    Ok(())
}

/// By which erasure in the bundle the evidence of `record` is gone.
fn deleted(record: RecordId, records: &[VerifiedRecord]) -> Option<EvidenceDeleted> {
    records.iter().find_map(|it| match it.said() {
        Some(Fact::Erasure(erasure)) => erasure.deleted(it.id, record),
        _ => None,
    })
}
