//! Keys in a capture: its RTP streams, with the SDP that describes them if it is there, and the
//! INFO requests of its SIP.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;

use super::Terms;
use super::report::Report;
use super::report::Stream;
use super::stream::Listener;
use super::stream::kind;
use crate::cli::text::count;
use crate::dtmf::InfoKey;
use crate::dtmf::read_info;
use crate::media::rtp::RtpPacket;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::record::pcap::Capture;
use crate::record::pcap::Datagram;
use crate::record::pcap::End;
use crate::record::pcap::datagram::Content;
use crate::sdp::LocalMedia;
use crate::sdp::Negotiated;
use crate::sdp::Offer;
use crate::sip::StartLine;
use crate::sip::message::Message;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;

/// Most streams that are listened to, so that a capture of noise does not eat the memory.
const STREAMS_MAX: usize = 10_000;

/// What tells a stream from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Rtp { source: SocketAddr, destination: SocketAddr, ssrc: u32 },
    Info { call_id: String },
}

/// Everything that was seen of a capture so far.
struct Reading {
    zero: Instant,
    /// Of the first frame.
    wall: Option<UnixMicros>,
    now: Instant,
    terms: Terms,
    /// What a peer at this RTP address said that it takes.
    described: HashMap<SocketAddr, Negotiated>,
    indices: HashMap<Name, usize>,
    listeners: Vec<Listener>,
    /// INFO requests that were heard, since UDP doubles them.
    infos: HashSet<(String, u32)>,
    report: Report,
    fragments: usize,
    cut: usize,
    crowded: usize,
}

/// Listens to every stream of the capture `bytes`.
pub(super) fn decode(bytes: &[u8], terms: Terms) -> Result<Report> {
    let mut capture = Capture::open(bytes)?;
    let zero = clock::now();
    let mut reading = Reading {
        zero,
        wall: None,
        now: zero,
        terms,
        described: HashMap::new(),
        indices: HashMap::new(),
        listeners: Vec::new(),
        infos: HashSet::new(),
        report: Report::default(),
        fragments: 0,
        cut: 0,
        crowded: 0,
    };
    for frame in capture.by_ref() {
        reading.passes(frame.at);
        match frame.content() {
            Content::Udp(datagram) => reading.datagram(&datagram),
            Content::Fragment => reading.fragments += 1,
            Content::Other => {}
        }
    }
    Ok(reading.done(capture.end()))
}

impl Reading {
    /// Time has come to `at`; a step backwards, as between network cards, is no time at all.
    fn passes(&mut self, at: UnixMicros) {
        let first = self.wall.get_or_insert(at).0;
        let since = u64::try_from(at.0.saturating_sub(first)).unwrap_or_default();
        self.now = self.now.max(self.zero + Duration::from_micros(since));
    }

    fn datagram(&mut self, datagram: &Datagram<'_>) {
        self.cut += usize::from(datagram.is_cut);
        match datagram.payload.first() {
            Some(0x80..=0xBF) => self.rtp(datagram),
            Some(b'A'..=b'Z' | b'a'..=b'z') => {
                if let Ok(message) = Message::parse(datagram.payload) {
                    self.sip(&message);
                }
            }
            _ => {}
        }
    }

    fn rtp(&mut self, datagram: &Datagram<'_>) {
        let Ok(packet) = RtpPacket::parse(datagram.payload) else { return };
        let Datagram { source, destination, .. } = *datagram;
        let described =
            self.described.get(&destination).or_else(|| self.described.get(&source)).cloned();
        let kind = kind(&packet, self.terms.event_pt, described.as_ref());
        let ssrc = packet.ssrc();
        let name = Name::Rtp { source, destination, ssrc };
        // What carries neither audio nor keys is no stream to listen to; it may not even be RTP.
        if kind.is_none() && !self.indices.contains_key(&name) {
            return;
        }
        let Some(index) = self.stream(name, described.as_ref()) else { return };
        let row = self.report.streams.get_mut(index);
        let (Some(listener), Some(row)) = (self.listeners.get_mut(index), row) else { return };
        if let Some(press) = listener.packet(self.now, kind, &packet, row) {
            let key = self.report.push(&press, self.zero, self.wall, index);
            listener.follow(key, press);
        }
        listener.settle(&mut self.report);
    }

    fn sip(&mut self, message: &Message<'_>) {
        if message.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/sdp"))
        {
            self.description(message.body());
        }
        let is_info = matches!(message.start(), StartLine::Request { method: Method::Info, .. });
        let kind = message.header(HeaderName::ContentType).unwrap_or_default();
        if is_info && let Ok(key) = read_info(kind, message.body()) {
            self.info(message, key);
        }
    }

    /// Keeps what a peer takes at its RTP address, offer and answer alike.
    fn description(&mut self, body: &[u8]) {
        let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let Ok(offer) = Offer::parse(body) else { return };
        if let Ok((negotiated, _answer)) = offer.answer(&LocalMedia::new(anywhere, 0)) {
            self.described.insert(negotiated.remote, negotiated);
        }
    }

    fn info(&mut self, message: &Message<'_>, key: InfoKey) {
        let (Ok(call_id), Ok((number, _))) = (message.call_id(), message.cseq()) else { return };
        let call_id = String::from_utf8_lossy(call_id).into_owned();
        if !self.infos.insert((call_id.clone(), number)) {
            return;
        }
        let Some(index) = self.stream(Name::Info { call_id }, None) else { return };
        let row = self.report.streams.get_mut(index);
        if let (Some(listener), Some(row)) = (self.listeners.get_mut(index), row)
            && let Some(press) = listener.info(self.now, key, row)
        {
            self.report.push(&press, self.zero, self.wall, index);
        }
    }

    /// The index of a stream, new or known; nothing when there are too many.
    fn stream(&mut self, name: Name, described: Option<&Negotiated>) -> Option<usize> {
        if let Some(&index) = self.indices.get(&name) {
            return Some(index);
        }
        let index = self.listeners.len();
        if index == STREAMS_MAX {
            self.crowded += 1;
            return None;
        }
        let (stream, by) = match &name {
            Name::Rtp { source, destination, ssrc } => {
                let by = if described.is_some() { "sdp" } else { "guess" };
                (format!("{source} -> {destination} ssrc {ssrc:08x}"), by)
            }
            Name::Info { call_id } => (format!("INFO of call {call_id}"), "sip"),
        };
        self.report.streams.push(Stream { stream, by, ..Stream::default() });
        self.listeners.push(Listener::new(self.terms.tone, described));
        self.indices.insert(name, index);
        Some(index)
    }

    fn done(mut self, end: End) -> Report {
        let notes = &mut self.report.notes;
        match end {
            End::Reading | End::Whole => {}
            End::CutOff => notes.push("the capture ends within a frame".to_owned()),
            End::Damaged => {
                notes.push("the capture is damaged and was read up to there".to_owned())
            }
        }
        if self.fragments > 0 {
            let fragments = count(self.fragments, "fragment");
            notes.push(format!("{fragments} of IP packets passed over, SIP with its SDP perhaps"));
        }
        if self.cut > 0 {
            let cut = count(self.cut, "datagram");
            notes.push(format!("{cut} captured in part: capture with a larger snapshot length"));
        }
        if self.crowded > 0 {
            let crowded = count(self.crowded, "packet");
            notes.push(format!("{crowded} beyond the first {STREAMS_MAX} streams passed over"));
        }
        self.report
    }
}
