//! Seeded mutations of the torture messages and of a carrier's INVITE: nothing panics, and no
//! mutation can make a response of ours say more than we wrote.
//!
//! `BAJAVOZ_MUTATIONS` sets how many (100,000 by default), `BAJAVOZ_SEED` the seed; a failure
//! prints both the seed and the message.

use std::env;
use std::hint::black_box;
use std::net::SocketAddr;
use std::panic;
use std::ptr;

use crate::model::token::Seed;
use crate::model::token::TokenSource;

use super::super::build::ResponseBuilder;
use super::super::message::HEADERS_MAX;
use super::super::message::Message;
use super::super::message::OwnedMessage;
use super::super::name::HeaderName;
use super::CARRIER_INVITE;
use super::corpus;

/// Octets and pieces that have broken parsers before: ends of lines, quotes, numbers at the ends
/// of their range, separators, other encodings.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n ",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"\\\"",
    b"<",
    b">",
    b",",
    b";",
    b";;",
    b":",
    b"::",
    b":::",
    b"=",
    b"@",
    b"%",
    b"%0",
    b"%00",
    b"%zz",
    b"[",
    b"]",
    b"[::1]",
    b" ",
    b"\t",
    b"\xFF",
    b"\xC3\xA9",
    b"0",
    b"-1",
    b"256",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"SIP/2.0",
    b"Content-Length: 9\r\n",
    b"l:0\r\n",
    b"Via: ",
    b"v:",
    b";tag=",
    b";rport",
    b";received=",
    b";branch=z9hG4bK",
    b"*",
    b"sip:",
    b"tel:+1",
];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn below(tokens: &mut TokenSource, end: usize) -> usize {
    let end = u64::try_from(end.max(1)).unwrap_or(1);
    usize::try_from(tokens.next_u64() % end).unwrap_or(0)
}

fn range(tokens: &mut TokenSource, len: usize) -> (usize, usize) {
    let start = below(tokens, len + 1);
    let reach = if tokens.next_u64().is_multiple_of(4) { len } else { 40 };
    (start, (start + below(tokens, reach + 1)).min(len))
}

/// One to four changes to `bytes`.
fn mutate(tokens: &mut TokenSource, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=below(tokens, 4) {
        let at = below(tokens, bytes.len() + 1);
        let (start, end) = range(tokens, bytes.len());
        match below(tokens, 9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(start..end)),
            2 => bytes.insert(at, tokens.next_u64().to_le_bytes()[0]),
            3 | 4 => {
                let piece = PIECES[below(tokens, PIECES.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            5 => {
                let again = bytes[start..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            6 => {
                let (start, end) = range(tokens, other.len());
                drop(bytes.splice(at..at, other[start..end].iter().copied()));
            }
            7 => repeat_line(bytes, at, below(tokens, 120)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << below(tokens, 8);
                }
            }
        }
    }
}

/// Writes the line that holds `at` again and again.
fn repeat_line(bytes: &mut Vec<u8>, at: usize, times: usize) {
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found + 1);
    let line = bytes[start..end].repeat(times);
    if line.len() < 8_000 {
        drop(bytes.splice(end..end, line));
    }
}

/// Calls everything that reads a message.
fn read_all(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    for (name, text, value) in message.all_headers() {
        if !message.header(name).is_some_and(|first| ptr::eq(first, value)) {
            continue; // Its first line has asked for all of them.
        }
        black_box(message.list(name).count() + message.option_tags(name).count());
        black_box(message.number(name).is_ok());
        black_box(message.extension(&String::from_utf8_lossy(text)));
        for address in message.addresses(name).flatten() {
            black_box((address.tag(), address.params.iter().count()));
            let Ok(uri) = address.uri() else { continue };
            black_box((uri.decoded_user(), uri.params.iter().count()));
        }
    }
    for via in message.vias().flatten() {
        black_box((via.branch(), via.received(), via.rport(), via.host.ip()));
    }
    black_box((message.content_type(), message.request_uri().is_ok(), message.contact().is_ok()));
    let ends = (message.from(), message.to(), message.via());
    let rest = (message.cseq(), message.call_id(), message.max_forwards());
    if message.validate().is_ok() {
        assert!(ends.0.is_ok() && ends.1.is_ok() && ends.2.is_ok());
        assert!(rest.0.is_ok() && rest.1.is_ok() && rest.2.is_ok());
    }
    assert_eq!(OwnedMessage::from(&message).view().bytes(), message.bytes());
    answer(&message);
}

/// A response says what the request said and what we add, nothing else.
fn answer(request: &Message<'_>) {
    let source = SocketAddr::from(([192, 0, 2, 77], 40_060));
    let mut out = Vec::new();
    let builder = ResponseBuilder::new(&mut out, request, 486, "Busy Here", source, Some("ours"));
    builder.header("X-Ours", "1").finish(None).expect("our own values are clean");
    let response = Message::parse(&out).expect("our own response");
    let single = [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    let copied = single.into_iter().filter(|name| request.header(*name).is_some()).count();
    let vias = request.headers(HeaderName::Via).count();
    if copied + vias + 2 > HEADERS_MAX {
        return; // It would not fit the table that reads it.
    }
    assert_eq!(response.all_headers().count(), copied + vias + 2, "headers added or lost");
    assert_eq!(response.body(), b"");
    assert_eq!(response.extension("X-Ours"), Some(&b"1"[..]));
    if request.validate().is_ok() {
        assert_eq!(response.validate(), Ok(()));
        assert_eq!(response.vias().count(), request.vias().count());
        assert_eq!(response.call_id(), request.call_id());
        assert_eq!(response.cseq(), request.cseq());
        assert_eq!(
            response.from().expect("copied").tag(),
            request.from().expect("validated").tag()
        );
        assert!(response.to().expect("copied").tag().is_some());
        let (asked, told) = (request.via().expect("validated"), response.via().expect("copied"));
        assert_eq!(told.branch(), asked.branch());
        if asked.rport().is_some() {
            assert_eq!(told.rport(), Some(Some(source.port())));
            assert_eq!(told.received(), Some(source.ip()));
        }
    }
}

#[test]
fn no_mutation_panics_or_smuggles_a_header() {
    let seeds: Vec<&[u8]> = corpus().map(|case| case.bytes).chain([CARRIER_INVITE; 8]).collect();
    let (count, seed) = (number("BAJAVOZ_MUTATIONS", 100_000), number("BAJAVOZ_SEED", 4475));
    for round in 0..count {
        let mut tokens = TokenSource::new(Seed(seed, round));
        let mut bytes = seeds[below(&mut tokens, seeds.len())].to_vec();
        let other = seeds[below(&mut tokens, seeds.len())];
        mutate(&mut tokens, &mut bytes, other);
        let outcome = panic::catch_unwind(|| read_all(&bytes));
        assert!(outcome.is_ok(), "BAJAVOZ_SEED={seed}, round {round}: {}", bytes.escape_ascii());
    }
}
