//! What tshark, which is not ours, says of the packets of one call.
//!
//! Only packets between two ports of the call are judged: those that speak SIP, which the caller
//! names, and those that its session descriptions name, with the port above each for RTCP. Every
//! other packet on loopback is somebody else's. tshark is told what each port speaks, since it
//! would take RTP that comes before the description of it for mere data.

use std::collections::BTreeSet;
use std::process::Command;

use super::capture::Captured;
use super::process;

/// Debian's package of tshark.
const PACKAGE: &str = "tshark";

/// Octets of a packet that a message about it shows.
const SHOWN: usize = 24;

/// What tshark is asked of each packet; `Row::new` takes them in this order.
const FIELDS: [&str; 13] = [
    "frame.number",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "udp.payload",
    "frame.protocols",
    "_ws.malformed",
    "sip.Method",
    "sip.Status-Code",
    "rtp.version",
    "rtcp.version",
    "rtcp.length_check",
    "rtpevent.event_id",
];

/// The packets of one call.
#[derive(Debug, Default)]
pub(crate) struct Dissection {
    /// Packets of SIP, of RTP audio, of RTCP and of telephone-events.
    pub(crate) seen: [u32; 4],
    /// The events' codes, as in RFC 4733.
    pub(crate) keys: BTreeSet<String>,
    /// Each packet that is none of these, or is malformed, in words.
    pub(crate) faults: Vec<String>,
}

impl Dissection {
    /// Judges what was captured of the call whose SIP goes between ports `sip`.
    pub(crate) fn of(captured: &Captured, sip: &[u16]) -> Self {
        let media = media_ports(captured, sip);
        let mut command = Command::new("tshark");
        command.arg("-r").arg(captured.file()).args(["-n", "-T", "fields"]);
        let told = sip.iter().map(|&port| (port, "sip"));
        let audio = media.iter().flat_map(|&port| [(port, "rtp"), (port + 1, "rtcp")]);
        let ports: Vec<(u16, &str)> = told.chain(audio).collect();
        for (port, protocol) in &ports {
            command.args(["-d", &format!("udp.port=={port},{protocol}")]);
        }
        let list: Vec<String> = ports.iter().map(|(port, _)| port.to_string()).collect();
        let list = list.join(",");
        command.args(["-Y", &format!("udp.srcport in {{{list}}} and udp.dstport in {{{list}}}")]);
        for field in FIELDS {
            command.args(["-e", field]);
        }
        let mut dissection = Self::default();
        for line in process::output(&mut command, Some(PACKAGE)).lines() {
            dissection.judge(&line.split('\t').collect::<Vec<_>>());
        }
        dissection
    }

    fn judge(&mut self, row: &[&str]) {
        let [frame, from, to, len, payload, protocols, malformed, method, status, fields @ ..] =
            row
        else {
            return self.faults.push(format!("tshark answered {row:?}"));
        };
        let [rtp, rtcp, rtcp_length, event] = fields else {
            return self.faults.push(format!("tshark answered {row:?}"));
        };
        let has = |name: &str| protocols.split(':').any(|protocol| protocol == name);
        let kinds = [
            has("sip") && (!method.is_empty() || !status.is_empty()),
            has("rtp") && *rtp == "2" && !has("rtpevent"),
            // A packet of RTCP is several, each with its version.
            has("rtcp") && !rtcp.is_empty() && rtcp.split(',').all(|version| version == "2"),
            has("rtpevent") && *rtp == "2" && !event.is_empty(),
        ];
        let is_short = ["0", "False"].contains(rtcp_length);
        let fault = match () {
            () if !malformed.is_empty() || has("_ws.malformed") => "malformed",
            () if is_short => "RTCP of another length than it says",
            () if !kinds.contains(&true) => "neither SIP nor RTP nor RTCP",
            () => "",
        };
        if !fault.is_empty() {
            let beginning = payload.get(..2 * SHOWN).unwrap_or(payload);
            self.faults.push(format!(
                "frame {frame}, UDP {from} -> {to}, length {len}: {fault}: \
                 {protocols}, {beginning}"
            ));
            return;
        }
        for (count, is) in self.seen.iter_mut().zip(kinds) {
            *count += u32::from(is);
        }
        if !event.is_empty() {
            self.keys.insert((*event).to_owned());
        }
    }
}

/// The ports that the session descriptions of `sip` name for audio.
fn media_ports(captured: &Captured, sip: &[u16]) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    captured.each(|from, to, payload| {
        if sip.contains(&from) && sip.contains(&to) {
            let text = String::from_utf8_lossy(payload);
            let named = text.lines().filter_map(|line| line.strip_prefix("m=audio "));
            let port = |line: &str| line.split(' ').next().and_then(|port| port.parse().ok());
            ports.extend(named.filter_map(port).filter(|&port: &u16| port > 0));
        }
    });
    ports
}
