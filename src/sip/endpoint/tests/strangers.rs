//! Who is not of the call cannot end it, speak in it, or learn that it is there.

use super::super::send::TRANSMITS_MAX;
use super::super::timeouts::TIMEOUTS_MAX;
use super::*;

#[test]
fn strangers_change_nothing() {
    let oddities = ["stranger", "imposter", "othercall"];
    for method in ["BYE", "INFO", "REINVITE", "UPDATE", "OPTIONS"] {
        for oddity in oddities {
            let script = format!("0:INVITE 0:answer 0:ACK 10:{method}/2@{oddity} 20:BYE/2");
            let answered =
                if method == "REINVITE" { "481".into() } else { format!("481/{method}") };
            let want = format!("0=100,Invited,200,Acknowledged 10={answered} 20=200/BYE,HungUp");
            assert_eq!(play(&script), want, "{script}");
        }
    }
}

#[test]
fn guessed_names_are_not_enough() {
    #[rustfmt::skip]
    let cases = [
        ("an ACK with a wrong tag stops nothing",
         "0:INVITE 0:answer 10:ACK@stranger 20:ACK@imposter 600:ACK 700:BYE",
         "0=100,Invited,200 500=200 600=Acknowledged 700=200/BYE,HungUp"),
        ("a CANCEL from another address finds nothing",
         "0:INVITE 10:CANCEL@elsewhere 20:reject=486 30:ACK@hop",
         "0=100,Invited 10=481/CANCEL 20=486"),
        ("an ACK of a refusal from another address stops nothing",
         "0:INVITE 0:reject=486 10:ACK@hop@elsewhere 600:ACK@hop",
         "0=100,Invited,486 500=486"),
        ("the same branch from another address is another request, and merged",
         "0:INVITE 10:INVITE@elsewhere 20:reject=486 30:ACK@hop",
         "0=100,Invited 10=482 20=486"),
        ("an answer by the right names comes from where it comes",
         "0:INVITE 0:answer 0:ACK 10:BYE@elsewhere",
         "0=100,Invited,200,Acknowledged 10=200/BYE,HungUp"),
        ("a response to nothing we asked is dropped",
         "0:call 10:486 33000:200 34000:180",
         "0=INVITE 10=ACK,Refused(486)"),
        ("who is dismissed is forgotten, and judged anew",
         "0:INVITE 0:dismiss 10:ACK@hop 500:INVITE 500:dismiss",
         "0=100,Invited,403 500=100,Invited,403"),
        ("no tag at all: in-dialog methods want a dialog",
         "0:BYE@untagged 0:INFO@untagged 0:UPDATE@untagged",
         "0=481/BYE,481/INFO,481/UPDATE"),
        ("an INVITE into a dialog of ours that is not there",
         "0:REINVITE/1@stranger", "0=481"),
        ("an ACK of nothing is never answered", "0:ACK@stranger 0:ACK@untagged", ""),
    ];
    for (name, script, want) in cases {
        assert_eq!(play(script), want, "{name}: {script}");
    }
}

/// One datagram to a fresh endpoint; what it sends back, and to whom.
fn once(source: &str, text: &str) -> Vec<(String, String)> {
    let mut endpoint = endpoint("198.51.100.1:5060", 7);
    let bytes = text.replace('\n', "\r\n");
    let source = source.parse().unwrap();
    endpoint.handle_datagram(zero(), ListenerId(0), source, bytes.as_bytes());
    let mut sent = Vec::new();
    while let Some(output) = endpoint.poll() {
        if let Output::Transmit(transmit) = output {
            let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
            sent.push((transmit.to.to_string(), text));
        }
    }
    sent
}

const OPTIONS: &str = "OPTIONS sip:x SIP/2.0\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1\n\
    From: <sip:a@b>;tag=1\nTo: <sip:x>\nCall-ID: c\nCSeq: 1 OPTIONS\nMax-Forwards: 0\n\n";

#[test]
fn responses_go_back_where_the_request_came_from() {
    #[rustfmt::skip]
    let cases = [
        ("never to the broadcast address of a Via", OPTIONS.to_owned(), "192.0.2.1:5060", "received=192.0.2.1\r\n"),
        ("to the very port with rport", OPTIONS.replace("z9hG4bK1", "z9hG4bK1;rport"), "192.0.2.1:40000",
         "received=192.0.2.1;rport=40000\r\n"),
    ];
    for (name, request, to, via) in cases {
        let sent = once("192.0.2.1:40000", &request);
        let [(address, text)] = &sent[..] else { panic!("{name}: {sent:?}") };
        assert_eq!(address, to, "{name}");
        assert!(text.starts_with("SIP/2.0 200 OK\r\n") && text.contains(via), "{name}: {text}");
        for wanted in ["Allow: INVITE, ACK", "Accept: application/sdp", "Supported: \r\n"] {
            assert!(text.contains(wanted), "{name}: {wanted} in {text}");
        }
    }
    let over_ipv6 = OPTIONS.replace("255.255.255.255", "[2001:db8::9]:5070");
    assert_eq!(once("[2001:db8::1]:5060", &over_ipv6)[0].0, "[2001:db8::1]:5070");
}

#[test]
fn broken_requests_get_what_they_are_owed() {
    #[rustfmt::skip]
    let cases = [
        ("no From", OPTIONS.replace("From: <sip:a@b>;tag=1\n", ""), "SIP/2.0 400 Missing From"),
        ("a scheme we do not speak", OPTIONS.replace("sip:x SIP", "http:x SIP"), "SIP/2.0 416 "),
        ("an extension named to us",
         OPTIONS.replace("\n\n", "\nRequire: foo,bar\n\n"), "SIP/2.0 420 Bad Extension"),
        ("another version", OPTIONS.replace("SIP/2.0\nVia", "SIP/7.0\nVia"), "SIP/2.0 505 "),
    ];
    for (name, request, want) in cases {
        let sent = once("192.0.2.1:40000", &request);
        assert!(sent[0].1.starts_with(want), "{name}: {sent:?}");
    }
    let required = OPTIONS.replace("\n\n", "\nRequire: foo,bar\n\n");
    assert!(once("192.0.2.1:1", &required)[0].1.contains("Unsupported: foo, bar\r\n"));
    for (name, silent) in [
        ("a keep-alive", "\n\n"),
        ("no SIP", "hello\n\n"),
        ("no Via to answer by", "OPTIONS sip:x SIP/2.0\n\n"),
        ("a broken ACK", "ACK sip:x SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\n\n"),
        ("a response to nobody", "SIP/2.0 200 OK\nVia: SIP/2.0/UDP h\n\n"),
    ] {
        assert_eq!(once("192.0.2.1:40000", silent), [], "{name}");
    }
}

#[test]
fn a_stateless_tag_is_the_same_each_time() {
    let mut endpoint = endpoint("198.51.100.1:5060", 7);
    let bytes = OPTIONS.replace('\n', "\r\n");
    let source = "192.0.2.1:5060".parse().unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        endpoint.handle_datagram(zero(), ListenerId(0), source, bytes.as_bytes());
        let Some(Output::Transmit(transmit)) = endpoint.poll() else { panic!("no answer") };
        answers.push(transmit.bytes);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(endpoint.transactions_len(), 0);
}

#[test]
fn the_advertised_address_is_told_and_the_shard_is_in_every_name() {
    let mut settings = Settings::new("Test\r\nVia: x");
    let (local, advertised) = ("[::]:5060", "[2001:db8::5]:5080");
    settings.listeners =
        vec![Listener { local: local.parse().unwrap(), advertised: advertised.parse().unwrap() }];
    settings.shard = 0x3c;
    let mut endpoint = Endpoint::new(settings, Seed(1, 2));
    endpoint.invite(zero(), invite("[2001:db8::1]:5060".parse().unwrap(), 1000)).unwrap();
    let Some(Output::Transmit(transmit)) = endpoint.poll() else { panic!("no INVITE") };
    let text = String::from_utf8_lossy(&transmit.bytes);
    for wanted in [
        "Via: SIP/2.0/UDP [2001:db8::5]:5080;rport;branch=z9hG4bK3c00000000",
        "Contact: <sip:s3c@[2001:db8::5]:5080>\r\n",
        ";tag=3c00000000",
        "Call-ID: 3c00000000",
        "@[2001:db8::5]\r\n",
        "User-Agent: TestVia: x\r\n",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[test]
fn what_waits_for_the_driver_has_an_end() {
    let mut endpoint = endpoint("198.51.100.1:5060", 7);
    let bytes = OPTIONS.replace('\n', "\r\n");
    let source = "192.0.2.1:5060".parse().unwrap();
    for _ in 0..=TRANSMITS_MAX {
        endpoint.handle_datagram(zero(), ListenerId(0), source, bytes.as_bytes());
    }
    assert_eq!(endpoint.counters().transmits_dropped, 1);
    assert_eq!(std::iter::from_fn(|| endpoint.poll()).count(), TRANSMITS_MAX);
}

#[test]
fn a_driver_that_was_away_is_given_work_in_portions() {
    let (start, mut endpoint) = (zero(), endpoint("198.51.100.1:5060", 7));
    let to = "192.0.2.1:5060".parse().unwrap();
    for _ in 0..=TIMEOUTS_MAX {
        endpoint.invite(start, invite(to, 1_000_000)).unwrap();
    }
    while endpoint.poll().is_some() {}
    let late = start + Duration::from_millis(700);
    endpoint.handle_timeout(late);
    assert_eq!(std::iter::from_fn(|| endpoint.poll()).count(), TIMEOUTS_MAX);
    assert!(endpoint.poll_timeout().is_some_and(|at| at <= late), "there is more to do");
    endpoint.handle_timeout(late);
    assert_eq!(std::iter::from_fn(|| endpoint.poll()).count(), 1);
}
