//! Any datagram: reading, judging and answering it must not panic, and the answer must say what
//! the request said and nothing else. Seeds: `tests/data/rfc4475`, `tests/data/rfc5118`,
//! `tests/data/sip`.

#![no_main]

use std::net::SocketAddr;

use bajavoz::sip::HeaderName;
use bajavoz::sip::Message;
use bajavoz::sip::ResponseBuilder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    for (name, _, _) in message.all_headers() {
        let uris = message.addresses(name).flatten().filter_map(|address| address.uri().ok());
        assert!(uris.filter_map(|uri| uri.decoded_user()).all(|user| user.len() <= bytes.len()));
    }
    let is_good = message.validate().is_ok();
    let mut out = Vec::new();
    let source = SocketAddr::from(([192, 0, 2, 77], 40_060));
    ResponseBuilder::new(&mut out, &message, 400, "Bad Request", source, Some("ours"))
        .finish(None)
        .expect("our own values are clean");
    let answer = Message::parse(&out).expect("our own response");
    assert_eq!(answer.body(), b"");
    if is_good && message.all_headers().count() < 90 {
        assert_eq!(answer.validate(), Ok(()));
        assert_eq!(answer.call_id(), message.call_id());
        assert_eq!(
            answer.headers(HeaderName::Via).count(),
            message.headers(HeaderName::Via).count()
        );
    }
});
