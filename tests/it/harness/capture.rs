//! What went over the loopback interface, captured by a program that is not ours.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::ports;
use super::process::Process;
use super::site::Site;
use super::wait_for;

/// Debian's package of dumpcap.
const PACKAGE: &str = "tshark";

/// How long dumpcap may take to begin, and to write what it has seen.
const CAPTURE_MAX: Duration = Duration::from_secs(20);

/// The file header of classic pcap, and the header of each packet.
const FILE_HEADER_LEN: usize = 24;
const PACKET_HEADER_LEN: usize = 16;

/// Ethernet (which loopback pretends), IPv4 without options, UDP.
const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;

/// A datagram that marks the end of what is to be seen.
const LAST: &[u8] = b"seen enough";

/// A capture in progress.
#[derive(Debug)]
pub(crate) struct Capture {
    process: Process,
    file: PathBuf,
    told: PathBuf,
    end: std::net::SocketAddr,
}

impl Capture {
    /// Captures the UDP packets of loopback to or from `ports`, the first `octets` of each.
    pub(crate) fn start(site: &Site, ports: &[std::ops::Range<u16>], octets: u32) -> Self {
        let folder = site.folder();
        let (file, told) = (folder.join("capture.pcap"), folder.join("capture.told"));
        let end = ports::udp();
        let mut filter = format!("udp and (port {}", end.port());
        for range in ports {
            filter += &format!(" or portrange {}-{}", range.start, range.end - 1);
        }
        filter.push(')');
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-P", "-B", "32", "-i", "lo", "-s", &octets.to_string(), "-f"]);
        command.arg(&filter).arg("-w").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&told).expect("a file for what dumpcap says"));
        let mut process = Process::start(&mut command, Some(PACKAGE));
        wait_for("dumpcap captures", CAPTURE_MAX, || {
            let says = std::fs::read_to_string(&told).unwrap_or_default();
            assert!(process.is_alive(), "dumpcap cannot capture (root, or setcap): {says}");
            says.contains("File: ").then_some(())
        });
        Self { process, file, told, end }
    }

    /// Ends the capture once everything up to now is in it.
    pub(crate) fn stop(mut self) -> Captured {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket.send_to(LAST, &self.end.into()).expect("loopback takes a datagram");
        wait_for("dumpcap has written the last packet", CAPTURE_MAX, || {
            let bytes = std::fs::read(&self.file).unwrap_or_default();
            let tail = bytes.len().saturating_sub(1 << 20);
            memchr::memmem::find(&bytes[tail..], LAST).map(|_| ())
        });
        self.process.terminate();
        self.process.wait(CAPTURE_MAX).expect("dumpcap ends when told to");
        let told = std::fs::read_to_string(&self.told).unwrap_or_default();
        assert!(told.contains("/0 "), "packets lost: {told}");
        Captured { file: self.file }
    }
}

/// A finished capture.
#[derive(Debug)]
pub(crate) struct Captured {
    file: PathBuf,
}

impl Captured {
    /// A file that was captured before.
    pub(crate) fn at(file: PathBuf) -> Self {
        Self { file }
    }

    /// How many RTP packets went from each UDP port to each other one; by their first octet
    /// (version 2) and second (no RTCP packet type, RFC 5761 section 4).
    pub(crate) fn rtp_packets(&self) -> HashMap<(u16, u16), u64> {
        let mut counts = HashMap::new();
        self.each(|from, to, payload| {
            let is_rtcp = matches!(payload.get(1), Some(192..=223));
            if payload.len() >= 12 && payload[0] >> 6 == 2 && !is_rtcp {
                *counts.entry((from, to)).or_default() += 1;
            }
        });
        counts
    }

    /// The file, of classic pcap.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Shows source port, destination port and payload of each packet.
    pub(crate) fn each(&self, mut see: impl FnMut(u16, u16, &[u8])) {
        let bytes = std::fs::read(&self.file).expect("the capture's file");
        let word = |at: usize| {
            let octets = bytes[at..at + 4].try_into().expect("four octets");
            u32::from_le_bytes(octets) as usize
        };
        let mut at = FILE_HEADER_LEN;
        while at + PACKET_HEADER_LEN <= bytes.len() {
            let (start, len) = (at + PACKET_HEADER_LEN, word(at + 8));
            let udp = &bytes[start + ETHERNET_LEN + IPV4_LEN..start + len];
            let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
            see(port(0), port(2), &udp[8..]);
            at = start + len;
        }
    }
}
