//! SIPp, a SIP speaker that is not ours, places calls by the hundred; the export must hold exactly
//! what was pressed, and the second round must be refused.
//!
//! ```text
//! SIPp (dialer) --SIP, RTP--> bajavoz --SIP, RTP--> SIPp (carrier)
//! ```

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use bajavoz::cli::phones::Script;
use bajavoz::model::Number;
use bajavoz::record::Cdr;
use bajavoz::record::Disposition;
use bajavoz::suppression::KeyMethod;
use bajavoz::suppression::Origin;
use bajavoz::suppression::export::Entry;

use crate::harness::capture::Capture;
use crate::harness::machine;
use crate::harness::number_from;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::sipp::Load;
use crate::harness::sipp::Sipp;
use crate::harness::site::Site;
use crate::harness::wait_for;

/// Calls of the IVR round in the gate; `BAJAVOZ_SIPP_CALLS` makes it another number.
const IVR_CALLS: u64 = 1_000;

/// Calls a second of the IVR round, all three methods together.
const IVR_RATE: u32 = 50;

/// Calls of the bridged round.
const BRIDGED_CALLS: usize = 500;

/// Calls a second of the bridged round: half of the IVR's, since each has two legs with audio
/// both ways.
const BRIDGED_RATE: u32 = 25;

/// Calls a second of a refused round, in which nothing but SIP is said.
const REFUSED_RATE: u32 = 200;

/// The longest that one call of these scenarios takes, and SIPp's wait for late messages.
const TAIL_MAX: Duration = Duration::from_secs(60);

fn numbers(range: Range<u64>) -> Vec<String> {
    range.map(|number| format!("+34600{number:06}")).collect()
}

/// How long a round may take, on a machine that does other things too.
fn patience(calls: usize, rate: u32) -> Duration {
    Duration::from_secs(3 * calls as u64 / u64::from(rate)) + TAIL_MAX
}

/// The entries by number; panics where a number has two.
fn by_number(entries: Vec<Entry>) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    for entry in entries {
        let number = entry.optout.number.reveal().to_string();
        let before = found.insert(number.clone(), entry);
        assert!(before.is_none(), "{number} is in the export twice");
    }
    found
}

/// The entry must say what happened in the call to `number`.
fn check_entry(number: &str, entry: &Entry, campaign: &str, method: KeyMethod) {
    let optout = &entry.optout;
    let lists: Vec<_> = optout.lists.iter().map(|list| list.as_str()).collect();
    let name = optout.campaign.as_ref().map(|name| name.as_str());
    let account = optout.account.as_ref().map(|name| name.as_str());
    let dialer = optout.dialer.as_ref().map(|name| name.as_str());
    let told = (optout.digits.to_string(), optout.method, optout.origin, name, account, dialer);
    let origin = Origin::DialledCode;
    let want = ("9".to_owned(), Some(method), origin, Some(campaign), Some("acme"), Some("dialer"));
    assert_eq!(told, want, "{number}");
    assert_eq!(lists, ["comercial"], "{number}");
    assert_eq!(optout.key_events.len(), 1, "{number}: {:?}", optout.key_events);
    assert!(optout.sip_call_id.is_some(), "{number}: no Call-ID");
    let durable_at = entry.durable_at.unwrap_or_else(|| panic!("{number}: not durable"));
    let confirmed_at = entry.confirmed_at.unwrap_or_else(|| panic!("{number}: not confirmed"));
    assert!(optout.pressed_at < durable_at && durable_at <= confirmed_at, "{number}: {entry:?}");
}

#[test]
fn every_key_of_a_thousand_calls_is_on_record_and_the_next_call_is_refused() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let calls = number_from("BAJAVOZ_SIPP_CALLS").unwrap_or(IVR_CALLS);
    let all = numbers(1..calls + 1);
    let third = all.len().div_ceil(3);
    let methods = [
        ("uac_ivr_event", KeyMethod::Event),
        ("uac_ivr_inband", KeyMethod::Tone),
        ("uac_ivr_info", KeyMethod::Info),
    ];
    let rates = [IVR_RATE - 2 * (IVR_RATE / 3), IVR_RATE / 3, IVR_RATE / 3];
    let parts: Vec<_> = all.chunks(third).zip(methods).zip(rates).collect();
    let dialers = parts.iter().map(|((numbers, (scenario, _)), rate)| {
        let load = Load { numbers, rate: *rate, campaign: "promo" };
        (Sipp::dialer(&site, scenario, load), scenario, numbers.len())
    });
    for (dialer, scenario, calls) in dialers.collect::<Vec<_>>() {
        dialer.finish(patience(calls, IVR_RATE / 3)).expect_all(scenario, calls);
    }
    site.wait_until_idle();
    let entries = by_number(site.export());
    for ((numbers, (_, method)), _) in &parts {
        for number in *numbers {
            let entry = entries.get(number).unwrap_or_else(|| panic!("{number} is missing"));
            check_entry(number, entry, "promo", *method);
        }
    }
    assert_eq!(entries.len(), all.len(), "the export has numbers that nobody called");

    let load = Load { numbers: &all, rate: REFUSED_RATE, campaign: "promo" };
    let refused = Sipp::dialer(&site, "uac_suppressed", load);
    let patience = patience(all.len(), REFUSED_RATE);
    refused.finish(patience).expect_all("uac_suppressed", all.len());
    assert_eq!(site.export().len(), all.len(), "a refused call made a record");
    let blocked = "bajavoz_calls_blocked_total{list=\"comercial\",campaign=\"promo\"}";
    assert_eq!(site.metric(blocked), Some(all.len() as f64));
    assert!(engine.stop().success());
    let ended = dispositions(&site.calls());
    assert_eq!(ended[&Disposition::OptedOut], all.len(), "{ended:?}");
    assert_eq!(ended[&Disposition::Suppressed], all.len(), "{ended:?}");
}

fn dispositions(calls: &[Cdr]) -> HashMap<Disposition, usize> {
    let mut counts = HashMap::new();
    for call in calls {
        *counts.entry(call.disposition).or_default() += 1;
    }
    counts
}

#[test]
fn five_hundred_bridged_calls_leave_five_hundred_records_and_no_leg() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let all = numbers(1_001..1_001 + BRIDGED_CALLS as u64);
    let media = site.media..site.media + 2_000;
    let capture = Capture::start(&site, std::slice::from_ref(&media), 64);
    let carrier = Sipp::carrier(&site, "uas_carrier_event", BRIDGED_CALLS);
    let load = Load { numbers: &all, rate: BRIDGED_RATE, campaign: "survey" };
    let dialer = Sipp::dialer(&site, "uac_bridge", load);
    let longest = patience(BRIDGED_CALLS, BRIDGED_RATE);
    dialer.finish(longest).expect_all("uac_bridge", BRIDGED_CALLS);
    carrier.finish(longest).expect_all("uas_carrier_event", BRIDGED_CALLS);
    site.wait_until_idle();
    let captured = capture.stop();
    let entries = by_number(site.export());
    for number in &all {
        let entry = entries.get(number).unwrap_or_else(|| panic!("{number} is missing"));
        check_entry(number, entry, "survey", KeyMethod::Event);
        assert_eq!(entry.optout.trunk.as_ref().map(|name| name.as_str()), Some("carrier"));
    }
    assert_eq!(entries.len(), BRIDGED_CALLS);

    let carrier = Sipp::carrier(&site, "uas_carrier_event", BRIDGED_CALLS);
    let load = Load { rate: REFUSED_RATE, ..load };
    let refused = Sipp::dialer(&site, "uac_suppressed", load);
    refused.finish(longest).expect_all("uac_suppressed", BRIDGED_CALLS);
    let seen = carrier.dismiss();
    assert_eq!((seen.passed, seen.failed), (0, 0), "the carrier was called: {seen:?}");
    let invites = "bajavoz_sip_requests_total{method=\"INVITE\",side=\"out\"}";
    assert_eq!(site.metric(invites), Some(BRIDGED_CALLS as f64));
    assert!(engine.stop().success());
    let peers = site.peers();
    let mut packets = captured.rtp_packets();
    // Whatever else goes over loopback is none of these calls.
    packets.retain(|(from, to), _| peers.contains(from) || peers.contains(to));
    check_media(&site.calls(), &packets, &media);
}

/// RTP flowed both ways on both legs of every call, and the engine counted what the wire carried.
fn check_media(calls: &[Cdr], packets: &HashMap<(u16, u16), u64>, media: &Range<u16>) {
    let bridged: Vec<_> =
        calls.iter().filter(|call| call.disposition == Disposition::OptedOut).collect();
    assert_eq!(bridged.len(), BRIDGED_CALLS);
    for call in &bridged {
        let number = call.number.map(Number::reveal);
        let b = call.b.as_ref().unwrap_or_else(|| panic!("{number:?}: no second leg"));
        // 9 comes after 1.5 s, 75 frames; the dialer's leg ends with it, the person's after the
        // confirmation. A tenth less, for frames before both sides were connected.
        for (leg, name) in [(&call.a, "dialer"), (b, "carrier")] {
            let counts = [leg.rtp_received, leg.rtp_sent];
            assert!(counts.iter().all(|&count| count >= 67), "{number:?}, {name}: {leg:?}");
        }
    }
    let sum = |count: fn(&Cdr) -> u64| bridged.iter().map(|call| count(call)).sum::<u64>();
    let b = |call: &Cdr| call.b.clone().unwrap_or_default();
    let sent = sum(|call| call.a.rtp_sent) + bridged.iter().map(|c| b(c).rtp_sent).sum::<u64>();
    let received =
        sum(|call| call.a.rtp_received) + bridged.iter().map(|c| b(c).rtp_received).sum::<u64>();
    let total = |is_ours: &dyn Fn(u16, u16) -> bool| {
        packets.iter().filter(|((from, to), _)| is_ours(*from, *to)).map(|(_, n)| n).sum::<u64>()
    };
    let on_wire_out = total(&|from, _| media.contains(&from));
    let on_wire_in = total(&|_, to| media.contains(&to));
    let told = format!(
        "{} bridged calls, RTP as the engine counts and as the wire carried: \
         sent {sent} of {on_wire_out}, received {received} of {on_wire_in}\n",
        bridged.len(),
    );
    io::stderr().write_all(told.as_bytes()).expect("standard error takes text");
    assert_eq!(sent, on_wire_out, "RTP sent: engine's count against the wire's");
    // What came when the leg had ended is on the wire alone.
    assert!(
        received <= on_wire_in && received * 100 >= on_wire_in * 99,
        "RTP received: {received} of {on_wire_in}"
    );
}

/// The carrier's telephone rings for a minute; the number opts out meanwhile, at the desk.
#[test]
fn a_call_that_rings_is_given_up_when_its_number_is_opted_out_by_hand() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let carrier = Sipp::carrier(&site, "uas_carrier_ring", 1);
    let number = "+34622000031";
    let sip = site.sip;
    let dialer = std::thread::spawn(move || {
        phones::call(sip, Call::new(number, "survey", Script::default()))
    });
    // The page counts by class: 100 is what is provisional.
    let ringing = "bajavoz_sip_responses_total{code=\"100\",side=\"in\"}";
    wait_for("the carrier rings", Duration::from_secs(20), || {
        site.metric(ringing).filter(|&responses| responses > 0.0)
    });
    let add = ["optout", "add", number, "--list", "comercial", "--account", "acme"];
    process::output(&mut site.program(&add), None);
    let refused = dialer.join().expect("a phone does not panic");
    let outcome = refused.outcome.unwrap_or_default();
    assert_eq!((refused.status, outcome.as_str()), (Some(603), "suppressed;list=comercial"));
    carrier.finish(Duration::from_secs(20)).expect_all("uas_carrier_ring", 1);
    assert!(engine.stop().success());
}
