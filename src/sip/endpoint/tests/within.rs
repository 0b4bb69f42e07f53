//! Requests within a session: INFO once each, offers one at a time, CSeq as section 12.2.2 says.

use super::*;

const UP: &str = "0:INVITE 0:answer 0:ACK ";
const UP_TOLD: &str = "0=100,Invited,200,Acknowledged ";

/// Plays each script in a call that is up.
fn check(cases: &[(&str, &str, &str)]) {
    for (name, script, want) in cases {
        assert_eq!(play(&format!("{UP}{script}")), format!("{UP_TOLD}{want}"), "{name}: {script}");
    }
}

#[test]
fn infos_within_a_call() {
    #[rustfmt::skip]
    check(&[
        ("an INFO is told and answered",
         "10:INFO/2 20:respond=200 30:BYE/3",
         "10=Info 20=200/INFO 30=200/BYE,HungUp"),
        ("a repeated INFO is answered again and told once",
         "10:INFO/2 15:INFO/2 20:respond=200 510:INFO/2 600:BYE/3",
         "10=Info 20=200/INFO 510=200/INFO 600=200/BYE,HungUp"),
        ("a replayed INFO is refused and not told",
         "10:INFO/2 20:respond=200 30:INFO/2@replay 40:BYE/3",
         "10=Info 20=200/INFO 30=500/INFO 40=200/BYE,HungUp"),
        ("a stale INFO too",
         "10:INFO/5 20:respond=200 30:INFO/4 40:BYE/6",
         "10=Info 20=200/INFO 30=500/INFO 40=200/BYE,HungUp"),
        ("a gap in CSeq is nothing to wait for",
         "10:INFO/7 20:respond=200 30:INFO/900 31:respond=415 40:BYE/9999",
         "10=Info 20=200/INFO 30=Info 31=415/INFO 40=200/BYE,HungUp"),
        ("an INFO that nobody answers is forgotten with its transaction",
         "10:INFO/2 40000:BYE/3",
         "10=Info 40000=200/BYE,HungUp"),
        ("a BYE answers what is pending with 487",
         "10:INFO/2 20:BYE/3 30:respond=200",
         "10=Info 20=200/BYE,487/INFO,HungUp"),
        ("an INFO on its way when we hang up still counts",
         "10:bye 20:INFO/2 21:respond=200 30:200/BYE",
         "10=BYE 20=Info 21=200/INFO 30=Ended(HungUp)"),
        ("eight INFOs may wait, a ninth may not",
         "1:INFO/2 2:INFO/3 3:INFO/4 4:INFO/5 5:INFO/6 6:INFO/7 7:INFO/8 8:INFO/9 9:INFO/10 10:BYE/11",
         "1=Info 2=Info 3=Info 4=Info 5=Info 6=Info 7=Info 8=Info 9=503/INFO \
          10=200/BYE,487/INFO,487/INFO,487/INFO,487/INFO,487/INFO,487/INFO,487/INFO,487/INFO,HungUp"),
        ("our INFO goes out and its answer is no news",
         "10:info 20:200/INFO 30:BYE/2",
         "10=INFO 30=200/BYE,HungUp"),
        ("481 to our INFO: the peer has lost the call",
         "10:info 20:481/INFO 30:481/BYE",
         "10=INFO 20=BYE,Ended(Lost)"),
        ("an INFO that is not answered changes nothing",
         "10:info 33000:BYE/2",
         "10=INFO 510=INFO 1510=INFO 3510=INFO 7510=INFO 11510=INFO 15510=INFO 19510=INFO \
          23510=INFO 27510=INFO 31510=INFO 33000=200/BYE,HungUp"),
    ]);
}

#[test]
fn offers_within_a_call() {
    #[rustfmt::skip]
    check(&[
        ("a re-INVITE, answered and acknowledged",
         "10:REINVITE/2 20:respond=200 30:ACK/2 40:BYE/3",
         "10=100,Reoffered 20=200 30=Acknowledged 40=200/BYE,HungUp"),
        ("its answer is repeated until the ACK",
         "10:REINVITE/2 20:respond=200 600:ACK/2 700:BYE/3",
         "10=100,Reoffered 20=200 520=200 600=Acknowledged 700=200/BYE,HungUp"),
        ("a re-INVITE that we refuse leaves the call as it was",
         "10:REINVITE/2 20:respond=488 30:ACK/2@hop 40:BYE/3",
         "10=100,Reoffered 20=488 40=200/BYE,HungUp"),
        ("one on top of another that waits",
         "10:REINVITE/2 20:REINVITE/3 30:respond=200 40:ACK/2 50:BYE/4",
         "10=100,Reoffered 20=500 30=200 40=Acknowledged 50=200/BYE,HungUp"),
        ("one on top of an answer whose ACK is to come",
         "10:REINVITE/2 20:respond=200 30:REINVITE/3 40:ACK/2 50:BYE/4",
         "10=100,Reoffered 20=200 30=491 40=Acknowledged 50=200/BYE,HungUp"),
        ("a cancelled re-INVITE leaves the call as it was",
         "10:REINVITE/2 20:CANCEL/2 30:ACK/2@hop 40:respond=200 50:BYE/4",
         "10=100,Reoffered 20=200/CANCEL,487 50=200/BYE,HungUp"),
        ("an UPDATE",
         "10:UPDATE/2 20:respond=200 30:BYE/3",
         "10=Reoffered 20=200/UPDATE 30=200/BYE,HungUp"),
        ("an offer after our BYE finds no call to change",
         "10:bye 20:REINVITE/2 30:200/BYE",
         "10=BYE 20=481 30=Ended(HungUp)"),
        ("a re-INVITE whose ACK never comes ends the call",
         "10:REINVITE/2 20:respond=200 32030:200/BYE",
         "10=100,Reoffered 20=200 520=200 1520=200 3520=200 7520=200 11520=200 15520=200 \
          19520=200 23520=200 27520=200 31520=200 32020=BYE,Ended(AckMissing)"),
        ("we may hang up without waiting for its ACK",
         "10:REINVITE/2 20:respond=200 30:bye 40:200/BYE",
         "10=100,Reoffered 20=200 30=BYE 40=Ended(HungUp)"),
        ("a moved Contact is where our BYE goes",
         "10:REINVITE/2@moved 20:respond=200 30:ACK/2 40:bye 50:200/BYE",
         "10=100,Reoffered 20=200 30=Acknowledged 40=BYE 50=Ended(HungUp)"),
    ]);
}

#[test]
fn other_requests_within_a_call() {
    #[rustfmt::skip]
    check(&[
        ("OPTIONS within the call",
         "10:OPTIONS/2 15:OPTIONS/2 20:BYE/3",
         "10=200/OPTIONS 15=200/OPTIONS 20=200/BYE,HungUp"),
        ("PRACK is not among our methods",
         "10:PRACK/2 20:BYE/3",
         "10=405/PRACK 20=200/BYE,HungUp"),
        ("an extension we lack, but never against a BYE",
         "10:INFO/2@require 20:BYE/3@require",
         "10=420/INFO 20=200/BYE,HungUp"),
    ]);
}

#[test]
fn infos_that_the_end_overtakes() {
    #[rustfmt::skip]
    check(&[
        ("an INFO that its BYE overtook is told, and answered that there is no call",
         "10:BYE/4 20:INFO/3",
         "10=200/BYE,HungUp 20=LateInfo,481/INFO"),
        ("until half a second has gone",
         "10:BYE/4 509:INFO/2 510:INFO/3",
         "10=200/BYE,HungUp 509=LateInfo,481/INFO 510=481/INFO"),
        ("once, however often the network brings it",
         "10:BYE/4 20:INFO/3 30:INFO/3 40:INFO/3@replay",
         "10=200/BYE,HungUp 20=LateInfo,481/INFO 30=481/INFO 40=481/INFO"),
        ("what was told before the BYE is not told again",
         "10:INFO/2 11:respond=200 20:BYE/3 30:INFO/2 40:INFO/2@replay",
         "10=Info 11=200/INFO 20=200/BYE,HungUp 30=200/INFO 40=481/INFO"),
        ("a peer says nothing behind its own BYE",
         "10:BYE/4 20:INFO/5",
         "10=200/BYE,HungUp 20=481/INFO"),
        ("no stranger says it in its name",
         "10:BYE/4 20:INFO/3@imposter 30:INFO/3@othercall",
         "10=200/BYE,HungUp 20=481/INFO 30=481/INFO"),
        ("an INFO that the answer to our BYE overtook",
         "10:bye 20:200/BYE 30:INFO/2",
         "10=BYE 20=Ended(HungUp) 30=LateInfo,481/INFO"),
        ("where BYE met BYE too, and its answer is no second end",
         "10:bye 20:BYE/3 25:200/BYE 30:INFO/2",
         "10=BYE 20=200/BYE,HungUp 30=LateInfo,481/INFO"),
        ("nothing else is taken any more",
         "10:BYE/5 20:BYE/6 21:REINVITE/4 22:UPDATE/4 23:OPTIONS/4 24:ACK/1 25:bye 26:info",
         "10=200/BYE,HungUp 20=481/BYE 21=481 22=481/UPDATE 23=481/OPTIONS"),
    ]);
}

#[test]
fn requests_within_an_early_dialog() {
    #[rustfmt::skip]
    let cases = [
        ("an INFO while it rings",
         "0:INVITE 1:ring 10:INFO/2 11:respond=200 20:CANCEL 30:ACK@hop",
         "0=100,Invited 1=180 10=Info 11=200/INFO 20=200/CANCEL,487,Cancelled"),
        ("a re-INVITE while it rings",
         "0:INVITE 1:ring 10:REINVITE/2 20:CANCEL 30:ACK@hop",
         "0=100,Invited 1=180 10=500 20=200/CANCEL,487,Cancelled"),
        ("the called may send an UPDATE before it answers",
         "0:call 10:183 20:UPDATE/1@called 21:respond=200 30:486",
         "0=INVITE 10=Progress(183,0) 20=Reoffered 21=200/UPDATE 30=ACK,Refused(486)"),
        ("its CSeq is remembered across the answer",
         "0:call 10:183 20:UPDATE/5@called 21:respond=200 30:200 40:INFO/5@called 50:BYE/6@called",
         "0=INVITE 10=Progress(183,0) 20=Reoffered 21=200/UPDATE 30=ACK,Answered 40=500/INFO \
          50=200/BYE,HungUp"),
        ("but it may not hang up what it has not answered",
         "0:call 10:183 20:BYE/1@called 30:486",
         "0=INVITE 10=Progress(183,0) 20=481/BYE 30=ACK,Refused(486)"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}
