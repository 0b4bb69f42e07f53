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
use super::counter;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use crate::dtmf::tone;
use crate::engine;

/// Largest file that is taken into memory: a day of one call, or 10,000 calls of a minute.
const FILE_LEN_MAX: u64 = 2 << 30;

/// By what a file is listened to.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// What a pair of tones must be to be a key.
    tone: tone::Settings,
    /// The payload type of telephone-events, where it was typed.
    event_pt: Option<u8>,
}

/// What `decode` says where it hears more than the calls of its configuration would.
const DEAF: &str = "calls would hear no tones by this configuration: [media.inband] listen = false";

/// Prints each key of a file.
pub(super) fn decode(common: &Common, decode: &Decode, page: &mut Page) -> Result<Code, Failure> {
    let file = &decode.file;
    let unread = |error: anyhow::Error| {
        let error = error.context(format!("cannot read `{}`", file.display()));
        Failure { code: Code::Usage, error }
    };
    // Only what was typed counts: a recording can be judged where there is no configuration.
    let checked = common.config.is_some().then(|| counter::load(common)).transpose()?;
    let tone = checked.as_ref().map(engine::tone_settings).unwrap_or_default();
    let terms = Terms { tone, event_pt: decode.event_pt };
    let bytes = read(file).map_err(unread)?;
    let mut report = if bytes.starts_with(b"RIFF") {
        wav::decode(&bytes, terms.tone).map_err(unread)?
    } else {
        let decoded = capture::decode(&bytes, terms);
        decoded.map_err(|error| unread(error.context("it is no WAV file and no capture")))?
    };
    if checked.is_some_and(|checked| !checked.media.inband.listen) {
        report.notes.push(DEAF.to_owned());
    }
    report.print(common.json, page)?;
    Ok(if report.keys.is_empty() { Code::No } else { Code::Yes })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= FILE_LEN_MAX, "it has more than {FILE_LEN_MAX} bytes");
    Ok(bytes)
}
