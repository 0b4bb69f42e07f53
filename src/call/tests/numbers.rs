//! What is dialled and who is shown as the caller: what was read and checked, and nobody's text.

use super::*;

/// Plays an INVITE that the carrier refuses.
fn dialled(opening: Opening<'_>) -> String {
    play_from(opening, "0:A.INVITE=pcmu 10:B.486", "B<INVITE A<4 A<6")
}

#[test]
fn only_what_was_read_and_checked_is_dialled() {
    let told = "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<486(refused;reason=carrier)";
    let header = "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<486(refused;reason=carrier)";
    let unread = "0:A<484(refused;reason=number)";
    #[rustfmt::skip]
    let cases = [
        ("an E.164 number", "bridge", "+34600000001", "", told),
        ("a national one, as every carrier reads it", "bridge", "600000001", "", told),
        ("one with an international prefix", "bridge", "0034600000001", "", told),
        ("one with separators", "bridge", "600-00-00-01", "", told),
        ("one with a passenger", "bridge", "600000001;phone-context=evil", "", told),
        ("no number", "bridge", "sales", "", unread),
        ("the person's number stands in a header, and another is dialled", "bridge-header",
         "600000001", "+34600000003", header),
        ("the person's number is read, that to dial is not", "bridge-header",
         "sales", "+34600000003", unread),
        ("the person's number is not read", "bridge-header", "600000001", "nobody", unread),
        ("the person calls, and the number to dial is read all the same", "bridge-calling",
         "600000001", "", told),
        ("and refused where it cannot be", "bridge-calling", "112", "", "0:A<403(refused;reason=short-code)"),
    ];
    compare(cases.map(|(name, campaign, to, person, want)| {
        let told = dialled(Opening { campaign, to, person, ..Opening::default() });
        (name, to.to_owned(), told, want)
    }));
}

#[test]
fn a_number_that_is_dialled_is_checked_whoever_the_person_is() {
    let dialled = "0:B<INVITE";
    let cases = [
        ("bridge", "+34600000001", "0:A<603(suppressed;list=all)"),
        ("bridge-header", "+34600000001", "0:A<603(suppressed;list=all)"),
        ("bridge-header", "+34600000003", "0:A<603(suppressed;list=all)"),
        ("bridge-calling", "+34600000001", "0:A<603(suppressed;list=all)"),
        ("bridge-calling", "+34910000001", "0:A<603(suppressed;list=all)"),
        // Who calls is looked for on other lists than who is called.
        ("bridge", "+34600000001/out", "0:A<603(suppressed;list=out)"),
        ("bridge-calling", "+34600000001/out", "0:A<603(suppressed;list=out)"),
        ("bridge-calling", "+34910000001/in", "0:A<603(suppressed;list=in)"),
        ("bridge", "+34600000001/in", dialled),
        ("bridge-calling", "+34600000001/in", dialled),
        ("bridge-calling", "+34910000001/out", dialled),
    ];
    compare(cases.map(|(campaign, listed, want)| {
        let opening = Opening { campaign, to: "600000001", ..Opening::default() };
        let script = format!("0:optout={listed} 0:A.INVITE=pcmu");
        let told = play_from(opening, &script, "B<INVITE A<4 A<6");
        let told = if told.starts_with(dialled) { dialled.to_owned() } else { told };
        (campaign, listed.to_owned(), told, want)
    }));
}

#[test]
fn a_node_that_may_have_missed_an_opt_out_does_not_dial() {
    let now = "0:A<503(refused;reason=stale)";
    let dialled = "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<486(refused;reason=carrier)";
    #[rustfmt::skip]
    let cases = [
        ("a node that follows", "bridge", "", dialled),
        ("one that does not any more", "bridge", "0:stale", now),
        ("one that follows again", "bridge", "0:stale 0:fresh", dialled),
        ("our own answer to a call that somebody made", "ivr", "0:stale", now),
        ("a campaign that calls all the same", "bridge-stale", "0:stale", dialled),
        ("though one that never knew has nothing to call by", "bridge-stale", "0:new", now),
        ("who calls in is not dialled", "bridge-calling", "0:stale", dialled),
        ("an opt-out is named before that", "bridge", "0:stale 0:optout=+34600000001", "0:A<603(suppressed;list=all)"),
    ];
    compare(cases.map(|(name, campaign, before, want)| {
        let opening = Opening { campaign, to: "600000001", ..Opening::default() };
        let script = format!("{before} 0:A.INVITE=pcmu 10:B.486");
        (name, before.to_owned(), play_from(opening, &script, "B<INVITE A<4 A<5 A<6"), want)
    }));
}

#[test]
fn a_short_code_may_call_and_is_never_called() {
    let from = "<sip:1004@192.0.2.1>";
    let dialled = "0:B<INVITE(anonymous>+34600000001)=pcmu#1";
    #[rustfmt::skip]
    let cases = [
        ("it calls in",                     "bridge-calling", from, "", dialled),
        ("it is refused by its own entry",  "bridge-calling", from, "0:optout=ES:1004/in ", "0:A<603(suppressed;list=in)"),
        ("and by no other region's",        "bridge-calling", from, "0:optout=MX:1004/in ", dialled),
        ("nor by a number of these digits", "bridge-calling", from, "0:optout=+341004/in ", dialled),
        ("an emergency number calls nobody", "bridge-calling", "<sip:112@192.0.2.1>", "", "0:A<403(refused;reason=short-code)"),
    ];
    compare(cases.map(|(name, campaign, from, before, want)| {
        let opening = Opening { campaign, to: "600000001", from, ..Opening::default() };
        let script = format!("{before}0:A.INVITE=pcmu");
        let told = play_from(opening, &script, "B<INVITE A<4 A<6");
        let told = if told.starts_with(dialled) { dialled.to_owned() } else { told };
        (name, script, told, want)
    }));
}

#[test]
fn a_registry_that_is_too_old_lets_nobody_be_called() {
    let (stale, answered) = ("0:A<503(refused;reason=stale-registry)", "0:A<200=pcmu#1");
    #[rustfmt::skip]
    let cases = [
        ("never imported",                 "ivr-registry", "", stale),
        ("on its last day",                "ivr-registry", "0:registry=31 ", answered),
        ("a day later",                    "ivr-registry", "0:registry=32 ", stale),
        ("renewed",                        "ivr-registry", "0:registry=32 0:registry=0 ", answered),
        ("a listed number is told as one", "ivr-registry", "0:optout=+34600000001 ", "0:A<603(suppressed;list=all)"),
        ("other campaigns go on",          "ivr",          "", answered),
    ];
    compare(cases.map(|(name, campaign, before, want)| {
        let script = format!("{before}0:A.INVITE=pcmu");
        let told = play(campaign, &script, "A<2 A<4 A<5 A<6");
        // An answer without its ACK is sent again and again.
        let first = told.split(' ').next().unwrap_or_default().to_owned();
        (name, script, first, want)
    }));
}

#[test]
fn the_caller_is_a_number_or_anonymous() {
    let number = "0:B<INVITE(+34910000001>+34600000001)=pcmu#1 10:A<486(refused;reason=carrier)";
    let anonymous = "0:B<INVITE(anonymous>+34600000001)=pcmu#1 10:A<486(refused;reason=carrier)";
    #[rustfmt::skip]
    let cases = [
        ("a number", "<sip:+34910000001@192.0.2.1>", number),
        ("a national number", "<sip:910000001@192.0.2.1>", number),
        ("a number with a name, which is not passed on", "\"Evil <sip:x>\" <sip:910000001@192.0.2.1>", number),
        ("a tel: number", "<tel:+34910000001>", number),
        ("nobody", "\"Anonymous\" <sip:anonymous@anonymous.invalid>", anonymous),
        ("a word", "<sip:sales@192.0.2.1>", anonymous),
        ("parameters in the user part", "<sip:evil;x=1@192.0.2.1>", anonymous),
        ("an escape that would end the URI", "<sip:910%3E%0D%0AEvil:1@192.0.2.1>", anonymous),
        ("no user at all", "<sip:192.0.2.1>", anonymous),
    ];
    compare(cases.map(|(name, from, want)| {
        (name, from.to_owned(), dialled(Opening { from, ..Opening::default() }), want)
    }));
}
