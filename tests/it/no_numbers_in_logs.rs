//! Whatever happens, no telephone number gets into the logs: calls, refusals, strangers and
//! nonsense at the filter `trace`, in both forms of the log.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::site::Site;
use crate::harness::site::Wishes;

/// The numbers, without the country's 34, that are called, shown or written into headers.
const NUMBERS: [&str; 7] = [
    "633417501", // opts out, and is called again
    "633417502", // behind the carrier
    "633417503", // a stranger's
    "633417504", // in headers of broken messages
    "633417505", // entered by hand
    "633417506", // too long to be one
    "910000000", // the dialer's own
];

/// When keys are pressed, counted from the answer.
const PRESS_AT: Duration = Duration::from_millis(300);

fn e164(place: usize) -> String {
    format!("+34{}", NUMBERS[place])
}

fn pressing() -> Script {
    Script::pressing('9', PRESS_AT, PressMethod::Event)
}

/// Does everything with numbers that an engine can be made to do.
fn exercise(site: &Site) {
    let call = |place, campaign, script| Call::new(&e164(place), campaign, script);
    for (method, status) in [(PressMethod::Info, 200), (PressMethod::Event, 603)] {
        let script = Script::pressing('9', PRESS_AT, method);
        let report = phones::call(site.sip, call(0, "promo", script));
        assert_eq!(report.status, Some(status));
    }
    let bridged = async {
        let mut calls = phones::Phones::new();
        calls.place(site.sip, call(1, "survey", Script::default()), Duration::ZERO);
        calls.finish().await
    };
    let serve = phones::with_carrier(site.carrier, pressing(), bridged);
    let (_, persons) = phones::runtime().block_on(serve);
    assert_eq!(persons.len(), 1, "the carrier was called");
    let from = IpAddr::from([127, 0, 0, 2]);
    let stranger = Call { from, ..call(2, "promo", Script::default()) };
    assert_eq!(phones::call(site.sip, stranger).status, Some(403));
    let unknown = Call { campaign: Some("nobodys"), ..call(2, "promo", Script::default()) };
    assert_eq!(phones::call(site.sip, unknown).status, Some(404));
    let long = Call { number: format!("{}7501", e164(5)), ..call(2, "promo", Script::default()) };
    assert_eq!(phones::call(site.sip, long).status, Some(484));
    for datagram in broken(site.sip, &e164(3)) {
        socket().send_to(datagram.as_bytes(), &site.sip.into()).expect("loopback");
    }
    let add = ["optout", "add", &e164(4), "--list", "comercial", "--account", "acme"];
    process::output(&mut site.program(&add), None);
    let show = ["optout", "show", &e164(4)];
    process::output(&mut site.program(&show), None);
    assert_eq!(site.export().len(), 3);
    site.wait_until_idle();
}

/// Messages with a number in every place, whole and broken off.
fn broken(engine: SocketAddr, number: &str) -> Vec<String> {
    let whole = format!(
        "INVITE sip:{number}@{engine} SIP/2.0\r\nVia: SIP/2.0/UDP {number}.example;branch=\
         z9hG4bK{number}\r\nFrom: \"{number}\" <sip:{number}@127.0.0.1>;tag={number}\r\n\
         To: <tel:{number}>\r\nCall-ID: {number}@{number}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{number}@127.0.0.1>\r\nP-Asserted-Identity: <tel:{number}>\r\n\
         X-Campaign-ID: {number}\r\nSubject: {number}\r\nContent-Type: application/sdp\r\n\
         Content-Length: 20\r\n\r\nv=0\r\no={number}\r\n"
    );
    let mut all: Vec<String> =
        (9..whole.len()).step_by(11).map(|len| whole[..len].into()).collect();
    for (from, to) in [
        ("1 INVITE", number),
        ("SIP/2.0\r\n", "SIP/9.9\r\n"),
        ("INVITE sip:", "INFO sip:"),
        ("INVITE sip:", "CANCEL sip:"),
        ("INVITE sip:", "BYE sip:"),
        ("Content-Length: 20", number),
    ] {
        all.push(whole.replace(from, to));
    }
    all.push(whole.replacen(&format!("INVITE sip:{number}@{engine} SIP/2.0"), "SIP/2.0 200 OK", 1));
    all.push(whole);
    all
}

fn socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket
}

/// The number as text, and as the octets of that text.
fn forms(number: &str) -> [String; 2] {
    let octets: Vec<String> = number.bytes().map(|octet| octet.to_string()).collect();
    [number.to_owned(), octets.join(", ")]
}

#[test]
fn no_number_is_written_to_the_log_in_either_form() {
    let _machine = machine();
    for log in ["pretty", "json"] {
        let site = Site::with(Wishes { log, filter: "trace", ..Wishes::default() });
        let engine = site.start();
        exercise(&site);
        assert!(engine.stop().success());
        let text = site.log();
        assert!(text.contains("opted out"), "{log}: this is no log:\n{text}");
        for number in NUMBERS {
            for form in forms(number) {
                let line = text.lines().find(|line| line.contains(&form));
                assert_eq!(line, None, "{log}: {number} is in the log");
            }
        }
    }
}
