//! `decode` on files put together here: tones from sines, packets octet by octet (RFC 791, 768,
//! 3550, 4733), so that nothing of ours judges itself.

use std::f64::consts::TAU;
use std::fs;

use super::folder::Folder;
use super::folder::Ran;

/// ITU-T Q.23, in hertz.
const FIVE: (f64, f64) = (770.0, 1336.0);
const NINE: (f64, f64) = (852.0, 1477.0);

/// `ms` of a key's two tones, 10 dB below full scale each; of silence without a key.
fn tones(key: Option<(f64, f64)>, ms: usize) -> Vec<i16> {
    let sample = |n: usize| {
        let (low, high) = key.unwrap_or_default();
        let wave = |hertz: f64| (TAU * hertz * n as f64 / 8000.0).sin();
        (10_000.0 * (wave(low) + wave(high))).round() as i16
    };
    (0..ms * 8).map(sample).collect()
}

/// A key press of 80 ms, 500 ms after the beginning and another 200 ms after it.
fn two_keys() -> Vec<i16> {
    let parts = [(None, 500), (Some(NINE), 80), (None, 200), (Some(FIVE), 80), (None, 200)];
    parts.into_iter().flat_map(|(key, ms)| tones(key, ms)).collect()
}

fn wav(rate_hz: u32, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let len = u32::try_from(data.len()).expect("a short file");
    let mut file = b"RIFF".to_vec();
    file.extend((36 + len).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(rate_hz.to_le_bytes());
    file.extend((rate_hz * 2).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(len.to_le_bytes());
    file.extend(data);
    file
}

/// ITU-T G.711 mu-law of one sample, by its definition.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let value = i32::from(sample).abs().min(32_635) + 132;
    let exponent = value.ilog2() - 7;
    let mantissa = (value >> (exponent + 3)) & 0x0F;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// A pcap file in the making: raw IPv4, times in microseconds.
struct Pcap(Vec<u8>);

impl Pcap {
    fn new() -> Self {
        let header = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 101];
        Self(header.into_iter().flat_map(u32::to_le_bytes).collect())
    }

    /// A datagram from 192.0.2.1 to 192.0.2.2.
    fn udp(&mut self, at_ms: u32, from: u16, to: u16, payload: &[u8]) {
        let len = u16::try_from(28 + payload.len()).expect("a short datagram");
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        for field in [from, to, len - 20, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(payload);
        let seconds = 1_795_300_000 + at_ms / 1000;
        let octets = u32::try_from(packet.len()).expect("a short packet");
        for field in [seconds, at_ms % 1000 * 1000, octets, octets] {
            self.0.extend(field.to_le_bytes());
        }
        self.0.extend(packet);
    }

    fn rtp(&mut self, at_ms: u32, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, payload_type];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(0x0BAD_CAFE_u32.to_be_bytes());
        packet.extend(payload);
        self.udp(at_ms, 4000, 5000, &packet);
    }

    /// The digit 9 as telephone-event: 100 ms long, its end three times, at -10 dBm0.
    fn event(&mut self, at_ms: u32, payload_type: u8, sequence: u16, timestamp: u32) {
        for n in 0..7_u16 {
            let end = if n >= 4 { 0x80 } else { 0 };
            let duration = 160 * (n + 1).min(5);
            let [high, low] = duration.to_be_bytes();
            let at_ms = at_ms + 20 * u32::from(n + 1);
            let payload = [9, end | 10, high, low];
            self.rtp(at_ms, payload_type, sequence + n, timestamp, &payload);
        }
    }
}

fn decoded(name: &str, bytes: &[u8], args: &[&str]) -> Ran {
    let folder = Folder::shipped();
    fs::write(folder.path(name), bytes).expect("it can be written");
    folder.bajavoz(&[&["decode", name][..], args].concat())
}

/// Digit, method and second of each key.
fn keys(ran: &Ran) -> Vec<(String, String, f64)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    ran.json()
        .iter()
        .filter(|line| line["kind"] == "key")
        .map(|key| {
            let pressed = key["pressed_s"].as_f64().expect("a number");
            (text(&key["digit"]), text(&key["method"]), pressed)
        })
        .collect()
}

fn assert_keys(ran: &Ran, want: &[(&str, &str, f64)]) {
    assert_eq!(ran.code, 0, "{ran:?}");
    let keys = keys(ran);
    assert_eq!(keys.len(), want.len(), "{keys:?}");
    for ((digit, method, pressed), (want_digit, want_method, at)) in keys.iter().zip(want) {
        assert_eq!((digit.as_str(), method.as_str()), (*want_digit, *want_method), "{keys:?}");
        assert!((pressed - at).abs() < 0.03, "{keys:?}");
    }
}

/// How many milliseconds each key lasted.
fn durations(ran: &Ran) -> Vec<u64> {
    let lines = ran.json();
    let keys = lines.iter().filter(|line| line["kind"] == "key");
    keys.map(|key| key["duration_ms"].as_u64().expect("a duration")).collect()
}

#[test]
fn a_key_lasts_until_it_is_let_go() {
    let parts = [(None, 100), (Some(NINE), 80), (None, 200), (Some(FIVE), 700), (None, 100)];
    let samples: Vec<i16> = parts.into_iter().flat_map(|(key, ms)| tones(key, ms)).collect();
    let close = |found: Vec<u64>, want: &[u64]| {
        let is_close = |(&found, &want): (&u64, &u64)| found.abs_diff(want) <= 5;
        assert_eq!(found.len(), want.len(), "{found:?}");
        assert!(found.iter().zip(want).all(is_close), "expected {want:?}, found {found:?}");
    };
    close(durations(&decoded("keys.wav", &wav(8000, &samples), &["--json"])), &[80, 700]);
    let mut pcap = Pcap::new();
    let octets: Vec<u8> = samples.into_iter().map(mu_law).collect();
    for (n, frame) in octets.chunks(160).enumerate() {
        let n = u16::try_from(n).expect("a short file");
        pcap.rtp(u32::from(n) * 20, 0, n, u32::from(n) * 160, frame);
    }
    pcap.event(2_000, 101, 100, 30_000);
    let ran = decoded("call.pcap", &pcap.0, &["--json"]);
    close(durations(&ran), &[80, 700, 100]);
    assert_eq!(durations(&ran)[2], 100, "the event states it");
    let people = decoded("call.pcap", &pcap.0, &[]).out;
    assert!(people.lines().any(|line| line.contains("event   100 ms")), "{people}");
}

#[test]
fn a_configuration_sets_the_limits_of_tones() {
    let folder = Folder::shipped();
    fs::write(folder.path("keys.wav"), wav(8000, &two_keys())).expect("it can be written");
    let typed = ["decode", "keys.wav", "--config", "config"];
    assert_eq!(folder.bajavoz(&typed).code, 0);
    let file = "config/bajavoz.toml";
    let text = fs::read_to_string(folder.path(file)).expect("the shipped configuration");
    // The tones are 10.3 dB below full scale, 7 dBm0 below zero: these limits ask for more.
    fs::write(folder.path(file), text.clone() + "\n[media.inband]\nlevel-min = -10\n")
        .expect("it can be written");
    let quieter: Vec<i16> = two_keys().into_iter().map(|sample| sample / 4).collect();
    fs::write(folder.path("quiet.wav"), wav(8000, &quieter)).expect("it can be written");
    assert_eq!(folder.bajavoz(&["decode", "quiet.wav"]).code, 0, "by the limits of the program");
    let deaf = folder.bajavoz(&["decode", "quiet.wav", "--config", "config"]);
    assert_eq!(deaf.code, 1, "{deaf:?}");
    fs::write(folder.path(file), text.clone() + "\n[media.inband]\nlisten = false\n")
        .expect("it can be written");
    let noted = folder.bajavoz(&["decode", "quiet.wav", "--config", "config"]);
    assert_eq!((noted.code, noted.out.contains("listen = false")), (0, true), "{noted:?}");
    fs::write(folder.path(file), text + "\n[media.inband]\nlevel-min = 10\n")
        .expect("it can be written");
    let wrong = folder.bajavoz(&["decode", "quiet.wav", "--config", "config"]);
    assert_eq!((wrong.code, wrong.errors.contains("level-min")), (2, true), "{wrong:?}");
}

#[test]
fn the_keys_of_a_wav_file_are_heard() {
    let ran = decoded("keys.wav", &wav(8000, &two_keys()), &["--json"]);
    assert_keys(&ran, &[("9", "tone", 0.5), ("5", "tone", 0.78)]);
    let people = decoded("keys.wav", &wav(8000, &two_keys()), &[]);
    assert!(people.out.contains("2 keys in 1 stream"), "{}", people.out);
    let silent = decoded("silence.wav", &wav(8000, &tones(None, 500)), &[]);
    assert_eq!((silent.code, silent.out.starts_with("0 keys")), (1, true), "{}", silent.out);
    let wrong = decoded("music.wav", &wav(44_100, &two_keys()), &[]);
    assert_eq!(
        (wrong.code, wrong.errors.contains("found 44100 Hz")),
        (2, true),
        "{}",
        wrong.errors
    );
    let other = decoded("text.pcap", b"neither of them", &[]);
    assert_eq!((other.code, other.errors.contains("pcap")), (2, true), "{}", other.errors);
}

#[test]
fn the_keys_of_a_capture_without_sip_are_heard() {
    let mut pcap = Pcap::new();
    let octets: Vec<u8> = two_keys().into_iter().map(mu_law).collect();
    let mut sequence = 65_530_u16;
    for (n, frame) in octets.chunks(160).enumerate() {
        let n = u32::try_from(n).expect("a short file");
        pcap.rtp(n * 20, 0, sequence, 8_000 + n * 160, frame);
        sequence = sequence.wrapping_add(1);
    }
    let after = 2_000;
    pcap.event(after, 101, sequence, 30_000);
    let ran = decoded("call.pcap", &pcap.0, &["--json"]);
    assert_keys(&ran, &[("9", "tone", 0.5), ("5", "tone", 0.78), ("9", "event", 2.0)]);
    let cut = decoded("call.pcap", &pcap.0[..pcap.0.len() - 5], &["--json"]);
    assert_keys(&cut, &[("9", "tone", 0.5), ("5", "tone", 0.78), ("9", "event", 2.0)]);
    assert!(cut.out.contains("the capture ends within a frame"), "{}", cut.out);
}

#[test]
fn payload_types_come_from_the_description_and_info_is_heard() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
               m=audio 5000 RTP/AVP 8 120\r\na=rtpmap:120 telephone-event/8000\r\n";
    let message = |start: &str, cseq: &str, kind: &str, body: &str| {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;\
             tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: one@example.com\r\nCSeq: {cseq}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = message("SIP/2.0 200 OK", "1 INVITE", "application/sdp", sdp);
    let digit = "Signal=5\r\nDuration=160\r\n";
    let info = message("INFO sip:b@example.com SIP/2.0", "2 INFO", "application/dtmf-relay", digit);
    let mut pcap = Pcap::new();
    pcap.udp(0, 5060, 5060, answer.as_bytes());
    pcap.event(100, 120, 1, 1_000);
    // Not described: nobody would have listened to it.
    pcap.event(1_000, 121, 20, 9_000);
    for at_ms in [2_000, 2_500] {
        pcap.udp(at_ms, 5060, 5060, info.as_bytes()); // The second is a retransmission.
    }
    let ran = decoded("call.pcap", &pcap.0, &["--json"]);
    assert_keys(&ran, &[("9", "event", 0.1), ("5", "info", 2.0)]);
    let forced = decoded("call.pcap", &pcap.0, &["--json", "--event-pt", "121"]);
    let want = [("9", "event", 0.1), ("9", "event", 1.0), ("5", "info", 2.0)];
    assert_keys(&forced, &want);
}
