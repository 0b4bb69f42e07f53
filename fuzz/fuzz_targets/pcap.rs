//! Any file: read as a capture, pcap or pcapng, frame by frame and down to its datagrams.
#![no_main]

use bajavoz::record::pcap::Capture;
use bajavoz::record::pcap::End;
use bajavoz::record::pcap::datagram::Content;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut capture) = Capture::open(data) else { return };
    let mut octets = 0;
    for frame in capture.by_ref() {
        octets += frame.bytes.len();
        if let Content::Udp(datagram) = frame.content() {
            assert!(datagram.payload.len() <= frame.bytes.len(), "no octet from elsewhere");
        }
    }
    assert!(octets <= data.len(), "no octet is read twice");
    assert_ne!(capture.end(), End::Reading, "reading comes to an end");
});
