//! A datagram that is cut short anywhere is refused, and never taken for a shorter message.

use super::super::message::Message;
use super::CARRIER_INVITE;
use super::named;

#[test]
fn a_message_cut_at_any_octet_is_never_accepted() {
    let others = ["wsinv", "longreq", "ipv6-good", "zeromf"].map(named);
    for whole in others.into_iter().chain([CARRIER_INVITE]) {
        for cut in 0..whole.len() {
            let accepted = Message::parse(&whole[..cut]).is_ok_and(|cut| cut.validate().is_ok());
            assert!(!accepted, "accepted at {cut} of {}", whole.len());
        }
        assert_eq!(Message::parse(whole).unwrap().validate(), Ok(()));
    }
}
