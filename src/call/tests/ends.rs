//! Ends of calls: who is told what, which keys still count, and what a drain, a lost session or
//! an opt-out made elsewhere do to a call.

use super::*;

/// A bridged call that is up.
const UP: &str = "0:A.INVITE=pcmu 10:B.200=pcmu 20:A.ACK ";

#[test]
fn the_outcome_is_told_to_the_dialer_alone() {
    #[rustfmt::skip]
    let cases = [
        ("an opt-out on the carrier's side", "bridge",
         "100:key=9 101:ack 1000:played 1001:ack",
         "101:A<BYE(opt-out;digits=9) 1000:B<BYE"),
        ("an opt-out of the caller", "bridge-calling",
         "100:key=9 101:ack 1000:played 1001:ack",
         "101:B<BYE 1000:A<BYE(opt-out;digits=9)"),
        ("the longest call", "bridge", "",
         "600010:A<BYE(ended;reason=call-max) 600010:B<BYE"),
        ("the dialer hangs up", "bridge", "100:A.BYE", "100:B<BYE"),
        ("the carrier hangs up", "bridge", "100:B.BYE", "100:A<BYE(ended;reason=hung-up)"),
        ("the media is lost", "bridge", "100:lost",
         "100:A<BYE(ended;reason=media-lost) 100:B<BYE"),
        ("the record fails", "bridge",
         "100:key=9 101:fail 1000:played",
         "101:A<BYE(not-recorded;digits=9) 1000:B<BYE"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        (name, script.to_owned(), play(campaign, &format!("{UP}{script}"), "A<BYE B<BYE"), want)
    }));
}

#[test]
fn keys_by_info_count_for_a_while_after_a_bye() {
    #[rustfmt::skip]
    let cases = [
        ("the BYE overtakes the INFO",
         "100:B.BYE/11 110:B.INFO/10=9 111:ack 112:ack",
         "110:B<481/INFO 110:ledger<opt-out(9) 111:ledger<confirmed(NotPlayed) \
          600:record(opted_out)"),
        ("the INFO comes in time for the last time",
         "100:B.BYE/11 599:B.INFO/10=9 599:ack 599:ack",
         "599:B<481/INFO 599:ledger<opt-out(9) 599:ledger<confirmed(NotPlayed) \
          600:record(opted_out)"),
        ("the INFO comes too late",
         "100:B.BYE/11 601:B.INFO/10=9",
         "600:record(answered) 601:B<481/INFO"),
        ("the network doubles it",
         "100:B.BYE/11 110:B.INFO/10=9 112:ack 113:ack 120:B.INFO/10=9",
         "110:B<481/INFO 110:ledger<opt-out(9) 112:ledger<confirmed(NotPlayed) 120:B<481/INFO \
          600:record(opted_out)"),
        ("what was answered before the BYE is no new key",
         "50:B.INFO/10=5 100:B.BYE/11 110:B.INFO/10=9",
         "50:B<200/INFO 110:B<481/INFO 600:record(answered)"),
        ("what the peer says after its own BYE counts no more",
         "100:B.BYE/11 110:B.INFO/12=9",
         "110:B<481/INFO 600:record(answered)"),
        ("our BYE overtakes the INFO",
         "100:A.BYE 110:B.INFO/10=9 111:ack 112:ack",
         "110:B<481/INFO 110:ledger<opt-out(9) 111:ledger<confirmed(NotPlayed) \
          600:record(opted_out)"),
    ];
    compare(cases.map(|(name, script, want)| {
        let watch = "B<481 B<200/INFO ledger< record";
        (name, script.to_owned(), play("bridge", &format!("{UP}{script}"), watch), want)
    }));
}

#[test]
fn an_opt_out_is_recorded_whatever_becomes_of_the_dialer() {
    #[rustfmt::skip]
    let cases = [
        ("the dialer has lost its session, and says so while the disk is asked",
         "100:B.INFO=9 110:A.481/INFO 120:ack 1000:played 1010:ack",
         "100:ledger<opt-out(9) 110:A<BYE 120:voice<play(B,done) 1000:ledger<confirmed(Played) \
          1000:B<BYE 1500:record(opted_out)"),
        ("the dialer hangs up while the disk is asked",
         "100:key=9 110:A.BYE 120:ack 1000:played 1010:ack",
         "100:ledger<opt-out(9) 120:voice<play(B,done) 1000:ledger<confirmed(Played) \
          1000:B<BYE 1500:record(opted_out)"),
        ("the person hangs up while the disk is asked",
         "100:key=9 110:B.BYE 120:ack 130:ack",
         "100:ledger<opt-out(9) 120:ledger<confirmed(NotPlayed) 120:A<BYE(opt-out;digits=9) \
          610:record(opted_out)"),
        ("the person could hear nothing of the confirmation",
         "100:key=9 110:ack 120:played=0 130:ack",
         "100:ledger<opt-out(9) 110:voice<play(B,done) 110:A<BYE(opt-out;digits=9) \
          120:ledger<confirmed(NotPlayed) 120:B<BYE 620:record(opted_out)"),
    ];
    compare(cases.map(|(name, script, want)| {
        let watch = "A<BYE B<BYE ledger< voice<play record";
        (name, script.to_owned(), play("bridge", &format!("{UP}{script}"), watch), want)
    }));
}

#[test]
fn only_the_persons_keys_opt_out() {
    #[rustfmt::skip]
    let cases = [
        ("the person's, by INFO", "100:B.INFO=9 101:A.200/INFO 110:ack 200:played 210:ack",
         "100:A<INFO 100:B<200/INFO 100:ledger<opt-out(9) 200:ledger<confirmed(Played)"),
        ("the dialer's, by INFO: passed on, and nothing else", "100:A.INFO=9 110:B.200/INFO 200:A.BYE",
         "100:B<INFO 100:A<200/INFO"),
        ("the dialer's, in its media", "100:key-other=9 200:A.BYE", ""),
    ];
    compare(cases.map(|(name, script, want)| {
        let watch = "ledger< A<INFO B<INFO A<200/INFO B<200/INFO";
        (name, script.to_owned(), play("bridge", &format!("{UP}{script}"), watch), want)
    }));
}

#[test]
fn a_drain_ends_what_would_go_on() {
    #[rustfmt::skip]
    let cases = [
        ("a code that goes on, without a drain", "bridge-on",
         "100:key=9 101:ack 200:played 201:ack 300:A.BYE",
         "101:voice<play(B,done) 200:voice<relay(true) 300:B<BYE 800:record(opted_out)"),
        ("drained while the disk is asked", "bridge-on",
         "100:key=9 101:drain 102:ack 200:played 201:ack",
         "102:voice<play(B,done) 102:A<BYE(opt-out;digits=9) 200:B<BYE 700:record(opted_out)"),
        ("drained while the person is told", "bridge-on",
         "100:key=9 101:ack 102:drain 200:played 201:ack",
         "101:voice<play(B,done) 200:A<BYE(opt-out;digits=9) 200:B<BYE 700:record(opted_out)"),
        ("drained in conversation", "bridge-on",
         "100:drain", "100:A<BYE(ended;reason=shutdown) 100:B<BYE 600:record(answered)"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        let told = play(
            campaign,
            &format!("{UP}{script}"),
            "A<BYE B<BYE voice<play voice<relay(true) record",
        );
        let told = told.strip_prefix("10:voice<relay(true)").unwrap_or(&told).trim().to_owned();
        (name, script.to_owned(), told, want)
    }));
}

#[test]
fn keys_interrupt_a_greeting_only_where_they_mean_something() {
    #[rustfmt::skip]
    let cases = [
        ("an IVR that listens: barge-in", "ivr", "100:key=9 101:ack 200:played 201:ack",
         "10:voice<play(A,greeting) 100:voice<stop(A) 101:voice<play(A,done) \
          200:A<BYE(opt-out;digits=9)"),
        ("a key that is no code stops the greeting too", "ivr", "100:key=5 200:A.BYE",
         "10:voice<play(A,greeting) 100:voice<stop(A)"),
        ("an IVR without codes plays on, and ends behind it", "ivr-mute", "100:key=9 3000:played",
         "10:voice<play(A,greeting) 3000:A<BYE(ended;reason=no-key)"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        let script = format!("0:A.INVITE=pcmu 10:A.ACK {script}");
        let told = play(campaign, &script, "voice<play voice<stop A<BYE");
        (name, script, told, want)
    }));
}

#[test]
fn a_leg_that_rings_is_cancelled_when_its_number_opts_out_elsewhere() {
    #[rustfmt::skip]
    let cases = [
        ("while it rings", "bridge", "10:B.180 20:optout=+34600000001",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<180 20:A<603(suppressed;list=all) \
          20:B<CANCEL 20:B<ACK 520:record(suppressed)"),
        ("before the carrier has said anything: the CANCEL waits for that", "bridge",
         "20:optout=+34600000001 30:B.180",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 20:A<603(suppressed;list=all) \
          30:B<CANCEL 30:B<ACK 520:record(suppressed)"),
        ("the answer crosses the CANCEL", "bridge", "20:optout=+34600000001 30:B.200=pcmu",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 20:A<603(suppressed;list=all) 30:B<ACK \
          30:B<BYE 520:record(suppressed)"),
        ("another number", "bridge", "10:B.180 20:optout=+34600000009 30:B.486",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<180 30:B<ACK \
          30:A<486(refused;reason=carrier) 530:record(busy)"),
        ("the number to dial, though the person is another", "bridge-calling",
         "10:B.180 20:optout=+34600000001",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<180 20:A<603(suppressed;list=all) \
          20:B<CANCEL 20:B<ACK 520:record(suppressed)"),
        ("a call that is up goes on", "bridge",
         "10:B.200=pcmu 11:A.ACK 20:optout=+34600000001 30:A.BYE",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:B<ACK 10:A<200=pcmu#1 30:A<200/BYE \
          30:B<BYE 530:record(answered)"),
        ("a carrier that refused rings no more", "bridge", "10:B.486 20:optout=+34600000001",
         "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:B<ACK \
          10:A<486(refused;reason=carrier) 510:record(busy)"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        let told = play(campaign, &format!("0:A.INVITE=pcmu {script}"), "A< B< record");
        (name, script.to_owned(), told.replace("0:A<100 ", ""), want)
    }));
}

#[test]
fn an_opt_out_in_one_call_cancels_what_rings_in_another() {
    let mut play = Play::new(Opening { campaign: "ivr", ..Opening::default() });
    play.follow("0:A.INVITE=pcmu 10:A.ACK");
    let (voice, person) = (play.voice, play.person);
    // The same dialer calls the same number through the carrier.
    play.peers[0] = Peer::new(true, Opening::default());
    play.follow("20:A.INVITE=pcmu 30:B.180");
    (play.voice, play.person) = (voice, person);
    play.follow("40:key=9 41:ack 100:played 101:ack");
    assert_eq!(
        play.finish("B< A<603 A<BYE record"),
        "20:B<INVITE(+34910000001>+34600000001)=pcmu#1 40:A<603(suppressed;list=all) 40:B<CANCEL \
         40:B<ACK 100:A<BYE(opt-out;digits=9) 540:record(suppressed) 600:record(opted_out)"
    );
}

#[test]
fn an_engine_that_stops_leaves_no_leg_without_a_bye() {
    #[rustfmt::skip]
    let cases = [
        ("before the carrier answers", "bridge", "0:A.INVITE=pcmu 10:B.180 100:stop",
         "100:B<CANCEL"),
        ("in conversation", "bridge", &format!("{UP}100:stop"),
         "100:A<BYE(ended;reason=shutdown) 100:B<BYE"),
        ("drained before", "bridge", &format!("{UP}100:drain 110:stop"),
         "100:A<BYE(ended;reason=shutdown) 100:B<BYE"),
        ("while the disk is asked", "bridge", &format!("{UP}100:key=9 101:drain 110:stop"),
         "100:ledger<opt-out(9) 110:A<BYE(not-recorded;digits=9) 110:B<BYE"),
        ("and its answer comes too late", "bridge", &format!("{UP}100:key=9 110:stop 111:ack"),
         "100:ledger<opt-out(9) 110:A<BYE(not-recorded;digits=9) 110:B<BYE"),
        ("while the person is told", "bridge-on", &format!("{UP}100:key=9 101:ack 102:drain 110:stop 111:ack"),
         "100:ledger<opt-out(9) 110:A<BYE(opt-out;digits=9) 110:B<BYE \
          110:ledger<confirmed(NotPlayed)"),
        ("the person is gone, and the dialer not told yet", "bridge",
         &format!("{UP}100:key=9 105:B.BYE 110:stop"),
         "100:ledger<opt-out(9) 110:A<BYE(not-recorded;digits=9)"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        let told = play(campaign, script, "A<BYE B<BYE B<CANCEL ledger<");
        (name, script.to_owned(), told, want)
    }));
}
