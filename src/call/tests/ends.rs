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
        ("the record fails", "bridge",
         "100:key=9 101:fail 1000:played",
         "101:A<BYE(not-recorded;digits=9) 1000:B<BYE"),
    ];
    compare(cases.map(|(name, campaign, script, want)| {
        (name, script.to_owned(), play(campaign, &format!("{UP}{script}"), "A<BYE B<BYE"), want)
    }));
}
