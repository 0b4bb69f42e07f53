//! The check of captured packets can fail: it is shown a call that is as it must be, the same call
//! with one packet spoiled, and the same call among the packets of strangers.

use std::path::Path;

use crate::harness::capture::Captured;
use crate::harness::dissection::Dissection;

/// Telephone and engine, by what they speak.
const SIP: [u16; 2] = [5_070, 5_060];
const RTP: [u16; 2] = [10_052, 20_000];

/// A UDP datagram.
#[derive(Clone, Debug)]
struct Datagram {
    from: u16,
    to: u16,
    payload: Vec<u8>,
}

impl Datagram {
    fn new(ports: [u16; 2], payload: impl Into<Vec<u8>>) -> Self {
        let [from, to] = ports;
        Self { from, to, payload: payload.into() }
    }

    /// The frame of classic pcap: the header of the record, Ethernet, IPv4, UDP.
    fn frame(&self) -> Vec<u8> {
        let len = self.payload.len() as u16;
        let octets = (14 + 20 + 8 + u32::from(len)).to_le_bytes();
        let mut frame = [[0; 4], [0; 4], octets, octets].concat();
        frame.extend([[0; 6], [0; 6]].concat());
        frame.extend([0x08, 0x00, 0x45, 0x00]);
        frame.extend((20 + 8 + len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        for word in [self.from, self.to, 8 + len, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(&self.payload);
        frame
    }
}

fn write(path: &Path, datagrams: &[Datagram]) {
    let mut bytes = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(datagrams.iter().flat_map(Datagram::frame));
    std::fs::write(path, bytes).expect("a temporary file");
}

fn sip(start: &str, port: u16) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    );
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:phone@127.0.0.1>;tag=1\r\nTo: <sip:1@127.0.0.1>\r\nCall-ID: 1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:phone@127.0.0.1:5070>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len(),
    )
}

/// RFC 3550 section 5.1, payload type and timestamp apart.
fn rtp(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7];
    packet.extend(payload);
    packet
}

/// An empty receiver report of RFC 3550 section 6.4.2, and a CNAME.
fn rtcp() -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
    packet.extend([0x81, 202, 0, 3, 0, 0, 0, 7, 1, 4, b'a', b'b', b'c', b'd', 0, 0]);
    packet
}

/// A call; the first RTP packet comes before the answer that describes it.
fn call() -> Vec<Datagram> {
    let above = RTP.map(|port| port + 1);
    vec![
        Datagram::new(SIP, sip("INVITE sip:1@127.0.0.1 SIP/2.0", RTP[0])),
        Datagram::new(RTP, rtp(0, &[0xFF; 160])),
        Datagram::new([SIP[1], SIP[0]], sip("SIP/2.0 200 OK", RTP[1])),
        Datagram::new([RTP[1], RTP[0]], rtp(0, &[0xFF; 160])),
        Datagram::new(RTP, rtp(101, &[9, 0x8A, 3, 32])),
        Datagram::new(above, rtcp()),
    ]
}

fn dissect(datagrams: &[Datagram]) -> Dissection {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("call.pcap");
    write(&path, datagrams);
    Dissection::of(&Captured::at(path), &SIP)
}

#[test]
fn a_call_among_strangers_is_without_fault() {
    let stray = [
        ([40_000, 20_002], rtp(0, &[0xFF; 160])),
        ([40_000, RTP[1]], vec![0; 172]),
        ([RTP[0], 40_000], b"who are you".to_vec()),
        ([40_000, SIP[1]], b"\r\n\r\n".to_vec()),
    ];
    let mut datagrams = call();
    for (place, (ports, payload)) in stray.into_iter().enumerate() {
        datagrams.insert(2 * place, Datagram::new(ports, payload));
    }
    let Dissection { seen, keys, faults } = dissect(&datagrams);
    assert_eq!((seen, faults), ([2, 2, 1, 1], Vec::new()));
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["9"]);
}

#[test]
fn one_spoiled_packet_is_told_by_its_ports_and_octets() {
    type Spoil = fn(&mut Vec<u8>);
    // Which packet, what is done to it, and what the message must hold.
    let cases: [(&str, usize, Spoil, &str); 9] = [
        ("SIP that is none", 0, |p| *p = b"hello".to_vec(), "5070 -> 5060"),
        ("a response cut in its first line", 2, |p| p.truncate(5), "5060 -> 5070"),
        ("RTP cut within its header", 1, |p| p.truncate(9), "10052 -> 20000"),
        ("RTP of version 0", 3, |p| p[0] = 0, "20000 -> 10052, length 180"),
        ("RTP of version 3", 3, |p| p[0] = 0xC0, "c000000100"),
        ("RTP that is none", 1, |p| p.fill(0), "000000000000"),
        ("an event cut short", 4, |p| p.truncate(14), "10052 -> 20000"),
        ("RTCP that says another length", 5, |p| p[3] = 9, "10053 -> 20001"),
        ("RTCP that is none", 5, |p| p.fill(0), "10053 -> 20001"),
    ];
    for (name, place, spoil, want) in cases {
        let mut datagrams = call();
        spoil(&mut datagrams[place].payload);
        let faults = dissect(&datagrams).faults;
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
        assert!(faults[0].contains(want), "{name}: expected `{want}` in: {}", faults[0]);
    }
}
