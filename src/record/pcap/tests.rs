//! Captures are built here octet by octet from the formats' own tables, and cut at every octet.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::datagram::Content;
use super::*;

/// An IPv4 UDP packet from 192.0.2.1:4000 to 192.0.2.2:5000 that holds "key".
const IPV4: &[u8] = &[
    0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    0x0F, 0xA0, 0x13, 0x88, 0, 11, 0, 0, // UDP
    b'k', b'e', b'y',
];

fn ethernet(tags: &[[u8; 4]], ethertype: [u8; 2], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02; 12];
    frame.extend(tags.concat());
    frame.extend(ethertype);
    frame.extend(packet);
    frame
}

fn ipv6(next: u8, extensions: &[u8], udp: &[u8]) -> Vec<u8> {
    let len = u8::try_from(extensions.len() + udp.len()).expect("the tests' packets are short");
    let mut packet = vec![0x60, 0, 0, 0, 0, len, next, 64];
    for last in [1, 2] {
        packet.extend([0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(extensions);
    packet.extend(udp);
    packet
}

fn text(content: Content<'_>) -> String {
    match content {
        Content::Udp(Datagram { source, destination, payload, is_cut }) => {
            let cut = if is_cut { " cut" } else { "" };
            format!("{source}>{destination} {}{cut}", String::from_utf8_lossy(payload))
        }
        Content::Fragment => "fragment".to_owned(),
        Content::Other => "other".to_owned(),
    }
}

#[test]
fn frames_give_their_datagrams() {
    let udp = &IPV4[20..];
    let with = |at: usize, value: u8| {
        let mut packet = IPV4.to_vec();
        packet[at] = value;
        packet
    };
    let cooked = |link: &[u8], len: usize, at: usize| {
        let mut frame = vec![0; len];
        frame[at..at + 2].copy_from_slice(link);
        frame.extend(IPV4);
        frame
    };
    let padded = [IPV4, &[0; 15]].concat();
    let want4 = "192.0.2.1:4000>192.0.2.2:5000 key";
    let want6 = "[2001:db8::1]:4000>[2001:db8::2]:5000 key";
    let hop = [17, 0, 1, 4, 0, 0, 0, 0];
    let part = [17, 0, 0, 1, 0, 0, 0, 0];
    #[rustfmt::skip]
    let cases = [
        ("Ethernet",                    1, ethernet(&[], [8, 0], IPV4),                                want4),
        ("padded to 60 octets",         1, ethernet(&[], [8, 0], &padded),                             want4),
        ("a VLAN tag",                  1, ethernet(&[[0x81, 0, 0, 7]], [8, 0], IPV4),                 want4),
        ("two VLAN tags",               1, ethernet(&[[0x88, 0xA8, 0, 7], [0x81, 0, 0, 8]], [8, 0], IPV4), want4),
        ("ARP",                         1, ethernet(&[], [8, 6], IPV4),                                "other"),
        ("raw IP",                    101, IPV4.to_vec(),                                              want4),
        ("BSD loopback",                0, [&[2, 0, 0, 0], IPV4].concat(),                             want4),
        ("Linux cooked",              113, cooked(&[8, 0], 16, 14),                                    want4),
        ("Linux cooked, version 2",   276, cooked(&[8, 0], 20, 0),                                     want4),
        ("an unknown link",           147, IPV4.to_vec(),                                              "other"),
        ("IPv6",                        1, ethernet(&[], [0x86, 0xDD], &ipv6(17, &[], udp)),           want6),
        ("IPv6 with hop-by-hop",      101, ipv6(0, &hop, udp),                                         want6),
        ("an IPv6 fragment",          101, ipv6(44, &part, udp),                                       "fragment"),
        ("IPv6 with TCP",             101, ipv6(6, &[], udp),                                          "other"),
        ("the first IPv4 fragment",   101, with(6, 0x20),                                              "fragment"),
        ("a later IPv4 fragment",     101, with(7, 0x10),                                              "fragment"),
        ("IPv4 that is not fragmented", 101, with(6, 0x40),                                            want4),
        ("IPv4 with TCP",             101, with(9, 6),                                                 "other"),
        ("a UDP length below its header", 101, with(25, 7),                                            "other"),
        ("captured in part",          101, IPV4[..29].to_vec(), "192.0.2.1:4000>192.0.2.2:5000 k cut"),
        ("another IP version",        101, with(0, 0x55),                                              "other"),
        ("nothing",                   101, Vec::new(),                                                 "other"),
    ];
    for (name, link, bytes, want) in cases {
        let frame = Frame { at: UnixMicros::default(), link, bytes: &bytes };
        assert_eq!(text(frame.content()), want, "{name}");
    }
}

/// Two frames, 1 s and 250 ms apart, in a pcap file of that byte order and resolution.
fn pcap(big: bool, nanos: bool) -> Vec<u8> {
    let u32 = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let magic = if nanos { 0xA1B2_3C4D } else { 0xA1B2_C3D4 };
    let mut file = [u32(magic), u32(0x0002_0004), u32(0), u32(0), u32(65_535), u32(101)].concat();
    let quarter = if nanos { 250_000_000 } else { 250_000 };
    for (seconds, fraction) in [(1_700_000_000, 0), (1_700_000_001, quarter)] {
        let len = u32(u32::try_from(IPV4.len()).expect("a short packet"));
        file.extend([u32(seconds), u32(fraction), len, len].concat());
        file.extend(IPV4);
    }
    file
}

/// The same as pcapng, after a block of a kind that nobody knows; times in units of 10^-`power`.
fn pcapng(big: bool, power: u8) -> Vec<u8> {
    let u32 = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let u16 = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32(u32::try_from(body.len() + 12).expect("a short block"));
        [u32(kind).to_vec(), len.to_vec(), body, len.to_vec()].concat()
    };
    let section =
        [u32(0x1A2B_3C4D), [u16(1), u16(0)].concat().try_into().unwrap(), u32(!0), u32(!0)];
    let mut file = block(0x0A0D_0D0A, &section.concat());
    file.extend(block(0x0BAD, b"unknown"));
    let option = [&u16(9)[..], &u16(1), &[power, 0, 0, 0], &u16(0), &u16(0)].concat();
    file.extend(block(1, &[&u16(101)[..], &u16(0), &u32(65_535), &option].concat()));
    let ticks = 10_u64.pow(power.into());
    for at in [1_700_000_000 * ticks, 1_700_000_001 * ticks + ticks / 4] {
        let len = u32(u32::try_from(IPV4.len()).expect("a short packet"));
        let (high, low) = (u32((at >> 32) as u32), u32(at as u32));
        file.extend(block(6, &[&u32(0)[..], &high, &low, &len, &len, IPV4].concat()));
    }
    file
}

fn times(file: &[u8]) -> (Vec<i64>, End) {
    let mut capture = Capture::open(file).expect("it is a capture");
    let times = capture.by_ref().map(|frame| {
        assert_eq!(text(frame.content()), "192.0.2.1:4000>192.0.2.2:5000 key");
        frame.at.0
    });
    (times.collect(), capture.end())
}

#[test]
fn both_formats_are_read_in_both_byte_orders() {
    let want = (vec![1_700_000_000_000_000, 1_700_000_001_250_000], End::Whole);
    for big in [false, true] {
        for nanos in [false, true] {
            assert_eq!(times(&pcap(big, nanos)), want, "pcap, big {big}, nanoseconds {nanos}");
        }
        for power in [3, 6, 9] {
            assert_eq!(times(&pcapng(big, power)), want, "pcapng, big {big}, 10^-{power} s");
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_gives_what_is_whole() {
    for (name, whole) in [("pcap", pcap(false, false)), ("pcapng", pcapng(true, 6))] {
        for len in 0..whole.len() {
            let Ok(mut capture) = Capture::open(&whole[..len]) else { continue };
            let frames = capture.by_ref().count();
            assert!(frames < 2, "{name} of {len} octets");
            let end = capture.end();
            assert!(matches!(end, End::CutOff | End::Whole), "{name} of {len} octets: {end:?}");
        }
    }
}

#[test]
fn damage_ends_the_reading_without_a_panic() {
    let mut long = pcap(false, false);
    long[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(times(&long), (Vec::new(), End::Damaged));
    let mut short = pcapng(false, 6);
    short[4..8].copy_from_slice(&8_u32.to_le_bytes());
    assert_eq!(times(&short), (Vec::new(), End::Damaged));
    for whole in [pcap(true, true), pcapng(false, 9)] {
        for at in 0..whole.len() {
            for octet in [0, 0x7F, 0xFF] {
                let mut file = whole.clone();
                file[at] = octet;
                if let Ok(capture) = Capture::open(&file) {
                    capture.for_each(|frame| drop(text(frame.content())));
                }
            }
        }
    }
}

#[test]
fn other_files_are_refused() {
    let cases = [
        ("nothing", &b""[..], PcapError::Short { found: 0 }),
        ("a WAV file", b"RIFF____WAVE", PcapError::Magic { found: 0x5249_4646 }),
        ("a header cut off", &[0xD4, 0xC3, 0xB2, 0xA1, 2, 0], PcapError::Short { found: 6 }),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(Capture::open(bytes).map(|_| ()), Err(want), "{name}");
    }
}
