//! Offers and answers: the first, those that follow, and the answer that comes in an ACK
//! (RFC 3261 sections 13.2.1 and 14, RFC 3264, RFC 3311).

use super::*;

/// A bridged call that is up in PCMU, though both sides could do PCMA.
const UP: &str = "0:A.INVITE=pcmu+pcma 10:B.200=pcmu 20:A.ACK ";

/// What that shows of itself.
const UP_TOLD: &str = "10:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          10:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 10:A<200=pcmu#1";

fn after_up(told: &str) -> String {
    let rest = told.strip_prefix(UP_TOLD).unwrap_or_else(|| panic!("it is up: {told}"));
    rest.trim_start().to_owned()
}

#[test]
fn the_answer_in_an_ack_moves_the_media() {
    #[rustfmt::skip]
    let cases = [
        ("the dialer asks for our offer, and moves",
         "100:A.REINVITE 110:A.ACK=pcmu@192.0.2.11:9000 200:A.BYE",
         "100:A<200=pcmu+pcma#2 110:voice<settle(A,PCMU@192.0.2.11:9000!sendrecv) \
          200:A<200/BYE"),
        ("and changes its codec",
         "100:A.REINVITE 110:A.ACK=pcma 200:A.BYE",
         "100:A<200=pcmu+pcma#2 110:voice<settle(A,PCMA@192.0.2.11:7000!sendrecv) \
          200:A<200/BYE"),
        ("and holds the call",
         "100:A.REINVITE 110:A.ACK=pcmu!sendonly 200:A.BYE",
         "100:A<200=pcmu+pcma#2 110:voice<settle(A,PCMU@192.0.2.11:7000!recvonly) \
          200:A<200/BYE"),
        ("the carrier asks for our offer, and moves in another codec",
         "100:B.REINVITE 110:B.ACK=pcma@192.0.2.13:9000 200:A.BYE",
         "100:B<200=pcmu+pcma#2 110:voice<settle(B,PCMA@192.0.2.13:9000!sendrecv) \
          200:A<200/BYE"),
        ("an ACK without the answer leaves the media as it was",
         "100:A.REINVITE 110:A.ACK 200:A.BYE",
         "100:A<200=pcmu+pcma#2 200:A<200/BYE"),
        ("of the carrier too",
         "100:B.REINVITE 110:B.ACK 200:A.BYE",
         "100:B<200=pcmu+pcma#2 200:A<200/BYE"),
        ("an answer that takes the audio away ends the call",
         "100:A.REINVITE 110:A.ACK=pcmu@192.0.2.11:0",
         "100:A<200=pcmu+pcma#2 110:A<BYE(ended;reason=media)"),
        ("of the carrier too",
         "100:B.REINVITE 110:B.ACK=pcmu@192.0.2.12:0",
         "100:B<200=pcmu+pcma#2 110:A<BYE(ended;reason=media)"),
        ("and so does one that cannot be read",
         "100:B.REINVITE 110:B.ACK=nonsense",
         "100:B<200=pcmu+pcma#2 110:A<BYE(ended;reason=media)"),
        ("after it, an offer is answered in the codec that the call runs in",
         "100:A.REINVITE 110:A.ACK=pcma 200:A.REINVITE=pcmu+pcma 210:A.ACK 300:A.BYE",
         "100:A<200=pcmu+pcma#2 110:voice<settle(A,PCMA@192.0.2.11:7000!sendrecv) \
          200:voice<settle(A,PCMA@192.0.2.11:7000!sendrecv) 200:A<200=pcma#3 300:A<200/BYE"),
        ("the ACK of an answer of ours is no answer",
         "100:A.REINVITE=pcmu 110:A.ACK=pcma@192.0.2.11:9000 200:A.BYE",
         "100:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 100:A<200=pcmu#2 200:A<200/BYE"),
    ];
    compare(cases.map(|(name, script, want)| {
        let told = play("bridge", &format!("{UP}{script}"), "A<200 A<BYE B<200= voice<settle");
        (name, script.to_owned(), after_up(&told), want)
    }));
}

#[test]
fn a_first_invite_may_leave_the_offer_to_us() {
    #[rustfmt::skip]
    let cases = [
        ("an IVR: the answer is in the ACK", "ivr",
         "0:A.INVITE 10:A.ACK=pcma 100:A.BYE",
         "0:A<200=pcmu+pcma#1 10:voice<settle(A,PCMA@192.0.2.11:7000!sendrecv) 100:A<200/BYE \
          600:record(answered)"),
        ("an IVR: there is no answer", "ivr",
         "0:A.INVITE 10:A.ACK",
         "0:A<200=pcmu+pcma#1 10:A<BYE(ended;reason=media) 510:record(refused)"),
        ("a bridge offers what the carrier took, and what else there is", "bridge",
         "0:A.INVITE 10:B.200=pcma 20:A.ACK=pcma 100:A.BYE",
         "10:voice<settle(B,PCMA@192.0.2.12:7000!sendrecv) 10:A<200=pcma+pcmu#1 \
          20:voice<settle(A,PCMA@192.0.2.11:7000!sendrecv) 100:A<200/BYE 600:record(answered)"),
        ("no offer goes into a response that may be lost", "bridge",
         "0:A.INVITE 5:B.183=pcmu 10:B.200=pcmu 20:A.ACK=pcmu 100:A.BYE",
         "5:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) 5:A<183 \
          10:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) 10:A<200=pcmu+pcma#1 \
          20:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 100:A<200/BYE 600:record(answered)"),
        ("a bridge without an answer ends", "bridge",
         "0:A.INVITE 10:B.200=pcma 20:A.ACK",
         "10:voice<settle(B,PCMA@192.0.2.12:7000!sendrecv) 10:A<200=pcma+pcmu#1 \
          20:A<BYE(ended;reason=media) 520:record(refused)"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        let told = play(campaign, script, "A<18 A<200 A<BYE voice<settle record");
        (name, script.to_owned(), told, want)
    }));
}

#[test]
fn updates_and_offers_within_a_call() {
    #[rustfmt::skip]
    let cases = [
        ("an UPDATE without an offer asks for nothing",
         "100:A.UPDATE 200:A.BYE", "100:A<200/UPDATE 200:A<200/BYE"),
        ("nor does the carrier's",
         "100:B.UPDATE 200:A.BYE", "100:B<200/UPDATE 200:A<200/BYE"),
        ("an UPDATE with an offer is answered",
         "100:A.UPDATE=pcmu@192.0.2.11:9000 200:A.BYE",
         "100:voice<settle(A,PCMU@192.0.2.11:9000!sendrecv) 100:A<200/UPDATE=pcmu#2 \
          200:A<200/BYE"),
        ("an offer in the other codec only is taken",
         "100:B.REINVITE=pcma 110:B.ACK 200:A.BYE",
         "100:voice<settle(B,PCMA@192.0.2.12:7000!sendrecv) 100:B<200=pcma#2 200:A<200/BYE"),
        ("an offer that cannot be taken leaves the call as it was",
         "100:A.REINVITE=pcmu@224.0.0.1:9000 110:A.ACK 200:A.BYE",
         "100:A<488 200:A<200/BYE"),
    ];
    compare(cases.map(|(name, script, want)| {
        let told = play("bridge", &format!("{UP}{script}"), "A<200 A<488 B<200 voice<settle");
        (name, script.to_owned(), after_up(&told), want)
    }));
}

#[test]
fn the_dialer_gets_one_answer() {
    #[rustfmt::skip]
    let cases = [
        ("the carrier answers as it rang",
         "10:B.183=pcmu 20:B.200=pcmu 30:A.ACK 100:A.BYE",
         "10:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          10:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 10:A<183=pcmu#1 \
          20:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          20:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 20:A<200=pcmu#1 100:A<200/BYE"),
        ("another fork answers in another codec than rang",
         "10:B.183=pcmu 20:B.200#fork=pcma@192.0.2.13:7000 30:A.ACK 100:A.BYE",
         "10:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          10:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 10:A<183=pcmu#1 \
          20:voice<settle(B,PCMA@192.0.2.13:7000!sendrecv) \
          20:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 20:A<200=pcmu#1 100:A<200/BYE"),
        ("an UPDATE does not overtake the answer that is still to come",
         "10:B.183=pcmu 15:A.UPDATE=pcma 20:B.200=pcmu 30:A.ACK 100:A.BYE",
         "10:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          10:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 10:A<183=pcmu#1 15:A<500/UPDATE \
          20:voice<settle(B,PCMU@192.0.2.12:7000!sendrecv) \
          20:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 20:A<200=pcmu#1 100:A<200/BYE"),
    ];
    compare(cases.map(|(name, script, want)| {
        let script = format!("0:A.INVITE=pcmu+pcma {script}");
        let told = play("bridge", &script, "A<18 A<200 A<500 voice<settle");
        (name, script, told, want)
    }));
}

#[test]
fn an_offer_of_ours_keeps_the_lines_and_payload_types_of_our_answer() {
    let audio = "m=audio_7000_RTP/AVP_0_8_96|a=rtpmap:96_telephone-event/8000";
    let video = "m=video_7002_RTP/AVP_34";
    let secured = "m=audio_7004_RTP/SAVP_0";
    let dynamic =
        "m=audio_7000_RTP/AVP_97_101|a=rtpmap:97_telephone-event/8000|a=rtpmap:101_PCMU/8000";
    #[rustfmt::skip]
    let cases = [
        ("their event payload type", audio.to_owned(),
         "m=audio_20000_RTP/AVP_0_96", "m=audio_20000_RTP/AVP_0_8_96"),
        ("audio and video", format!("{audio}|{video}"),
         "m=audio_20000_RTP/AVP_0_96|m=video_0_RTP/AVP_34",
         "m=audio_20000_RTP/AVP_0_8_96|m=video_0_RTP/AVP_34"),
        ("two audio lines, the second one ours", format!("{secured}|{audio}"),
         "m=audio_0_RTP/SAVP_0|m=audio_20000_RTP/AVP_0_96",
         "m=audio_0_RTP/SAVP_0|m=audio_20000_RTP/AVP_0_8_96"),
        ("the codec under a payload type of theirs", dynamic.to_owned(),
         "m=audio_20000_RTP/AVP_101_97", "m=audio_20000_RTP/AVP_101_8_97"),
    ];
    for (name, offer, answered, offered) in cases {
        let codecs = if offer.starts_with("m=audio_7000_RTP/AVP_97") {
            ["", "pcma"]
        } else {
            ["pcmu", "pcmu+pcma"]
        };
        let reply = offer.replace("_7002_", "_0_").replace("_7004_", "_0_");
        let reply = reply.replace("_7000_", "_9000_");
        let script = format!(
            "0:A.INVITE={offer} 10:B.200=pcmu 20:A.ACK 100:A.REINVITE 110:A.ACK={reply} 200:A.BYE"
        );
        let told = play("bridge", &script, "A<200= A<BYE voice<settle(A");
        let want = format!(
            "10:voice<settle(A,PCMU@192.0.2.11:7000!sendrecv) 10:A<200={}#1[{answered}] \
             100:A<200={}#2[{offered}] 110:voice<settle(A,PCMU@192.0.2.11:9000!sendrecv)",
            codecs[0], codecs[1]
        );
        assert_eq!(told, want, "{name}: {script}");
    }
}

#[test]
fn a_body_that_is_no_description_is_refused_as_in_a_first_invite() {
    for (request, refused) in [("REINVITE", "415"), ("UPDATE", "415/UPDATE")] {
        let script = format!("{UP}100:A.{request}=words 110:A.BYE");
        let told = after_up(&play("bridge", &script, "A<200 A<4 voice<settle"));
        assert_eq!(told, format!("100:A<{refused} 110:A<200/BYE"), "{script}");
    }
}
