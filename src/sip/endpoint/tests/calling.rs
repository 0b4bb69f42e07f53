//! We call: progress, answer, refusal, forks and the races of CANCEL.

use super::*;

#[test]
fn calls_go_out() {
    #[rustfmt::skip]
    let cases = [
        ("a call from end to end, hung up by us",
         "0:call 10:100 20:180 1000:200 5000:bye 5010:200/BYE",
         "0=INVITE 20=Progress(180,0) 1000=ACK,Answered 5000=BYE 5010=Ended(HungUp)"),
        ("hung up by the called",
         "0:call 10:200 20:BYE/1@called",
         "0=INVITE 10=ACK,Answered 20=200/BYE,HungUp"),
        ("a repeated answer gets its ACK again",
         "0:call 10:200 510:200 1510:200 2000:bye 2010:200/BYE",
         "0=INVITE 10=ACK,Answered 510=ACK 1510=ACK 2000=BYE 2010=Ended(HungUp)"),
        ("even after the end",
         "0:call 10:200 20:bye 30:200/BYE 510:200",
         "0=INVITE 10=ACK,Answered 20=BYE 30=Ended(HungUp) 510=ACK"),
        ("a refusal",
         "0:call 10:100 20:486",
         "0=INVITE 20=ACK,Refused(486)"),
        ("a repeated refusal gets its ACK again",
         "0:call 20:486 520:486",
         "0=INVITE 20=ACK,Refused(486) 520=ACK"),
        ("a redirect is the caller's to follow", "0:call 20:302", "0=INVITE 20=ACK,Refused(302)"),
        ("so is a challenge", "0:call 20:407", "0=INVITE 20=ACK,Refused(407)"),
        ("nobody there: timers A and B",
         "0:call",
         "0=INVITE 500=INVITE 1500=INVITE 3500=INVITE 7500=INVITE 15500=INVITE 31500=INVITE \
          32000=Refused(408,alone)"),
        ("a ringing phone that nobody takes",
         "0:call=5000 10:180 5001:200/CANCEL 5002:487",
         "0=INVITE 10=Progress(180,0) 5000=Refused(408,alone),CANCEL 5002=ACK"),
        ("100 and then silence",
         "0:call=5000 10:100",
         "0=INVITE 5000=Refused(408,alone),CANCEL 5500=CANCEL 6500=CANCEL 8500=CANCEL \
          12500=CANCEL 16500=CANCEL 20500=CANCEL 24500=CANCEL 28500=CANCEL 32500=CANCEL \
          36500=CANCEL"),
        ("two early dialogs, and the second answers",
         "0:call 10:180#a 20:183#b 30:180#a 40:200#b 50:bye 60:200/BYE",
         "0=INVITE 10=Progress(180,0) 20=Progress(183,1) 30=Progress(180,0) 40=ACK,Answered \
          50=BYE 60=Ended(HungUp)"),
        ("a late provisional is dropped",
         "0:call 10:200 20:180 30:bye 40:200/BYE",
         "0=INVITE 10=ACK,Answered 30=BYE 40=Ended(HungUp)"),
        ("provisionals are told again and again",
         "0:call 10:180 20:180 30:486",
         "0=INVITE 10=Progress(180,0) 20=Progress(180,0) 30=ACK,Refused(486)"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn forks_have_one_winner() {
    #[rustfmt::skip]
    let cases = [
        ("two answers: the first wins, the other is hung up",
         "0:call 10:200#a 20:200#b 25:200/BYE 30:bye 40:200/BYE",
         "0=INVITE 10=ACK,Answered 20=ACK,BYE 30=BYE 40=Ended(HungUp)"),
        ("each gets its own ACK again",
         "0:call 10:200#a 20:200#b 25:200/BYE 510:200#a 520:200#b 600:bye 610:200/BYE",
         "0=INVITE 10=ACK,Answered 20=ACK,BYE 510=ACK 520=ACK 600=BYE 610=Ended(HungUp)"),
        ("an answer after a refusal has no transaction left to take it",
         "0:call 10:486 20:200#b",
         "0=INVITE 10=ACK,Refused(486)"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn cancelling_crosses_answers() {
    #[rustfmt::skip]
    let cases = [
        ("after ringing",
         "0:call 10:180 20:cancel 30:200/CANCEL 40:487",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 40=ACK,Refused(487)"),
        ("before any response it waits for one",
         "0:call 20:cancel 100:100 110:200/CANCEL 120:487",
         "0=INVITE 100=CANCEL 120=ACK,Refused(487)"),
        ("and is never sent when the refusal comes first",
         "0:call 20:cancel 100:486",
         "0=INVITE 100=ACK,Refused(486)"),
        ("nor when the answer does",
         "0:call 20:cancel 100:200 110:200/BYE",
         "0=INVITE 100=ACK,BYE,Ended(AnsweredAfterCancel)"),
        ("nor when nothing ever comes",
         "0:call 20:cancel",
         "0=INVITE 500=INVITE 1500=INVITE 3500=INVITE 7500=INVITE 15500=INVITE 31500=INVITE \
          32000=Refused(408,alone)"),
        ("the answer crosses the CANCEL",
         "0:call 10:180 20:cancel 30:200 40:200/CANCEL 50:200/BYE",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 30=ACK,BYE,Ended(AnsweredAfterCancel)"),
        ("and comes again while its ACK was lost",
         "0:call 10:180 20:cancel 30:200 40:200/CANCEL 50:200/BYE 530:200",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 30=ACK,BYE,Ended(AnsweredAfterCancel) 530=ACK"),
        ("progress is no news any more",
         "0:call 10:180 20:cancel 21:183 30:200/CANCEL 40:487",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 40=ACK,Refused(487)"),
        ("no 487 ever: the INVITE is let go after 64*T1",
         "0:call 10:180 20:cancel 30:200/CANCEL",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 32020=Refused(408,alone)"),
        ("nor does progress on its way keep it",
         "0:call 10:180 20:cancel 25:183 30:200/CANCEL",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 32020=Refused(408,alone)"),
        ("cancelling twice is cancelling once",
         "0:call 10:180 20:cancel 25:cancel 26:bye 30:200/CANCEL 40:487",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 40=ACK,Refused(487)"),
        ("an order to cancel that crossed the answer hangs up",
         "0:call 10:200 10:cancel 20:200/BYE",
         "0=INVITE 10=ACK,Answered,BYE 20=Ended(HungUp)"),
        ("hanging up before the answer cancels",
         "0:call 10:180 20:bye 30:200/CANCEL 40:487",
         "0=INVITE 10=Progress(180,0) 20=CANCEL 40=ACK,Refused(487)"),
        ("ring_max before any response: the CANCEL waits for one",
         "0:call=1000 1600:100 1610:200/CANCEL 1620:487",
         "0=INVITE 500=INVITE 1000=Refused(408,alone) 1500=INVITE 1600=CANCEL 1620=ACK"),
        ("ring_max, and the answer crosses the CANCEL",
         "0:call=1000 10:180 1010:200 1020:200/CANCEL 1030:200/BYE",
         "0=INVITE 10=Progress(180,0) 1000=Refused(408,alone),CANCEL 1010=ACK,BYE"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn an_invite_is_checked_before_it_is_sent() {
    type Change = fn(&mut Invite);
    let listener = InviteError::Listener { listener: ListenerId(1) };
    #[rustfmt::skip]
    let cases: [(&str, Change, InviteError); 7] = [
        ("no such listener", |it| it.listener = ListenerId(1), listener),
        ("a Request-URI with a space", |it| it.request_uri = "sip:a b@c".into(), InviteError::RequestUri),
        ("no Request-URI", |it| it.request_uri.clear(), InviteError::RequestUri),
        ("a header in From", |it| it.from.push_str("\r\nX: 1"), InviteError::Text(HeaderName::From)),
        ("an empty To", |it| it.to_header.clear(), InviteError::Text(HeaderName::To)),
        ("a Call-ID in two words", |it| it.call_id = Some("a b".into()), InviteError::Text(HeaderName::CallId)),
        ("an empty Call-ID", |it| it.call_id = Some(String::new()), InviteError::Text(HeaderName::CallId)),
    ];
    for (name, change, want) in cases {
        let mut endpoint = endpoint("198.51.100.1:5060", 7);
        let mut invite = invite("192.0.2.1:5060".parse().unwrap(), 1000);
        change(&mut invite);
        assert_eq!(endpoint.invite(zero(), invite), Err(want), "{name}");
        assert!(endpoint.poll().is_none(), "{name}: nothing is sent");
        assert_eq!((endpoint.sessions_len(), endpoint.transactions_len()), (0, 0), "{name}");
    }
}

#[test]
fn our_own_calls_have_limits_too() {
    let mut endpoint = endpoint("198.51.100.1:5060", 7);
    endpoint.settings.sessions_max = 1;
    let to = "192.0.2.1:5060".parse().unwrap();
    assert!(endpoint.invite(zero(), invite(to, 1000)).is_ok());
    let refused = endpoint.invite(zero(), invite(to, 1000));
    assert_eq!(refused, Err(InviteError::Sessions { max: 1 }));
    endpoint.settings.sessions_max = 9;
    endpoint.settings.transactions_max = 1;
    let refused = endpoint.invite(zero(), invite(to, 1000));
    assert_eq!(refused, Err(InviteError::Transactions { max: 1 }));
    let counters = endpoint.counters();
    assert_eq!((counters.refused_sessions, counters.refused_transactions), (1, 1));
}

#[test]
fn what_is_remembered_of_one_invite_has_an_end() {
    let mut script = String::from("0:call");
    for fork in 0..17 {
        script.push_str(&format!(" {}:180#early{fork}", 10 + fork));
    }
    for fork in 0..17 {
        script.push_str(&format!(" {}:200#fork{fork}", 100 + fork));
    }
    script.push_str(" 200:bye 210:200/BYE");
    let told = play(&script);
    assert_eq!(told.matches("Progress").count(), 16, "{told}");
    assert_eq!(told.matches("ACK,").count(), 16, "one answer, 15 forks: {told}");
    assert!(!told.contains(" 116="), "the 17th 2xx is left alone: {told}");
    assert!(!told.contains("left"), "{told}");
}
