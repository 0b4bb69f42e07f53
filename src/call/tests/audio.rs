//! The audio around a press: when it is captured and kept, and that nobody waits for it.

use super::*;

/// A bridged call that is up.
const UP: &str = "0:A.INVITE=pcmu 10:B.200=pcmu 20:A.ACK ";

fn played(script: &str, audio: bool) -> String {
    let opening = Opening { audio, ..Opening::default() };
    let watch = "voice<capture voice<keep voice<play audio ledger<";
    play_from(opening, &format!("{UP}{script}"), watch)
}

#[test]
fn the_audio_around_a_press_is_kept_once_the_opt_out_is_on_record() {
    #[rustfmt::skip]
    let cases = [
        ("a while after the press; the next one has memory of its own",
         "100:key=9 101:ack 300:kept 1000:played 1001:ack",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) 101:voice<play(B,done) \
          300:voice<capture(B) 300:audio(1,true) 1000:ledger<confirmed(Played)"),
        ("the person hangs up at once",
         "100:key=9 101:B.BYE 102:ack 103:ack",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) \
          102:ledger<confirmed(NotPlayed) 601:audio(1,true)"),
        ("the disk takes longer than the audio",
         "100:key=9 110:kept 900:ack 1000:played 1001:ack",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) 110:voice<capture(B) \
          900:audio(1,true) 900:voice<play(B,done) 1000:ledger<confirmed(Played)"),
        ("the media is lost",
         "100:key=9 101:ack 102:lost 103:ack",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) 101:voice<play(B,done) \
          102:audio(1,false) 102:ledger<confirmed(NotPlayed)"),
        ("what is not on record has no audio",
         "100:key=9 101:fail 300:kept 1000:played",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) 101:voice<play(B,failed) \
          300:voice<capture(B)"),
        ("what comes on record later had some, which is gone",
         "100:key=9 101:fail 300:kept 1000:played 1100:B.BYE 9000:late=7",
         "10:voice<capture(B) 100:ledger<opt-out(9) 100:voice<keep(B) 101:voice<play(B,failed) \
          300:voice<capture(B) 9000:audio(7,false)"),
        ("who presses nothing is not kept",
         "100:B.BYE",
         "10:voice<capture(B)"),
    ];
    compare(
        cases.map(|(name, script, want)| (name, script.to_owned(), played(script, true), want)),
    );
}

#[test]
fn no_audio_is_captured_unless_the_operator_wants_it() {
    let told = played("100:key=9 101:ack 1000:played 1001:ack 9000:late=7", false);
    assert_eq!(told, "100:ledger<opt-out(9) 101:voice<play(B,done) 1000:ledger<confirmed(Played)");
}
