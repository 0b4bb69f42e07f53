//! SIPp in small numbers: a key by each method behind the carrier, a hang-up at each moment, a
//! call given up while it rings, and calls over IPv6.
//!
//! Each row of a table is a round of its own numbers; what must be on record of each number, and
//! what the call record says, stands in the row.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use bajavoz::record::Disposition;
use bajavoz::suppression::KeyMethod;

use crate::harness::machine;
use crate::harness::sipp::Load;
use crate::harness::sipp::Sipp;
use crate::harness::site::Site;
use crate::harness::site::Wishes;

/// Calls of one round.
const CALLS: usize = 20;

/// Calls a second.
const RATE: u32 = 40;

/// How long a round may take: its calls, the longest of them, and SIPp's wait for late messages.
const PATIENCE: Duration = Duration::from_secs(60);

/// One round: who plays, and what comes of it.
struct Round {
    dialer: &'static str,
    /// The carrier's scenario, in a bridged campaign.
    carrier: Option<&'static str>,
    /// The method on record; nothing is recorded without.
    method: Option<KeyMethod>,
    ended: Disposition,
}

const fn ivr(dialer: &'static str, method: Option<KeyMethod>, ended: Disposition) -> Round {
    Round { dialer, carrier: None, method, ended }
}

const fn bridged(
    dialer: &'static str,
    carrier: &'static str,
    method: Option<KeyMethod>,
    ended: Disposition,
) -> Round {
    Round { dialer, carrier: Some(carrier), method, ended }
}

fn numbers(round: usize) -> Vec<String> {
    (0..CALLS).map(|call| format!("+346001{round:02}{call:03}")).collect()
}

/// Plays `rounds` at `site`, then checks the records, the call records and that nothing is left.
fn play(site: &Site, rounds: &[Round]) {
    let engine = site.start();
    let dial = |place: usize, round: &Round, campaign| {
        let load = Load { numbers: &numbers(place), rate: RATE, campaign };
        Sipp::dialer(site, round.dialer, load)
    };
    let all = || rounds.iter().enumerate();
    // There is one address of the carrier, so bridged rounds come one after the other.
    let answered = all().filter(|(_, round)| round.carrier.is_none());
    let answered: Vec<_> =
        answered.map(|(place, round)| (round.dialer, dial(place, round, "promo"))).collect();
    for (place, round) in all() {
        let Some(scenario) = round.carrier else { continue };
        let carrier = Sipp::carrier(site, scenario, CALLS);
        dial(place, round, "survey").finish(PATIENCE).expect_all(round.dialer, CALLS);
        carrier.finish(PATIENCE).expect_all(scenario, CALLS);
    }
    for (scenario, dialer) in answered {
        dialer.finish(PATIENCE).expect_all(scenario, CALLS);
    }
    site.wait_until_idle();
    let entries = site.export();
    let mut found = BTreeMap::new();
    for entry in &entries {
        let number = entry.optout.number.reveal().to_string();
        assert_eq!(found.insert(number.clone(), entry.optout.method), None, "{number} twice");
    }
    assert!(engine.stop().success());
    let calls = site.calls();
    for (place, round) in rounds.iter().enumerate() {
        let name = format!("{} with {:?}", round.dialer, round.carrier);
        for number in numbers(place) {
            assert_eq!(found.remove(&number), round.method.map(Some), "{name}: {number}");
            let of_number = |call: &&bajavoz::record::Cdr| {
                call.number.is_some_and(|called| called.reveal() == number)
            };
            let ended: Vec<_> =
                calls.iter().filter(of_number).map(|call| call.disposition).collect();
            assert_eq!(ended, [round.ended], "{name}: {number}");
        }
    }
    assert!(found.is_empty(), "nobody pressed a key: {found:?}");
}

#[test]
fn keys_and_hang_ups_at_every_moment_end_as_they_must() {
    let _machine = machine();
    let (event, tone, info) = (KeyMethod::Event, KeyMethod::Tone, KeyMethod::Info);
    let out = Disposition::OptedOut;
    play(
        &Site::new(),
        &[
            ivr("uac_ivr_hangup_prompt", None, Disposition::Answered),
            ivr("uac_ivr_hangup_key", Some(event), out),
            bridged("uac_bridge", "uas_carrier_inband", Some(tone), out),
            bridged("uac_bridge", "uas_carrier_info", Some(info), out),
            bridged("uac_bridge", "uas_carrier_hangup_key", Some(event), out),
            bridged("uac_bridge_ended", "uas_carrier_hangup", None, Disposition::Answered),
            bridged("uac_bridge_hangup", "uas_carrier_quiet", None, Disposition::Answered),
            bridged("uac_bridge_busy", "uas_carrier_busy", None, Disposition::Busy),
            bridged("uac_cancel", "uas_carrier_ring", None, Disposition::Cancelled),
        ],
    );
}

#[test]
fn calls_over_ipv6_are_answered_bridged_and_opted_out_of() {
    let _machine = machine();
    let (event, out) = (KeyMethod::Event, Disposition::OptedOut);
    let wishes = Wishes { ip: Ipv6Addr::LOCALHOST.into(), allow: "::1/128", ..Wishes::default() };
    play(
        &Site::with(wishes),
        &[
            ivr("uac_ivr_event", Some(event), out),
            ivr("uac_ivr_inband", Some(KeyMethod::Tone), out),
            ivr("uac_ivr_info", Some(KeyMethod::Info), out),
            bridged("uac_bridge", "uas_carrier_event", Some(event), out),
            bridged("uac_cancel", "uas_carrier_ring", None, Disposition::Cancelled),
        ],
    );
}
