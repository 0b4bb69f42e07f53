//! `proof`: what is on record of a number, for somebody who need not believe us.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::args::Common;
use super::args::Proof;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use crate::engine::desk::Access;

/// Writes the bundle of a number, or prints the store's public key.
pub(super) fn proof(common: &Common, proof: Proof, page: &mut Page) -> Result<Code, Failure> {
    if proof.heads {
        let heads = Counter::open(common, Access::Sign)?.heads()?;
        let hint =
            "hold a copy of the store against them by `bajavoz verify --store DIR --heads FILE`";
        return hand_over(common, proof.out.as_deref(), heads.as_bytes(), hint, page);
    }
    let Some(number) = proof.number else { return key(common, page) };
    let Some(bundle) = Counter::open(common, Access::Sign)?.proof(number)? else {
        if common.json {
            page.json(&serde_json::json!({ "records": 0 }))?;
        } else if proof.out.is_some() {
            writeln!(page, "nothing is on record of this number")?;
        } else {
            // Standard output is for the bundle; without standard error nobody is left to tell.
            let _ = writeln!(io::stderr().lock(), "nothing is on record of this number");
        }
        return Ok(Code::No);
    };
    let hint = "check it by `bajavoz verify FILE`";
    hand_over(common, proof.out.as_deref(), &bundle, hint, page)
}

/// Writes what was asked for to a new file, or else to standard output; `hint` says what to do with
/// it.
fn hand_over(
    common: &Common,
    path: Option<&Path>,
    bytes: &[u8],
    hint: &str,
    page: &mut Page,
) -> Result<Code, Failure> {
    let Some(path) = path else {
        page.write_all(bytes)?;
        return Ok(Code::Yes);
    };
    write(path, bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let why = format!(
                "`{}` is there already, and is left alone: name a new file",
                path.display()
            );
            return Failure::new(Code::Usage, why);
        }
        let error = anyhow::Error::new(error).context(format!("cannot write `{}`", path.display()));
        Failure { code: Code::Usage, error }
    })?;
    let len = bytes.len();
    if common.json {
        page.json(&serde_json::json!({ "file": path.display().to_string(), "bytes": len }))?;
    } else {
        writeln!(page, "{len} bytes in {}; {hint}", path.display())?;
    }
    Ok(Code::Yes)
}

/// Makes a new file that our user alone reads: it says who opted out.
fn write(path: &Path, bundle: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bundle)?;
    file.sync_all()
}

fn key(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    let key = Counter::open(common, Access::Read)?.proof_key()?;
    match key {
        Some(key) if common.json => page.json(&serde_json::json!({ "key": key }))?,
        Some(key) => writeln!(page, "{key}")?,
        None => {
            let why = "the store has no key yet; `run` or `optout add` draws it";
            return Err(Failure::new(Code::No, why));
        }
    }
    Ok(Code::Yes)
}
