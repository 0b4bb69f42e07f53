//! The torture messages of RFC 4475 and RFC 5118, what is asked for each, and harder things made
//! of them: mutations, truncations, and a second opinion on what well-formed messages say.
//!
//! The expected column comes from the text of the RFCs, never from what our reader once did.
//! Where an RFC leaves a choice, the row says which one is taken. `tests/data/README.md` tells
//! where the files are from.

mod facts;
mod mutation;
mod oracle;
mod truncation;

use super::error::ParseError;
use super::error::SipError;
use super::message::Message;

/// What a row expects of [`Message::parse`] and [`Message::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// It may be acted on; what is wrong with it, if anything, is for those behind to say.
    Accepted,
    /// The request is owed this status.
    Owed(u16),
    /// The response is dropped.
    Dropped,
}

/// One torture message.
struct Case {
    name: &'static str,
    section: &'static str,
    /// What the RFC asks, as a sentence.
    asks: &'static str,
    want: Want,
    bytes: &'static [u8],
}

const CARRIER_INVITE: &[u8] = include_bytes!("../../../tests/data/sip/carrier_invite.dat");

macro_rules! cases {
    ($rfc:literal: $($name:literal $section:literal $want:expr, $asks:literal;)*) => {
        &[$(Case {
            name: $name,
            section: $section,
            asks: $asks,
            want: $want,
            bytes: include_bytes!(concat!("../../../tests/data/", $rfc, "/", $name, ".dat")),
        }),*]
    };
}

use Want::Accepted;
use Want::Dropped;
use Want::Owed;

#[rustfmt::skip]
const RFC4475: &[Case] = cases! { "rfc4475":
    "wsinv"      "3.1.1.1"  Accepted,  "white space and folding wherever the grammar lets it stand";
    "intmeth"    "3.1.1.2"  Accepted,  "every octet that a method, a user and a quoted string may hold";
    "esc01"      "3.1.1.3"  Accepted,  "escapes in the user, the host stays what it is";
    "escnull"    "3.1.1.4"  Accepted,  "an escaped NUL does not end a user";
    "esc02"      "3.1.1.5"  Accepted,  "a % in a token is no escape";
    "lwsdisp"    "3.1.1.6"  Accepted,  "no space between display name and <";
    "longreq"    "3.1.1.7"  Accepted,  "long values";
    "dblreq"     "3.1.1.8"  Accepted,  "what follows the body in the datagram is ignored";
    "semiuri"    "3.1.1.9"  Accepted,  "a semicolon in the user is part of the user";
    "transports" "3.1.1.10" Accepted,  "transports that nobody knows yet";
    "mpart01"    "3.1.1.11" Accepted,  "a binary multipart body";
    "unreason"   "3.1.1.12" Accepted,  "a reason phrase in UTF-8";
    "noreason"   "3.1.1.13" Accepted,  "an empty reason phrase";
    "badinv01"   "3.1.2.1"  Owed(400), "separators without values: 400";
    "clerr"      "3.1.2.2"  Owed(400), "Content-Length beyond the datagram: 400";
    "ncl"        "3.1.2.3"  Owed(400), "negative Content-Length: 400";
    "scalar02"   "3.1.2.4"  Owed(400), "a CSeq above 32 bits: must get 400";
    "scalarlg"   "3.1.2.5"  Dropped,   "a response with an overlarge CSeq is discarded";
    "quotbal"    "3.1.2.6"  Owed(400), "an unterminated quoted string: 400";
    "ltgtruri"   "3.1.2.7"  Owed(400), "angle brackets around the Request-URI: reasonable to 400";
    "lwsruri"    "3.1.2.8"  Owed(400), "white space in the Request-URI: reasonable to 400";
    "lwsstart"   "3.1.2.9"  Owed(400), "several spaces in the request line: reasonable to 400";
    "trws"       "3.1.2.10" Owed(400), "spaces after the request line: reasonable to 400";
    "escruri"    "3.1.2.11" Owed(400), "headers in the Request-URI: acceptable to 400";
    "baddate"    "3.1.2.12" Accepted,  "a Date outside GMT may be ignored by who needs no Date";
    "regbadct"   "3.1.2.13" Owed(400), "a URI with ? outside angle brackets: reasonable to 400";
    "badaspec"   "3.1.2.14" Accepted,  "spaces inside angle brackets may be ignored";
    "baddn"      "3.1.2.15" Owed(400), "the file lacks its last line, see below; with it, accepted";
    "badvers"    "3.1.2.16" Owed(505), "version 7.0: 505";
    "mismatch01" "3.1.2.17" Owed(400), "another method in CSeq: 400";
    "mismatch02" "3.1.2.18" Owed(501), "an unknown method and another in CSeq: 501 rather than 400";
    "bigcode"    "3.1.2.19" Dropped,   "a status code above 32 bits is discarded";
    "badbranch"  "3.2.1"    Accepted,  "a branch that is nothing but its cookie is matched as in RFC 2543";
    "insuf"      "3.3.1"    Owed(400), "no Call-ID, From and To: 400";
    "unkscm"     "3.3.2"    Owed(416), "an unknown scheme: 416";
    "novelsc"    "3.3.3"    Owed(416), "a known scheme that is not for calls: 416";
    "unksm2"     "3.3.4"    Accepted,  "unknown schemes in From, To, Contact must not stop the reader";
    "bext01"     "3.3.5"    Accepted,  "unknown Require: the endpoint owes 420";
    "invut"      "3.3.6"    Accepted,  "unknown Content-Type: the call owes 415";
    "regaut01"   "3.3.7"    Accepted,  "unknown Authorization scheme: a registrar owes 401";
    "multi01"    "3.3.8"    Owed(400), "single headers that stand twice: 400";
    "mcl01"      "3.3.9"    Owed(400), "two Content-Lengths: 400";
    "bcast"      "3.3.10"   Accepted,  "never sent on to the Via behind ours: the transport's matter";
    "zeromf"     "3.3.11"   Accepted,  "Max-Forwards 0 is answered by who is the target";
    "cparam01"   "3.3.12"   Accepted,  "an unknown parameter of Contact, not of its URI";
    "cparam02"   "3.3.13"   Accepted,  "an unknown parameter of the URI, not of Contact";
    "regescrt"   "3.3.14"   Accepted,  "headers in the URI of a Contact";
    "sdp01"      "3.3.15"   Accepted,  "Accept without SDP: the call owes 406";
    "inv2543"    "3.4.1"    Accepted,  "an INVITE of RFC 2543: no branch, no Max-Forwards";
};

#[rustfmt::skip]
const RFC5118: &[Case] = cases! { "rfc5118":
    "ipv6-good"                    "4.1"  Accepted,  "an IPv6 reference as host";
    "ipv6-bad"                     "4.2"  Owed(400), "an IPv6 address without brackets: 400";
    "port-ambiguous"               "4.3"  Accepted,  "a port inside the brackets is part of the address";
    "port-unambiguous"             "4.4"  Accepted,  "a port behind the brackets is the port";
    "via-received-param-with-delim" "4.5" Accepted,  "received with brackets must be tolerated";
    "via-received-param-no-delim"  "4.5"  Accepted,  "received without brackets";
    "ipv6-in-sdp"                  "4.6"  Accepted,  "IPv6 addresses in SDP";
    "mult-ip-in-header"            "4.7"  Accepted,  "IPv4 and IPv6 Vias in one message";
    "mult-ip-in-sdp"               "4.8"  Accepted,  "IPv4 and IPv6 in one SDP";
    "ipv4-mapped-ipv6"             "4.9"  Accepted,  "IPv4-mapped addresses";
    "ipv6-bug-abnf-3-colons"       "4.10" Accepted,  "three colons, as the old grammar has it, must be tolerated";
    "ipv6-correct-abnf-2-colons"   "4.10" Accepted,  "two colons before an embedded IPv4 address";
};

fn corpus() -> impl Iterator<Item = &'static Case> {
    RFC4475.iter().chain(RFC5118)
}

fn named(name: &str) -> &'static [u8] {
    corpus().find(|case| case.name == name).expect("the name of a row above").bytes
}

/// What becomes of a datagram.
fn judge(bytes: &[u8]) -> (Want, String) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => return (Dropped, error.to_string()),
    };
    match (message.validate(), message.status()) {
        (Ok(()), _) => (Accepted, String::new()),
        (Err(error), None) => (Owed(error.status()), error.to_string()),
        (Err(error), Some(_)) => (Dropped, error.to_string()),
    }
}

#[test]
fn each_torture_message_gets_what_its_rfc_asks() {
    assert_eq!((RFC4475.len(), RFC5118.len()), (49, 12));
    for Case { name, section, asks, want, bytes } in corpus() {
        let (got, why) = judge(bytes);
        assert_eq!(got, *want, "{name} (section {section}): {asks}; {why}");
    }
}

#[test]
fn an_unquoted_display_name_is_let_pass_once_its_headers_end() {
    let mut bytes = named("baddn").to_vec();
    let unfinished = Message::parse(&bytes).unwrap().validate();
    assert_eq!(unfinished, Err(SipError::HeadersUnfinished));
    bytes.extend_from_slice(b"\r\n");
    assert_eq!(judge(&bytes).0, Accepted);
}

#[test]
fn octets_that_are_no_message_are_dropped() {
    let cases: [(&str, &[u8], ParseError); 7] = [
        ("a keep-alive", b"\r\n\r\n", ParseError::KeepAlive),
        ("nothing", b"", ParseError::KeepAlive),
        ("a STUN request", b"\x00\x01\x00\x00\x21\x12\xA4\x42", ParseError::StartLine),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", ParseError::StartLine),
        ("a method that is no token", b"IN(VITE sip:a@b SIP/2.0\r\n\r\n", ParseError::StartLine),
        ("no Request-URI", b"INVITE SIP/2.0\r\n\r\n", ParseError::StartLine),
        ("four zero octets", &[0; 4], ParseError::StartLine),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(Message::parse(bytes).err(), Some(want), "{name}");
    }
}
