//! `decode`: the keys in a recording or a capture, heard by the very code that listens to calls.

mod capture;
mod report;
mod stream;
mod wav;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::args::Common;
use super::args::Decode;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;

/// Largest file that is taken into memory: a day of one call, or 10,000 calls of a minute.
const FILE_LEN_MAX: u64 = 2 << 30;

/// Prints each key of a file.
pub(super) fn decode(common: &Common, decode: &Decode, page: &mut Page) -> Result<Code, Failure> {
    let file = &decode.file;
    let unread = |error: anyhow::Error| {
        let error = error.context(format!("cannot read `{}`", file.display()));
        Failure { code: Code::Usage, error }
    };
    let bytes = read(file).map_err(unread)?;
    let report = if bytes.starts_with(b"RIFF") {
        wav::decode(&bytes).map_err(unread)?
    } else {
        capture::decode(&bytes, decode.event_pt).map_err(unread)?
    };
    report.print(common.json, page)?;
    Ok(if report.keys.is_empty() { Code::No } else { Code::Yes })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= FILE_LEN_MAX, "it has more than {FILE_LEN_MAX} bytes");
    Ok(bytes)
}
