//! We are called: from the INVITE to the end, with everything that can cross or be lost.

use super::*;

/// Our 2xx without an ACK: section 13.3.1.4 with T1 500 ms, T2 4 s.
const REPEATS: &str = "500=200 1500=200 3500=200 7500=200 11500=200 15500=200 19500=200 \
    23500=200 27500=200 31500=200";

#[test]
fn calls_come_in() {
    #[rustfmt::skip]
    let cases = [
        ("a call from end to end",
         "0:INVITE 100:ring 1000:answer 1050:ACK 5000:BYE",
         "0=100,Invited 100=180 1000=200 1050=Acknowledged 5000=200/BYE,HungUp"),
        ("the ACK brings the answer to our offer",
         "0:INVITE 0:answer 10:ACK@answer 20:BYE",
         "0=100,Invited,200 10=Acknowledged+ 20=200/BYE,HungUp"),
        ("we hang up",
         "0:INVITE 0:answer 10:ACK 20:bye 30:200/BYE",
         "0=100,Invited,200 10=Acknowledged 20=BYE 30=Ended(HungUp)"),
        ("a repeated INVITE gets the last provisional, and none after the answer",
         "0:INVITE 10:INVITE 20:ring 30:INVITE 40:answer 50:INVITE 60:ACK 70:BYE",
         "0=100,Invited 10=100 20=180 30=180 40=200 60=Acknowledged 70=200/BYE,HungUp"),
        ("a phone that rings for long says so each minute, until it is answered",
         "0:INVITE 0:ring 90000:ring=183 155000:answer 155010:ACK 155020:BYE",
         "0=100,Invited,180 60000=180 90000=183 150000=183 155000=200 155010=Acknowledged \
          155020=200/BYE,HungUp"),
        ("an ACK heard twice is one ACK",
         "0:INVITE 0:answer 10:ACK 11:ACK 20:BYE",
         "0=100,Invited,200 10=Acknowledged 20=200/BYE,HungUp"),
        ("an old agent acknowledges under the INVITE's branch",
         "0:INVITE 0:answer 10:ACK@hop 20:BYE",
         "0=100,Invited,200 10=Acknowledged 20=200/BYE,HungUp"),
        ("a repeated BYE gets its 200 again",
         "0:INVITE 0:answer 10:ACK 20:BYE 520:BYE 32019:BYE",
         "0=100,Invited,200 10=Acknowledged 20=200/BYE,HungUp 520=200/BYE 32019=200/BYE"),
        ("and is a stranger's once timer J has run",
         "0:INVITE 0:answer 10:ACK 20:BYE 32021:BYE",
         "0=100,Invited,200 10=Acknowledged 20=200/BYE,HungUp 32021=481/BYE"),
        ("a lost ACK: the 2xx comes again until it is there",
         "0:INVITE 0:answer 1600:ACK 2000:BYE",
         "0=100,Invited,200 500=200 1500=200 1600=Acknowledged 2000=200/BYE,HungUp"),
        ("a BYE overtakes the ACK",
         "0:INVITE 0:answer 10:BYE 20:ACK",
         "0=100,Invited,200 10=200/BYE,HungUp"),
        ("a refusal is repeated until its ACK",
         "0:INVITE 0:reject=486 600:ACK@hop",
         "0=100,Invited,486 500=486"),
        ("a refusal that nobody acknowledges ends with timer H",
         "0:INVITE 0:reject=603",
         "0=100,Invited,603 500=603 1500=603 3500=603 7500=603 11500=603 15500=603 19500=603 \
          23500=603 27500=603 31500=603"),
        ("an order after the end does nothing",
         "0:INVITE 0:reject=603 1:ACK@hop 2:answer 3:ring 4:bye 5:cancel",
         "0=100,Invited,603"),
        ("hanging up on a ringing call refuses it",
         "0:INVITE 10:bye 20:ACK@hop",
         "0=100,Invited 10=480,Ended(HungUp)"),
        ("nonsense for a status is a server error",
         "0:INVITE 0:reject=200 1:ACK@hop",
         "0=100,Invited,500"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn answers_wait_for_their_ack() {
    let cases = [
        (
            "no ACK at all: a BYE ends it",
            "0:INVITE 0:answer 32100:200/BYE",
            format!("0=100,Invited,200 {REPEATS} 32000=BYE,Ended(AckMissing)"),
        ),
        (
            "a BYE ordered at once waits for the ACK",
            "0:INVITE 0:answer 0:bye 700:ACK 800:200/BYE",
            "0=100,Invited,200 500=200 700=Acknowledged,BYE 800=Ended(HungUp)".to_owned(),
        ),
        (
            "or for its timeout",
            "0:INVITE 0:answer 0:bye 32100:200/BYE",
            format!("0=100,Invited,200 {REPEATS} 32000=BYE,Ended(AckMissing)"),
        ),
        (
            "an ACK of another CSeq is none",
            "0:INVITE 0:answer 10:ACK/2 600:ACK 700:BYE",
            "0=100,Invited,200 500=200 600=Acknowledged 700=200/BYE,HungUp".to_owned(),
        ),
        (
            "our BYE is not answered: timer F",
            "0:INVITE 0:answer 0:ACK 1000:bye",
            "0=100,Invited,200,Acknowledged 1000=BYE 1500=BYE 2500=BYE 4500=BYE 8500=BYE \
             12500=BYE 16500=BYE 20500=BYE 24500=BYE 28500=BYE 32500=BYE 33000=Ended(ByeUnanswered)"
                .to_owned(),
        ),
        (
            "BYE meets BYE",
            "0:INVITE 0:answer 0:ACK 10:bye 11:BYE 12:481/BYE",
            "0=100,Invited,200,Acknowledged 10=BYE 11=200/BYE,HungUp".to_owned(),
        ),
        (
            "a lost BYE is sent again",
            "0:INVITE 0:answer 0:ACK 10:bye 600:200/BYE",
            "0=100,Invited,200,Acknowledged 10=BYE 510=BYE 600=Ended(HungUp)".to_owned(),
        ),
        (
            "a peer that knows no such call ends it too",
            "0:INVITE 0:answer 0:ACK 10:bye 20:481/BYE",
            "0=100,Invited,200,Acknowledged 10=BYE 20=Ended(HungUp)".to_owned(),
        ),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn calls_are_cancelled() {
    #[rustfmt::skip]
    let cases = [
        ("while it rings",
         "0:INVITE 10:ring 20:CANCEL 30:ACK@hop",
         "0=100,Invited 10=180 20=200/CANCEL,487,Cancelled"),
        ("twice: the second gets its 200 and nothing more",
         "0:INVITE 10:CANCEL 20:CANCEL 30:ACK@hop",
         "0=100,Invited 10=200/CANCEL,487,Cancelled 20=200/CANCEL"),
        ("too late: 200 and nothing",
         "0:INVITE 0:answer 10:CANCEL 20:ACK 30:BYE",
         "0=100,Invited,200 10=200/CANCEL 20=Acknowledged 30=200/BYE,HungUp"),
        ("after a refusal",
         "0:INVITE 0:reject=486 10:CANCEL 20:ACK@hop",
         "0=100,Invited,486 10=200/CANCEL"),
        ("unknown", "0:CANCEL", "0=481/CANCEL"),
        ("an answer ordered after it comes to nothing",
         "0:INVITE 10:CANCEL 11:answer 20:ACK@hop",
         "0=100,Invited 10=200/CANCEL,487,Cancelled"),
        ("by a BYE in the early dialog",
         "0:INVITE 10:ring 20:BYE/2 30:ACK@hop",
         "0=100,Invited 10=180 20=200/BYE,487,HungUp"),
        ("the 487 is repeated until its ACK",
         "0:INVITE 10:CANCEL 600:ACK@hop",
         "0=100,Invited 10=200/CANCEL,487,Cancelled 510=487"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn calls_are_refused_before_they_begin() {
    #[rustfmt::skip]
    let cases = [
        ("an extension we lack", "0:INVITE@require", "0=420"),
        ("the end of its hops", "0:INVITE@hops0", "0=483"),
        ("the same INVITE by another way",
         "0:INVITE 1:INVITE@replay 2:reject=486 3:ACK@hop",
         "0=100,Invited 1=482 2=486"),
        ("the door is closed", "0:close 0:INVITE 0:OPTIONS@untagged", "0=503,503/OPTIONS"),
        ("a running call goes on behind a closed door",
         "0:INVITE 0:close 0:answer 1:ACK 2:BYE",
         "0=100,Invited,200 1=Acknowledged 2=200/BYE,HungUp"),
        ("a CSeq of another method", "0:INVITE@mismatch", "0=400/BYE"),
        ("OPTIONS is answered", "0:OPTIONS@untagged", "0=200/OPTIONS"),
        ("REGISTER is not for us", "0:REGISTER@untagged", "0=405/REGISTER"),
        ("nor a method of tomorrow", "0:TELEPORT@untagged", "0=405/OTHER"),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

#[test]
fn limits_hold() {
    let limited = |sessions_max, transactions_max| {
        let mut endpoint = endpoint("198.51.100.1:5060", 7);
        endpoint.settings.sessions_max = sessions_max;
        endpoint.settings.transactions_max = transactions_max;
        endpoint
    };
    #[rustfmt::skip]
    let cases = [
        ("one session is room for one", 1, 9, "0:INVITE 1:reject=486 2:ACK@hop", "0=100,Invited 1=486"),
        ("none is room for none", 0, 9, "0:INVITE", "0=503"),
        ("nor without a transaction", 1, 0, "0:INVITE", "0=503"),
        ("a BYE is let through", 1, 1, "0:INVITE 0:answer 1:ACK 2:INFO/2 3:BYE/3",
         "0=100,Invited,200 1=Acknowledged 2=503/INFO 3=200/BYE,HungUp"),
    ];
    for (name, sessions, transactions, script, want) in cases {
        assert_eq!(play_with(limited(sessions, transactions), script), want, "{name}: {script}");
    }
}
