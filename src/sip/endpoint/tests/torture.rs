//! What nobody should send: the torture messages that concern an endpoint rather than a reader
//! (RFC 4475, RFC 5118; the files' origin stands in `tests/data/README.md`), and mutations of a
//! whole call. Nothing panics, what goes out can be read, and in the end the tables are empty.

use crate::model::token::TokenSource;

use super::*;

macro_rules! rows {
    ($($rfc:literal / $name:literal = $want:literal, $why:literal;)*) => {
        &[$(($name, include_bytes!(concat!(
            "../../../../tests/data/", $rfc, "/", $name, ".dat"
        )).as_slice(), $want, $why)),*]
    };
}

type Row = (&'static str, &'static [u8], &'static str, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = rows! {
    "rfc4475"/"wsinv" = "481", "its To has a tag: a dialog that we do not have";
    "rfc4475"/"intmeth" = "405/OTHER", "a method that is all token octets";
    "rfc4475"/"esc01" = "100,Invited", "escapes in the user";
    "rfc4475"/"escnull" = "405/REGISTER", "an escaped NUL";
    "rfc4475"/"esc02" = "405/OTHER", "RE%47IST%45R is not REGISTER";
    "rfc4475"/"lwsdisp" = "200/OPTIONS", "no space before <";
    "rfc4475"/"longreq" = "100,Invited", "long values";
    "rfc4475"/"dblreq" = "405/REGISTER", "a second request behind the first is not read";
    "rfc4475"/"semiuri" = "200/OPTIONS", "a semicolon in the user";
    "rfc4475"/"transports" = "200/OPTIONS", "unknown transports in Via";
    "rfc4475"/"mpart01" = "405/MESSAGE", "a binary body";
    "rfc4475"/"unreason" = "", "a response to nobody";
    "rfc4475"/"badinv01" = "400", "separators without values";
    "rfc4475"/"clerr" = "400", "a body cut short";
    "rfc4475"/"scalarlg" = "", "a response out of range";
    "rfc4475"/"baddate" = "100,Invited", "a Date outside GMT";
    "rfc4475"/"badvers" = "505/OPTIONS", "version 7.0";
    "rfc4475"/"mismatch02" = "501/INVITE", "an unknown method, another in CSeq";
    "rfc4475"/"badbranch" = "200/OPTIONS", "the cookie alone";
    "rfc4475"/"unkscm" = "416/OPTIONS", "a scheme that nobody knows";
    "rfc4475"/"bext01" = "420/OPTIONS", "extensions that we lack";
    "rfc4475"/"invut" = "100,Invited", "an unknown body: the call owes 415";
    "rfc4475"/"bcast" = "", "a response that would go on to broadcast";
    "rfc4475"/"zeromf" = "200/OPTIONS", "we are its target";
    "rfc4475"/"sdp01" = "100,Invited", "no SDP: the call owes 406";
    "rfc4475"/"inv2543" = "100,Invited", "RFC 2543";
    "rfc5118"/"ipv6-good" = "405/REGISTER", "an IPv6 reference";
    "rfc5118"/"ipv6-bad" = "400/REGISTER", "an address without brackets";
    "rfc5118"/"mult-ip-in-sdp" = "100,Invited", "both families in one SDP";
};

/// What one endpoint says to one datagram; what it sends must have a status line and our Via.
fn react(endpoint: &mut Endpoint, now: Instant, bytes: &[u8]) -> String {
    let source = "192.0.2.1:5060".parse().unwrap();
    endpoint.handle_datagram(now, ListenerId(0), source, bytes);
    let mut told = Vec::new();
    while let Some(output) = endpoint.poll() {
        told.push(match output {
            Output::Event(Event::Invited { .. }) => "Invited".to_owned(),
            Output::Event(event) => format!("{event:?}"),
            Output::Transmit(transmit) => {
                assert_eq!(transmit.to.ip(), source.ip());
                let response = Message::parse(&transmit.bytes).unwrap();
                let (status, cseq) = (response.status().unwrap(), response.cseq());
                match cseq {
                    Ok((_, Method::Invite)) if status != 501 => status.to_string(),
                    Ok((_, method)) => format!("{status}/{method}"),
                    Err(_) => status.to_string(),
                }
            }
        });
    }
    told.join(",")
}

#[test]
fn torture_gets_what_an_endpoint_owes() {
    for (name, bytes, want, why) in ROWS {
        let mut endpoint = endpoint("198.51.100.1:5060", 7);
        assert_eq!(react(&mut endpoint, zero(), bytes), *want, "{name}: {why}");
    }
}

/// One call's requests and one's responses, as a peer would send them.
const LINES: [&str; 7] = ["INVITE", "ACK", "INFO/2", "REINVITE/3", "CANCEL", "BYE/4", "OPTIONS/5"];

#[test]
fn mutations_of_a_call_neither_panic_nor_stay() {
    let (start, mut chance) = (zero(), TokenSource::new(Seed(4, 2)));
    let mut endpoint = endpoint("198.51.100.1:5060", 7);
    let mut sessions = Vec::new();
    let mut peer = Peer::new();
    let mut now = start;
    for round in 0..30_000_u64 {
        now += Duration::from_millis(chance.next_u64() % 20);
        let word = LINES[chance.next_u64() as usize % LINES.len()];
        let (source, bytes) = peer.say(word);
        let mut bytes =
            String::from_utf8(bytes).unwrap().replace("call-1", &(round / 7).to_string());
        bytes = bytes.replace("z9hG4bK-", &format!("z9hG4bK-{}", round / 7));
        let mut bytes = bytes.into_bytes();
        for _ in 0..chance.next_u64() % 3 {
            let at = chance.next_u64() as usize % bytes.len();
            match chance.next_u64() % 4 {
                0 => bytes[at] = chance.next_u64() as u8,
                1 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b";,<>\"\r\n@"[chance.next_u64() as usize % 8]),
            }
        }
        endpoint.handle_timeout(now);
        endpoint.handle_datagram(now, ListenerId(0), source, &bytes);
        while let Some(output) = endpoint.poll() {
            match output {
                Output::Event(Event::Invited { session, .. }) => {
                    sessions.push(session);
                    endpoint.answer(now, session, Headers::new(), None);
                }
                Output::Transmit(transmit) => {
                    let sent = Message::parse(&transmit.bytes).unwrap();
                    if sent.status() == Some(200) && sent.to().is_ok_and(|to| to.tag().is_some()) {
                        peer.hear(transmit.to, &transmit.bytes);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
    assert!(sessions.len() > 1_000, "only {} calls came about", sessions.len());
    for session in sessions {
        endpoint.bye(now, session, Headers::new());
    }
    while let Some(at) = endpoint.poll_timeout() {
        endpoint.handle_timeout(at);
        while endpoint.poll().is_some() {}
    }
    assert_eq!((endpoint.sessions_len(), endpoint.transactions_len()), (0, 0));
}
