//! Any body: read as an offer and answered, read as the answer to our offer.
#![no_main]

use std::net::SocketAddr;

use bajavoz::sdp;
use bajavoz::sdp::LocalMedia;
use bajavoz::sdp::Offer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let local = LocalMedia::new(SocketAddr::from(([192, 0, 2, 1], 30_000)), 1);
    if let Ok(offer) = Offer::parse(data) {
        offer.codecs();
        offer.audio_ip();
        if let Ok((_, answer)) = offer.answer(&local) {
            assert!(Offer::parse(answer.as_bytes()).is_ok(), "our answer can be read");
        }
    }
    drop(sdp::accept(&local, data));
});
