//! The audio around a press, between independent speakers: what SIPp sent when its person pressed 9
//! by tone is in the bundle, octet by octet, and its hash in the record.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bajavoz::suppression::AudioResult;
use bajavoz::suppression::Fact;
use bajavoz::suppression::proof::bundle;

use crate::harness::capture::Captured;
use crate::harness::machine;
use crate::harness::process;
use crate::harness::sipp::Load;
use crate::harness::sipp::Sipp;
use crate::harness::site::Site;
use crate::harness::wait_for;

/// How long a call and SIPp's wait for late messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Octets of an RTP header.
const RTP_HEADER_LEN: usize = 12;

/// What SIPp plays as the key 9 (852 and 1477 Hz, ITU-T Q.23): the first 60 ms of its tones.
fn tones() -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp/media/key9_inband_pcmu.pcap");
    let mut payloads = Vec::new();
    Captured::at(file).each(|_from, _to, packet| payloads.push(packet[RTP_HEADER_LEN..].to_vec()));
    // In mu-law the sign stands in the high bit, and the other bits grow as the level falls.
    let is_loud = |payload: &&Vec<u8>| payload.iter().any(|octet| octet & 0x7f < 0x30);
    let loud: Vec<u8> = payloads.iter().filter(is_loud).take(3).flatten().copied().collect();
    assert_eq!(loud.len(), 480, "SIPp's file has tones");
    loud
}

#[test]
fn the_tones_of_a_press_are_in_the_proof_as_they_were_sent() {
    let _machine = machine();
    let site = Site::new();
    let file = site.config().join("bajavoz.toml");
    let wanted = "\n[evidence]\naudio = true\naudio-before = \"5s\"\naudio-after = \"1s\"\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + wanted).unwrap();
    let engine = site.start();
    let numbers = ["+34600900001".to_owned()];
    let carrier = Sipp::carrier(&site, "uas_carrier_inband", 1);
    let load = Load { numbers: &numbers, rate: 1, campaign: "survey" };
    Sipp::dialer(&site, "uac_bridge", load).finish(PATIENCE).expect_all("uac_bridge", 1);
    carrier.finish(PATIENCE).expect_all("uas_carrier_inband", 1);
    site.wait_until_idle();
    let (result, wav) = wait_for("the audio is on record", PATIENCE, || {
        let text = process::output(&mut site.program(&["proof", &numbers[0]]), None);
        let verified = bundle::verify(text.as_bytes(), None).expect("the bundle is whole");
        verified.records.into_iter().find_map(|record| match record.fact {
            Some(Fact::Audio(audio)) => Some((audio.result, record.audio)),
            _ => None,
        })
    });
    let AudioResult::Kept { sha256, duration_ms, before_ms, .. } = result else {
        panic!("the audio is kept: {result:?}")
    };
    assert!(before_ms > 60 && duration_ms > before_ms, "{result:?}");
    let kept = fs::read(site.store().join(format!("audio/{sha256}.wav"))).unwrap();
    assert_eq!(kept, wav);
    assert_eq!((&wav[8..16], &wav[20..22]), (&b"WAVEfmt "[..], &[7, 0][..]), "mu-law");
    let tones = tones();
    assert!(wav.windows(tones.len()).any(|octets| octets == tones), "the tones of the key");
    assert!(engine.stop().success());
    let examined = bajavoz::store::examine(&site.store(), None, &[]).unwrap();
    assert_eq!((examined.faults.len(), examined.audio), (0, 1), "{:#?}", examined.faults);
}
