//! The sounds that this repository ships are what they claim to be.
//!
//! Every prompt of `audio/prompts.csv` is there in both languages, loads, and holds nothing that
//! our own tone detector takes for a key, in either codec: a prompt comes back as echo. The media
//! of the SIPp scenarios hold the key 9 exactly once, by the one method that their name says. The
//! expected values come from the texts and from the script that made the media.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bajavoz::dtmf::event::{self, EventDetector};
use bajavoz::dtmf::tone::{Settings, ToneDetector};
use bajavoz::media::g711;
use bajavoz::media::prompt::Prompt;
use bajavoz::model::codec::Codec;

fn repository() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// `language/name` of every row of prompts.csv.
fn promised() -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("audio/prompts.csv")).expect("prompts.csv");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows = rows.records().map(|row| row.expect("prompts.csv is CSV"));
    rows.map(|row| format!("{}/{}", &row[0], &row[1])).collect()
}

fn load(name: &str) -> Prompt {
    let file = repository().join("audio").join(format!("{name}.wav"));
    let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Prompt::from_wav(name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The digits that the tone detector hears in the octets of a codec.
fn tones_in(codec: Codec, octets: &[u8]) -> String {
    let mut detector = ToneDetector::new(Settings::default());
    let mut heard = String::new();
    let mut timestamp = 0_u32;
    for frame in octets.chunks(160) {
        let mut samples = [0_i16; 160];
        let len = g711::decode(codec, frame, &mut samples);
        if let Some(key) = detector.push_frame(&samples[..len], timestamp) {
            heard.push_str(&key.digit.to_string());
        }
        timestamp = timestamp.wrapping_add(160);
    }
    heard
}

#[test]
fn every_prompt_loads_and_every_file_is_a_prompt() {
    let names = promised();
    for language in ["en", "es"] {
        let folder = repository().join("audio").join(language);
        for entry in fs::read_dir(folder).expect("the folder of a language") {
            let file = entry.expect("an entry").file_name().into_string().expect("a name");
            let name = format!("{language}/{}", file.trim_end_matches(".wav"));
            assert!(names.contains(&name), "{name} is not in prompts.csv");
        }
    }
    for name in &names {
        let duration = load(name).duration();
        let is_short = (Duration::from_secs(1)..Duration::from_secs(7)).contains(&duration);
        assert!(is_short, "{name} lasts {duration:?}");
        let other = match name.split_at(2) {
            ("en", rest) => format!("es{rest}"),
            (_, rest) => format!("en{rest}"),
        };
        assert!(names.contains(&other), "{name} has no {other}");
    }
    assert_eq!(names.len(), 12);
}

#[test]
fn no_prompt_sounds_like_a_key() {
    for name in promised() {
        let prompt = load(&name);
        for codec in [Codec::Pcmu, Codec::Pcma] {
            assert_eq!(tones_in(codec, prompt.octets(codec)), "", "{name} in {codec:?}");
        }
    }
}

/// RTP of a classic pcap of Ethernet, IPv4 and UDP: payload type, sequence, timestamp, marker and
/// payload.
fn packets(file: &Path) -> Vec<(u8, u16, u32, bool, Vec<u8>)> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while let Some((head, tail)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let (frame, next) = tail.split_at(len);
        let rtp = &frame[14 + 20 + 8..];
        let sequence = u16::from_be_bytes([rtp[2], rtp[3]]);
        let timestamp = u32::from_be_bytes([rtp[4], rtp[5], rtp[6], rtp[7]]);
        packets.push((rtp[1] & 0x7f, sequence, timestamp, rtp[1] & 0x80 != 0, rtp[12..].to_vec()));
        rest = next;
    }
    packets
}

#[test]
fn the_media_of_the_scenarios_hold_the_key_once() {
    #[rustfmt::skip]
    let cases = [
        ("quiet_pcmu",       Codec::Pcmu, "",  ""),
        ("key9_event_pcmu",  Codec::Pcmu, "9", ""),
        ("key9_inband_pcmu", Codec::Pcmu, "",  "9"),
        ("key9_inband_pcma", Codec::Pcma, "",  "9"),
    ];
    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    let start = Instant::now();
    for (name, codec, events, tones) in cases {
        let file = repository().join("tests/sipp/media").join(format!("{name}.pcap"));
        let packets = packets(&file);
        let mut detector = EventDetector::new(event::Settings::default(), 8000);
        let (mut heard, mut audio, mut slot) = (String::new(), Vec::new(), 0);
        for (payload_type, sequence, timestamp, marker, payload) in packets {
            let now = start + Duration::from_millis(20) * slot;
            if payload_type == 101 {
                let key = detector.handle_packet(now, sequence, timestamp, marker, &payload);
                heard.extend(key.expect("a whole event").map(|key| key.digit.to_string()));
            } else {
                audio.extend(payload);
            }
            slot += 1;
        }
        assert_eq!(heard, events, "{name}: events");
        assert_eq!(tones_in(codec, &audio), tones, "{name}: tones");
    }
}
