//! Keys in a WAV file.

use std::io::Cursor;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use hound::SampleFormat;
use hound::WavReader;

use super::report::Report;
use super::report::Stream;
use crate::dtmf::Fusion;
use crate::dtmf::Method;
use crate::dtmf::ToneDetector;
use crate::dtmf::fusion;
use crate::dtmf::tone;
use crate::media::g711::FRAME_SAMPLES;
use crate::net::clock;

/// The rate of telephony.
const RATE_HZ: u32 = 8_000;

/// Hears the tones in `file`, 20 ms at a time as they come in a call.
pub(super) fn decode(file: &[u8], tone: tone::Settings) -> Result<Report> {
    let mut reader = WavReader::new(Cursor::new(file)).context("it is no WAV file of samples")?;
    let spec = reader.spec();
    let is_ours = spec.sample_rate == RATE_HZ
        && spec.channels == 1
        && spec.bits_per_sample == 16
        && spec.sample_format == SampleFormat::Int;
    ensure!(
        is_ours,
        "expected {RATE_HZ} Hz, mono, 16 bit, as telephony has it; found {} Hz, {} channels, {} bit; \
         `sox IN.wav -r 8000 -c 1 -b 16 OUT.wav` makes it so",
        spec.sample_rate,
        spec.channels,
        spec.bits_per_sample
    );
    let announced = reader.len() as usize;
    let samples: Vec<i16> = reader.samples::<i16>().map_while(std::result::Result::ok).collect();
    let mut report = heard(&samples, tone);
    if samples.len() < announced {
        let found = samples.len();
        report.notes.push(format!("the file ends after {found} of {announced} samples"));
    }
    Ok(report)
}

fn heard(samples: &[i16], tone: tone::Settings) -> Report {
    let frames = samples.len().div_ceil(FRAME_SAMPLES) as u64;
    let stream =
        Stream { stream: "the file".to_owned(), by: "file", audio: frames, ..Stream::default() };
    let mut report = Report { streams: vec![stream], ..Report::default() };
    let mut tones = ToneDetector::new(tone);
    let mut fusion = Fusion::new(fusion::Settings::default(), false);
    let zero = clock::now();
    let mut position = 0_u32;
    let mut newest = None;
    for frame in samples.chunks(FRAME_SAMPLES) {
        let key = tones.push_frame(frame, position);
        position = position.wrapping_add(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        let now =
            zero + Duration::from_micros(u64::from(position) * 1_000_000 / u64::from(RATE_HZ));
        if let Some(press) = key.and_then(|key| fusion.handle_heard(now, key)) {
            newest = Some((report.push(&press, zero, None, 0), press.evidence.rtp_timestamp));
        }
        if let Some((key, Some(began))) = newest
            && let Some(ms) = tones.lasted_ms(began)
        {
            report.lasted(key, ms);
        }
        if let Some(digit) = tones.held() {
            fusion.handle_held(now, Method::Tone, digit);
        }
    }
    report
}
