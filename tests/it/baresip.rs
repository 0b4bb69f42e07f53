//! baresip, a telephone that is not ours, hears the prompts and opts out by its keypad; tshark
//! finds nothing malformed in what was said.

use std::path::Path;
use std::time::Duration;

use bajavoz::cli::phones::Script;
use bajavoz::suppression::KeyMethod;

use crate::harness::baresip::Baresip;
use crate::harness::capture::Capture;
use crate::harness::capture::Captured;
use crate::harness::dissection::Dissection;
use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::site::Site;

/// Samples of a prompt that are looked for in what a telephone heard.
const PIECE: usize = 4_000;

/// Samples of a prompt's beginning: less than is heard before the key.
const BEGINNING: usize = 12_000;

/// The prompt and the likeness of what was heard, 1 being the same: G.711 alone leaves 0.999.
const LIKENESS_MIN: f64 = 0.98;

/// The number of the person.
const NUMBER: &str = "+34644000001";

/// The loudest piece of a prompt's beginning, which is heard whenever the key comes.
fn piece(prompt: &str) -> Vec<i16> {
    let path = format!("{}/audio/en/{prompt}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut wav = hound::WavReader::open(Path::new(&path)).expect("the prompt is there");
    let samples: Vec<i16> = wav.samples().collect::<Result<_, _>>().expect("a whole WAV file");
    let beginning = samples.get(..BEGINNING).unwrap_or(&samples);
    let loudest = beginning.windows(PIECE).step_by(160).max_by_key(|piece| energy(piece));
    loudest.expect("a prompt is longer than a piece").to_vec()
}

fn energy(samples: &[i16]) -> i64 {
    samples.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum()
}

/// The greatest likeness of `piece` with any part of `heard`: the normalised cross-correlation.
fn likeness(heard: &[i16], piece: &[i16]) -> f64 {
    let own = energy(piece) as f64;
    let like = |part: &[i16]| {
        let product: i64 = part.iter().zip(piece).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
        product as f64 / (own * energy(part).max(1) as f64).sqrt()
    };
    heard.windows(piece.len()).map(like).fold(0.0, f64::max)
}

fn check_heard(heard: &[i16], prompt: &str) {
    let found = likeness(heard, &piece(prompt));
    assert!(found > LIKENESS_MIN, "{prompt}: likeness {found} in {} samples", heard.len());
}

/// Every packet between engine and telephone is SIP, RTP or RTCP, whole, and the key 9 went as an
/// event.
fn check_packets(captured: &Captured, sip: [u16; 2]) {
    let Dissection { seen, keys, faults } = Dissection::of(captured, &sip);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen.iter().all(|&count| count > 0), "SIP, RTP, RTCP, events: {seen:?}");
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["9"], "other keys went as events");
}

fn check_export(site: &Site, campaign: &str) {
    let entries = site.export();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let optout = &entries[0].optout;
    assert_eq!(optout.number.reveal().to_string(), NUMBER);
    assert_eq!(optout.digits.to_string(), "9");
    assert_eq!(optout.method, Some(KeyMethod::Event));
    assert_eq!(optout.campaign.as_ref().map(|name| name.as_str()), Some(campaign));
}

/// `status --calls` lists so many calls of the campaign, and shows no number.
fn check_live(site: &Site, count: usize) {
    let told = process::output(&mut site.program(&["status", "--calls", "--json"]), None);
    assert_eq!(told.lines().count(), count, "{told}");
    for line in told.lines() {
        let call: serde_json::Value = serde_json::from_str(line).expect("one document a line");
        assert_eq!((&call["campaign"], &call["mode"]), (&"promo".into(), &"ivr".into()), "{line}");
        assert!(!line.contains(NUMBER.trim_start_matches('+')), "{line}");
    }
}

#[test]
fn a_telephone_calls_in_hears_the_prompts_and_opts_out() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let mut phone = Baresip::start(&site, "phone", None, false);
    let capture =
        Capture::start(&site, &[phone.ports(), site.sip.port()..site.sip.port() + 1], 4_096);
    phone.press(&format!("/dial sip:{NUMBER}@{}\n", site.sip));
    phone.wait_until_it_says("Call established");
    check_live(&site, 1);
    phone.wait_until_it_heard(Duration::from_secs(2));
    phone.press("9");
    phone.wait_until_it_says("send DTMF digit: '9'");
    phone.wait_until_it_says("session closed");
    site.wait_until_idle();
    check_live(&site, 0);
    let captured = capture.stop();
    let heard = phone.heard();
    check_heard(&heard, "welcome");
    check_heard(&heard, "optout-done");
    check_export(&site, "promo");
    check_packets(&captured, [site.sip.port(), phone.sip().port()]);
    assert!(engine.stop().success());
}

#[test]
fn a_telephone_behind_the_carrier_opts_out_of_a_bridged_call() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let mut phone = Baresip::start(&site, NUMBER, Some(site.carrier), true);
    let ends = [site.sip.port()..site.sip.port() + 1, site.carrier.port()..site.carrier.port() + 1];
    let capture = Capture::start(&site, &[phone.ports(), ends[0].clone(), ends[1].clone()], 4_096);
    let call = Call::new(NUMBER, "survey", Script::default());
    let report = std::thread::scope(|threads| {
        let dialer = threads.spawn(|| phones::call(site.sip, call));
        phone.wait_until_it_says("Call established");
        phone.wait_until_it_heard(Duration::from_secs(1));
        phone.press("9");
        dialer.join().expect("the dialer's phone does not panic")
    });
    let told = report.outcome.unwrap_or_default();
    assert!(told.starts_with("opt-out;digits=9"), "the dialer was told {told}");
    assert!(report.heard.packets_received > 25, "the dialer heard nothing of the person");
    phone.wait_until_it_says("session closed");
    site.wait_until_idle();
    let captured = capture.stop();
    check_heard(&phone.heard(), "optout-done");
    check_export(&site, "survey");
    check_packets(&captured, [site.sip.port(), phone.sip().port()]);
    assert!(engine.stop().success());
}
