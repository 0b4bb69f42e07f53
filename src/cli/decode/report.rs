//! What was heard in a file, as it is printed.

use std::io;
use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use crate::cli::page::Page;
use crate::cli::text::count;
use crate::dtmf::KeyPress;
use crate::model::UnixMicros;

/// Everything that was heard in a file.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The keys, in the order in which they were heard.
    pub(super) keys: Vec<Key>,
    /// Where they were listened for.
    pub(super) streams: Vec<Stream>,
    /// What to know about the file: cut off, fragments, ..
    pub(super) notes: Vec<String>,
}

/// One key.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Key {
    digit: char,
    method: &'static str,
    /// When it was pressed, in seconds from the file's beginning.
    pressed_s: f64,
    /// When it was certain.
    heard_s: f64,
    /// When it was pressed, where the file says what time it was.
    pressed_at: Option<String>,
    /// How long it lasted, to its end or as far as the file goes; of an INFO, what it states.
    duration_ms: Option<u16>,
    confidence: u8,
    volume_dbm0: Option<i8>,
    low_dbm0: Option<i8>,
    high_dbm0: Option<i8>,
    rtp_timestamp: Option<u32>,
    rtp_sequence: Option<u16>,
    stream: String,
}

/// One stream in which keys were listened for.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Stream {
    /// Addresses and SSRC, or what else tells it from others.
    pub(super) stream: String,
    /// What says which payload types are what: `sdp`, `guess` or `file`.
    pub(super) by: &'static str,
    /// Packets of audio.
    pub(super) audio: u64,
    /// Packets of telephone-events, or INFO requests.
    pub(super) events: u64,
    /// Packets of other payload types, which nobody listens to.
    pub(super) other: u64,
    /// Its keys, one after the other.
    pub(super) keys: String,
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Key(&'a Key),
    Stream(&'a Stream),
    Summary { keys: usize, streams: usize, notes: &'a [String] },
}

impl Report {
    /// Adds a key that was pressed in the stream with that index; `zero` is the file's beginning,
    /// `wall` the time that it was then. Gives its place in [`Self::keys`].
    pub(super) fn push(
        &mut self,
        press: &KeyPress,
        zero: Instant,
        wall: Option<UnixMicros>,
        stream: usize,
    ) -> usize {
        let place = self.keys.len();
        let Some(heard) = self.streams.get_mut(stream) else { return place };
        heard.keys.push(press.digit.as_char());
        let pressed = press.pressed_at.saturating_duration_since(zero);
        let micros = i64::try_from(pressed.as_micros()).unwrap_or(i64::MAX);
        let at = wall.map(|wall| UnixMicros(wall.0.saturating_add(micros)).iso8601());
        let evidence = &press.evidence;
        self.keys.push(Key {
            digit: press.digit.as_char(),
            method: press.method.as_str(),
            pressed_s: pressed.as_secs_f64(),
            heard_s: press.heard_at.saturating_duration_since(zero).as_secs_f64(),
            pressed_at: at,
            duration_ms: evidence.duration_ms,
            confidence: evidence.confidence,
            volume_dbm0: evidence.volume_dbm0,
            low_dbm0: evidence.low_dbm0,
            high_dbm0: evidence.high_dbm0,
            rtp_timestamp: evidence.rtp_timestamp,
            rtp_sequence: evidence.rtp_sequence,
            stream: heard.stream.clone(),
        });
        place
    }

    /// The key at `place` has lasted so long by now.
    pub(super) fn lasted(&mut self, place: usize, ms: u16) {
        if let Some(key) = self.keys.get_mut(place) {
            key.duration_ms = Some(ms);
        }
    }

    /// Prints it: a line for each key, each stream, and all together.
    pub(super) fn print(&self, json: bool, page: &mut Page) -> io::Result<()> {
        if !json {
            return self.print_for_people(page);
        }
        for key in &self.keys {
            page.json(&Line::Key(key))?;
        }
        for stream in &self.streams {
            page.json(&Line::Stream(stream))?;
        }
        let (keys, streams) = (self.keys.len(), self.streams.len());
        page.json(&Line::Summary { keys, streams, notes: &self.notes })
    }

    fn print_for_people(&self, page: &mut Page) -> io::Result<()> {
        if !self.keys.is_empty() {
            writeln!(page, "   pressed  key  method  lasted    level  sure  stream")?;
        }
        for key in &self.keys {
            let lasted = key.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
            let (at, digit, method) = (key.pressed_s, key.digit, key.method);
            let (level, sure, stream) = (key.level(), key.confidence, &key.stream);
            writeln!(
                page,
                "{at:9.3}s  {digit}    {method:<6} {lasted:>7} {level:>8} {sure:>4}%  {stream}"
            )?;
        }
        let streams = count(self.streams.len(), "stream");
        writeln!(page, "{} in {streams}", count(self.keys.len(), "key"))?;
        for stream in &self.streams {
            let Stream { stream, by, audio, events, other, keys } = stream;
            let keys = if keys.is_empty() { "no key" } else { keys };
            writeln!(
                page,
                "  {stream}: {keys} ({audio} audio, {events} events, {other} other; by {by})"
            )?;
        }
        for note in &self.notes {
            writeln!(page, "note: {note}")?;
        }
        Ok(())
    }
}

impl Key {
    /// The level in dBm0: of the event, or of both tones.
    fn level(&self) -> String {
        match (self.volume_dbm0, self.low_dbm0, self.high_dbm0) {
            (Some(volume), _, _) => volume.to_string(),
            (None, Some(low), Some(high)) => format!("{low}/{high}"),
            (None, _, _) => String::new(),
        }
    }
}
