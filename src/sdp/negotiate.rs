//! Offer and answer (RFC 3264) for one audio stream.
//!
//! An offer is answered with the first of *its* codecs that this leg may speak: the offerer's
//! order is what it can do cheapest (RFC 3264 section 6.1 asks for it), and to us the two codecs
//! cost the same. The answer names that one codec only, so that the peer cannot change it in
//! mid-call, and takes over the offer's payload types for both directions.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::description::Address;
use super::description::Description;
use super::description::MediaLine;
use super::direction::Direction;
use super::error::SdpError;
use super::lines::Lines;
use super::write;
use super::write::AudioLine;
use crate::model::Codec;
use crate::model::PayloadKind;
use crate::model::PayloadMap;

/// The payload type that we offer for telephone-events: what nearly everybody uses.
const EVENT_PAYLOAD_TYPE: u8 = 101;

/// Audio in a packet when nobody says otherwise (RFC 3551 table 1), and what we always send.
const PTIME_MS: u8 = 20;

/// What one leg of ours can do, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we want RTP, as the peer can reach it; RTCP is expected one port above.
    pub address: SocketAddr,
    /// The session's number in the `o=` line, the same for the whole life of a dialog.
    pub session_id: u64,
    /// The description's number: one more for each that differs from the one before it
    /// (RFC 3264 section 8).
    pub version: u64,
    /// What this leg may speak, in our order of preference; a bridge leaves what the other leg
    /// speaks.
    pub codecs: Vec<Codec>,
    /// Whether telephone-events are offered and taken.
    pub events: bool,
    /// The payload type under which we offer them.
    pub event_payload_type: u8,
    /// The packet length that we ask for, in milliseconds.
    pub ptime_ms: u8,
    /// What we are willing to do; an answer narrows it down to what the offer allows.
    pub direction: Direction,
    /// What our last answer has settled for the offers that follow it; see [`Self::keeping`].
    pub lines: Option<Lines>,
}

impl LocalMedia {
    /// Both codecs, events and 20 ms, both ways, in the first description of a session.
    pub fn new(address: SocketAddr, session_id: u64) -> Self {
        Self {
            address,
            session_id,
            version: 1,
            codecs: Codec::ALL.to_vec(),
            events: true,
            event_payload_type: EVENT_PAYLOAD_TYPE,
            ptime_ms: PTIME_MS,
            direction: Direction::SendRecv,
            lines: None,
        }
    }
}

/// How the peer wants to get telephone-events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFormat {
    /// The payload type to send them under.
    pub payload_type: u8,
    /// Ticks of their timestamps in a second.
    pub clock_hz: u32,
}

/// What offer and answer have settled for a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Where to send RTP; an unspecified address (`0.0.0.0`) while the peer holds the old way.
    pub remote: SocketAddr,
    /// Where to send RTCP: as `a=rtcp` says, or one port above.
    pub remote_rtcp: SocketAddr,
    /// The codec to send.
    pub codec: Codec,
    /// The payload type to send it under.
    pub payload_type: u8,
    /// How to send telephone-events; `None` when the peer does not take them.
    pub events: Option<EventFormat>,
    /// What may arrive, by payload type.
    pub receive: PayloadMap,
    /// The packet length that the peer asks for, in milliseconds; a wish (RFC 3264 section 6.1),
    /// and a prompt's frames stay 20 ms long.
    pub ptime_ms: u8,
    /// Which way media flows, as we see it.
    pub direction: Direction,
}

/// An offer that was read and not yet answered.
#[derive(Clone, Debug)]
pub struct Offer(Description);

impl Offer {
    /// Reads the body of an INVITE, UPDATE or late-offer 200.
    ///
    /// # Errors
    ///
    /// A malformed [`SdpError`]; what we cannot take shows only in [`Self::answer`].
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        Description::parse(body).map(Self)
    }

    /// The codecs of the offer's audio that we know, the preferred one first: what a bridge may
    /// offer onwards.
    pub fn codecs(&self) -> Vec<Codec> {
        let mut codecs = Vec::new();
        for (_, codec) in
            self.0.media.iter().filter(|line| is_usable(line)).flat_map(MediaLine::codecs)
        {
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
        codecs
    }

    /// Where the offer wants its audio: tells IPv4 from IPv6 before an address of ours is chosen.
    pub fn audio_ip(&self) -> Option<IpAddr> {
        self.0.media.iter().filter(|line| is_usable(line)).find_map(|line| match line.address {
            Address::Ip(ip) => Some(ip),
            Address::Missing | Address::HostName => None,
        })
    }

    /// The answer for `local`: what was settled, and the body to send.
    ///
    /// # Errors
    ///
    /// [`SdpError`] when no audio stream of the offer can be taken: the reason of the first.
    pub fn answer(&self, local: &LocalMedia) -> Result<(Negotiated, String), SdpError> {
        let mut refusal = SdpError::NoAudio;
        let audio = self.0.media.iter().enumerate().filter(|(_, line)| is_audio(line));
        for (index, line) in audio {
            match take(line, local) {
                Ok(negotiated) => {
                    let body = self.answer_body(index, local, &negotiated);
                    return Ok((negotiated, body));
                }
                Err(error) if refusal == SdpError::NoAudio => refusal = error,
                Err(_) => {} // The first reason is the one to tell.
            }
        }
        Err(refusal)
    }

    fn answer_body(&self, taken: usize, local: &LocalMedia, negotiated: &Negotiated) -> String {
        let mut body = write::session(local);
        for (index, line) in self.0.media.iter().enumerate() {
            if index != taken {
                write::declined(&mut body, line);
                continue;
            }
            let audio = AudioLine {
                profile: &line.profile,
                codecs: &[(negotiated.payload_type, negotiated.codec.name())],
                events: negotiated.events.map(|events| events.payload_type),
                direction: negotiated.direction,
            };
            write::audio(&mut body, local, &audio);
        }
        body
    }
}

/// Our own offer: one audio stream, in its place among those of the last description.
pub fn offer(local: &LocalMedia) -> String {
    let mut body = write::session(local);
    let codecs: Vec<_> =
        local.codecs.iter().map(|&codec| (local.payload_type_of(codec), codec.name())).collect();
    let kept = local.lines.as_ref();
    let audio = AudioLine {
        profile: kept.and_then(Lines::audio_line).map_or("RTP/AVP", |line| &line.profile),
        codecs: &codecs,
        events: local.events.then_some(local.event_payload_type),
        direction: local.direction,
    };
    let Some(lines) = kept else {
        write::audio(&mut body, local, &audio);
        return body;
    };
    for (index, line) in lines.media.iter().enumerate() {
        if index == lines.audio {
            write::audio(&mut body, local, &audio);
        } else {
            write::declined(&mut body, line);
        }
    }
    body
}

/// Reads the answer to our offer `local`.
///
/// The first of the answer's codecs is the one to send (RFC 3264 section 7); all of them may
/// arrive, under our payload types and, since some answerers use their own both ways, under
/// theirs. Streams beyond the one that we offered are not looked at.
///
/// # Errors
///
/// [`SdpError`] when the answer is malformed, declines the stream, or keeps no codec of ours.
pub fn accept(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let answer = Description::parse(answer)?;
    let place = local.lines.as_ref().map_or(0, |lines| lines.audio);
    let line = answer.media.get(place).filter(|line| is_audio(line)).ok_or(SdpError::NoAudio)?;
    if line.port == 0 {
        return Err(SdpError::Declined);
    }
    let mut negotiated = take(line, local)?;
    let mut receive = PayloadMap::default();
    for (payload_type, codec) in line.codecs().filter(|(_, codec)| local.codecs.contains(codec)) {
        receive.insert(local.payload_type_of(codec), PayloadKind::Audio(codec));
        receive.insert(payload_type, PayloadKind::Audio(codec));
    }
    if let Some(events) = negotiated.events {
        receive.insert(local.event_payload_type, PayloadKind::Event);
        receive.insert(events.payload_type, PayloadKind::Event);
    }
    negotiated.receive = receive;
    Ok(negotiated)
}

fn is_audio(line: &MediaLine) -> bool {
    line.kind.eq_ignore_ascii_case("audio")
}

fn is_usable(line: &MediaLine) -> bool {
    is_audio(line) && line.port != 0 && has_known_profile(line)
}

/// Plain RTP; AVPF (RFC 4585) only adds feedback, which is ours to leave out.
fn has_known_profile(line: &MediaLine) -> bool {
    ["RTP/AVP", "RTP/AVPF"].iter().any(|profile| profile.eq_ignore_ascii_case(&line.profile))
}

/// What follows for us from a stream of the peer's, be it offered or answered.
fn take(line: &MediaLine, local: &LocalMedia) -> Result<Negotiated, SdpError> {
    if line.port == 0 {
        return Err(SdpError::NoAudio);
    }
    if !has_known_profile(line) {
        return Err(SdpError::Profile);
    }
    let ip = reachable_ip(line, local.address.ip())?;
    let (payload_type, codec) = line
        .codecs()
        .find(|(_, codec)| local.codecs.contains(codec))
        .ok_or(SdpError::NoCommonCodec { offered: line.formats.len() })?;
    let clock_hz = codec.clock_hz();
    let events = line
        .events(clock_hz)
        .filter(|_| local.events)
        .map(|payload_type| EventFormat { payload_type, clock_hz });
    let mut receive = PayloadMap::default();
    receive.insert(payload_type, PayloadKind::Audio(codec));
    if let Some(events) = events {
        receive.insert(events.payload_type, PayloadKind::Event);
    }
    let (rtcp_port, rtcp_ip) = line.rtcp.unwrap_or_else(|| (line.port.saturating_add(1), None));
    Ok(Negotiated {
        remote: SocketAddr::new(ip, line.port),
        remote_rtcp: SocketAddr::new(rtcp_ip.unwrap_or(ip), rtcp_port),
        codec,
        payload_type,
        events,
        receive,
        ptime_ms: line.ptime_ms.unwrap_or(PTIME_MS),
        direction: our_direction(line, ip).and(local.direction),
    })
}

fn reachable_ip(line: &MediaLine, ours: IpAddr) -> Result<IpAddr, SdpError> {
    let theirs = match line.address {
        Address::Missing => return Err(SdpError::NoConnection),
        Address::HostName => return Err(SdpError::HostName),
        Address::Ip(ip) => ip,
    };
    if theirs.is_multicast() {
        return Err(SdpError::Multicast);
    }
    // An unspecified address is hold, and may well be written as IPv4 by an IPv6 peer.
    if theirs.is_ipv4() != ours.is_ipv4() && !theirs.is_unspecified() {
        return Err(SdpError::AddressFamily { ours, theirs });
    }
    Ok(theirs)
}

/// The peer's direction seen from here; an unspecified address means that nothing may be sent
/// there (RFC 3264 section 8.4).
const fn our_direction(line: &MediaLine, ip: IpAddr) -> Direction {
    let direction = line.direction.reversed();
    if ip.is_unspecified() { Direction::of(false, direction.receives()) } else { direction }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::BODY_LEN_MAX;
    use crate::sdp::FORMATS_MAX;
    use crate::sdp::MEDIA_MAX;

    fn local() -> LocalMedia {
        LocalMedia::new("192.0.2.1:30000".parse().unwrap(), 7)
    }

    /// A description with the usual session lines; `media` has lines parted by `|`.
    fn body(media: &str) -> Vec<u8> {
        let head = "v=0|o=alice 1 1 IN IP4 198.51.100.5|s=call|c=IN IP4 198.51.100.5|t=0 0|";
        format!("{head}{media}|").replace('|', "\r\n").into_bytes()
    }

    /// `remote rtcp codec/type events receive ptime direction`, or the error.
    fn summary(negotiated: &Result<Negotiated, SdpError>) -> String {
        let negotiated = match negotiated {
            Ok(negotiated) => negotiated,
            Err(error) => return format!("{error:?}"),
        };
        let events = negotiated.events.map_or_else(|| "-".into(), |e| e.payload_type.to_string());
        let receive: Vec<String> = negotiated
            .receive
            .iter()
            .map(|(payload_type, kind)| match kind {
                PayloadKind::Audio(codec) => format!("{payload_type}={codec}"),
                PayloadKind::Event => format!("{payload_type}=events"),
            })
            .collect();
        format!(
            "{} {} {}/{} {events} {} {} {}",
            negotiated.remote,
            negotiated.remote_rtcp.port(),
            negotiated.codec,
            negotiated.payload_type,
            receive.join(","),
            negotiated.ptime_ms,
            negotiated.direction.name()
        )
    }

    fn answer_to(local: &LocalMedia, offer: &[u8]) -> Result<(Negotiated, String), SdpError> {
        Offer::parse(offer)?.answer(local)
    }

    #[test]
    fn offers_are_settled() {
        let at = "198.51.100.5:4000 4001";
        let usual = format!("{at} PCMU/0 101 0=PCMU,101=events 20 sendrecv");
        #[rustfmt::skip]
        let cases = [
            ("the usual offer", "m=audio 4000 RTP/AVP 0 8 101|a=rtpmap:0 PCMU/8000|a=rtpmap:8 PCMA/8000|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15", usual.clone()),
            ("static types need no rtpmap", "m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/8000", usual.clone()),
            ("flash is offered too", "m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-16", usual.clone()),
            ("names are case-insensitive", "m=audio 4000 rtp/avp 0 101|a=rtpmap:0 pcmu/8000/1|a=rtpmap:101 Telephone-Event/8000", usual.clone()),
            ("the offerer's order decides", "m=audio 4000 RTP/AVP 8 0", format!("{at} PCMA/8 - 8=PCMA 20 sendrecv")),
            ("unknown codecs are passed over", "m=audio 4000 RTP/AVP 18 9 3 8 0", format!("{at} PCMA/8 - 8=PCMA 20 sendrecv")),
            ("a codec under a dynamic type", "m=audio 4000 RTP/AVP 97|a=rtpmap:97 PCMA/8000", format!("{at} PCMA/97 - 97=PCMA 20 sendrecv")),
            ("a static type that means something else", "m=audio 4000 RTP/AVP 0 8|a=rtpmap:0 opus/48000/2", format!("{at} PCMA/8 - 8=PCMA 20 sendrecv")),
            ("wide-band mu-law is another codec", "m=audio 4000 RTP/AVP 97|a=rtpmap:97 PCMU/16000", "NoCommonCodec { offered: 1 }".into()),
            ("events with the codec's clock", "m=audio 4000 RTP/AVP 0 96 97 98|a=rtpmap:96 telephone-event/48000|a=rtpmap:97 telephone-event/16000|a=rtpmap:98 telephone-event/8000", format!("{at} PCMU/0 98 0=PCMU,98=events 20 sendrecv")),
            ("events with another clock only", "m=audio 4000 RTP/AVP 0 96|a=rtpmap:96 telephone-event/48000", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("events that are mapped and not listed", "m=audio 4000 RTP/AVP 0|a=rtpmap:101 telephone-event/8000", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("a wish for 30 ms", "m=audio 4000 RTP/AVP 0|a=ptime:30", format!("{at} PCMU/0 - 0=PCMU 30 sendrecv")),
            ("a wish for nonsense", "m=audio 4000 RTP/AVP 0|a=ptime:99999", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("RTCP somewhere else", "m=audio 4000 RTP/AVP 0|a=rtcp:53020", "198.51.100.5:4000 53020 PCMU/0 - 0=PCMU 20 sendrecv".into()),
            ("RTCP on the last port", "m=audio 65535 RTP/AVP 0", "198.51.100.5:65535 65535 PCMU/0 - 0=PCMU 20 sendrecv".into()),
            ("the stream's own address", "m=audio 4000 RTP/AVP 0|c=IN IP4 203.0.113.9", "203.0.113.9:4000 4001 PCMU/0 - 0=PCMU 20 sendrecv".into()),
            ("hold", "m=audio 4000 RTP/AVP 0|a=sendonly", format!("{at} PCMU/0 - 0=PCMU 20 recvonly")),
            ("a listener", "m=audio 4000 RTP/AVP 0|a=recvonly", format!("{at} PCMU/0 - 0=PCMU 20 sendonly")),
            ("hold both ways", "m=audio 4000 RTP/AVP 0|a=inactive", format!("{at} PCMU/0 - 0=PCMU 20 inactive")),
            ("hold the old way", "m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0", "0.0.0.0:4000 4001 PCMU/0 - 0=PCMU 20 recvonly".into()),
            ("hold for the whole session", "a=inactive|m=audio 4000 RTP/AVP 0", format!("{at} PCMU/0 - 0=PCMU 20 inactive")),
            ("the stream's direction goes before the session's", "a=inactive|m=audio 4000 RTP/AVP 0|a=sendrecv", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("video beside it", "m=video 5000 RTP/AVP 96|m=audio 4000 RTP/AVP 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("SRTP first, plain RTP second", "m=audio 5000 RTP/SAVP 0|m=audio 4000 RTP/AVP 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("feedback profile", "m=audio 4000 RTP/AVPF 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("SRTP only", "m=audio 4000 RTP/SAVP 0", "Profile".into()),
            ("no codec of ours", "m=audio 4000 RTP/AVP 18 9", "NoCommonCodec { offered: 2 }".into()),
            ("formats that are no payload types", "m=audio 4000 RTP/AVP * 999 -1 256", "NoCommonCodec { offered: 4 }".into()),
            ("a stream that is switched off", "m=audio 0 RTP/AVP 0", "NoAudio".into()),
            ("no audio", "m=video 5000 RTP/AVP 96", "NoAudio".into()),
            ("no stream", "a=tool:none", "NoAudio".into()),
            ("a host name", "m=audio 4000 RTP/AVP 0|c=IN IP4 media.example.com", "HostName".into()),
            ("a multicast group", "m=audio 4000 RTP/AVP 0|c=IN IP4 224.2.1.1/127", "Multicast".into()),
            ("IPv6 for our IPv4", "m=audio 4000 RTP/AVP 0|c=IN IP6 2001:db8::5", "AddressFamily { ours: 192.0.2.1, theirs: 2001:db8::5 }".into()),
        ];
        for (name, media, want) in cases {
            let got = answer_to(&local(), &body(media)).map(|(negotiated, _)| negotiated);
            assert_eq!(summary(&got), want, "{name}: {media}");
        }
    }

    #[test]
    fn an_answer_mirrors_the_lines_of_its_offer() {
        let offer = body(
            "m=video 5000 RTP/AVP 96 97|a=rtpmap:96 H264/90000|m=audio 4000 RTP/AVPF 8 0 96|\
             a=rtpmap:96 telephone-event/8000|a=sendonly|m=audio 4002 RTP/AVP 0|m=image 6000 udptl t38",
        );
        let (_, answer) = answer_to(&local(), &offer).unwrap();
        let want = "v=0|o=- 7 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|\
            m=video 0 RTP/AVP 96 97|\
            m=audio 30000 RTP/AVPF 8 96|a=rtpmap:8 PCMA/8000|a=rtpmap:96 telephone-event/8000|\
            a=fmtp:96 0-15|a=ptime:20|a=recvonly|\
            m=audio 0 RTP/AVP 0|m=image 0 udptl t38|";
        assert_eq!(answer, want.replace('|', "\r\n"));
    }

    #[test]
    fn our_offer_is_what_the_caller_allows() {
        let mut local = LocalMedia::new("[2001:db8::1]:30002".parse().unwrap(), 9);
        (local.codecs, local.version) = (vec![Codec::Pcma], 2);
        let head = "v=0|o=- 9 2 IN IP6 2001:db8::1|s=-|c=IN IP6 2001:db8::1|t=0 0|";
        let events = "a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|";
        let want = format!(
            "{head}m=audio 30002 RTP/AVP 8 101|a=rtpmap:8 PCMA/8000|{events}a=ptime:20|a=sendrecv|"
        );
        assert_eq!(offer(&local), want.replace('|', "\r\n"));
        (local.events, local.direction) = (false, Direction::SendOnly);
        let want =
            format!("{head}m=audio 30002 RTP/AVP 8|a=rtpmap:8 PCMA/8000|a=ptime:20|a=sendonly|");
        assert_eq!(offer(&local), want.replace('|', "\r\n"));
    }

    #[test]
    fn an_offer_says_what_a_bridge_needs_to_know() {
        let offer = Offer::parse(&body("m=audio 4000 RTP/AVP 8 18 0 97|a=rtpmap:97 PCMA/8000"));
        let offer = offer.unwrap();
        assert_eq!(offer.codecs(), [Codec::Pcma, Codec::Pcmu]);
        assert_eq!(offer.audio_ip(), Some("198.51.100.5".parse().unwrap()));
        let mut local = local();
        local.codecs = vec![Codec::Pcmu];
        let (negotiated, _) = offer.answer(&local).unwrap();
        assert_eq!(
            negotiated.codec,
            Codec::Pcmu,
            "what the other leg speaks, not what comes first"
        );
        local.codecs.clear();
        let refused = offer.answer(&local).map(|_| ());
        assert_eq!(refused, Err(SdpError::NoCommonCodec { offered: 4 }));
    }

    #[test]
    fn our_own_offer_and_answer_understand_each_other() {
        for ip in ["192.0.2.1", "2001:db8::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let ours = LocalMedia::new(SocketAddr::new(ip, 30000), 1);
            let theirs = LocalMedia::new(SocketAddr::new(ip, 40000), 2);
            let (answerer, answer) = answer_to(&theirs, offer(&ours).as_bytes()).unwrap();
            let offerer = accept(&ours, answer.as_bytes()).unwrap();
            assert_eq!((answerer.remote, offerer.remote), (ours.address, theirs.address));
            assert_eq!((answerer.codec, offerer.codec), (Codec::Pcmu, Codec::Pcmu));
            assert_eq!(answerer.events, offerer.events);
            assert_eq!(answerer.receive, offerer.receive);
        }
    }

    #[test]
    fn answers_are_accepted() {
        let at = "198.51.100.5:4000 4001";
        #[rustfmt::skip]
        let cases = [
            ("the usual answer", "m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/8000", format!("{at} PCMU/0 101 0=PCMU,101=events 20 sendrecv")),
            ("both codecs in their order", "m=audio 4000 RTP/AVP 8 0 101|a=rtpmap:101 telephone-event/8000", format!("{at} PCMA/8 101 8=PCMA,0=PCMU,101=events 20 sendrecv")),
            ("events left out", "m=audio 4000 RTP/AVP 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("events first", "m=audio 4000 RTP/AVP 101 0|a=rtpmap:101 telephone-event/8000", format!("{at} PCMU/0 101 0=PCMU,101=events 20 sendrecv")),
            ("events under the answerer's number", "m=audio 4000 RTP/AVP 0 96|a=rtpmap:96 telephone-event/8000", format!("{at} PCMU/0 96 0=PCMU,101=events,96=events 20 sendrecv")),
            ("a codec under the answerer's number", "m=audio 4000 RTP/AVP 97|a=rtpmap:97 PCMU/8000", format!("{at} PCMU/97 - 0=PCMU,97=PCMU 20 sendrecv")),
            ("a codec that we did not offer beside ours", "m=audio 4000 RTP/AVP 18 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("only codecs that we did not offer", "m=audio 4000 RTP/AVP 18 9", "NoCommonCodec { offered: 2 }".into()),
            ("only events", "m=audio 4000 RTP/AVP 101|a=rtpmap:101 telephone-event/8000", "NoCommonCodec { offered: 1 }".into()),
            ("on hold from the start", "m=audio 4000 RTP/AVP 0|a=sendonly", format!("{at} PCMU/0 - 0=PCMU 20 recvonly")),
            ("declined", "m=audio 0 RTP/AVP 0", "Declined".into()),
            ("another kind of stream", "m=video 4000 RTP/AVP 96", "NoAudio".into()),
            ("no stream", "a=tool:none", "NoAudio".into()),
            ("a stream too many", "m=audio 4000 RTP/AVP 0|m=video 4002 RTP/AVP 96", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
            ("a codec twice", "m=audio 4000 RTP/AVP 0 0 0", format!("{at} PCMU/0 - 0=PCMU 20 sendrecv")),
        ];
        for (name, media, want) in cases {
            assert_eq!(summary(&accept(&local(), &body(media))), want, "{name}: {media}");
        }
    }

    #[test]
    fn malformed_bodies_are_refused_for_what_they_are() {
        let many = |count: usize| vec!["m=audio 4000 RTP/AVP 0"; count].join("|");
        let formats = |count: usize| format!("m=audio 4000 RTP/AVP{}", " 0".repeat(count));
        let malformed = |error: &SdpError| !error.is_unsupported();
        #[rustfmt::skip]
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("no version", b"o=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n".to_vec()),
            ("another version", b"v=1\r\n".to_vec()),
            ("text", b"hello, world".to_vec()),
            ("a port beyond 65535", body("m=audio 65536 RTP/AVP 0")),
            ("a port of forty digits", body(&format!("m=audio {} RTP/AVP 0", "9".repeat(40)))),
            ("a negative port", body("m=audio -1 RTP/AVP 0")),
            ("no format", body("m=audio 4000 RTP/AVP")),
            ("no format but a blank", body("m=audio 4000 RTP/AVP ")),
            ("an m= line in UTF-8", body("m=audio 4000 RTP/AVP 0 \u{e9}")),
            ("an m= line with an octet that is no UTF-8", [body("a=x"), b"m=audio 4000 RTP/AVP 0 \xff\r\n".to_vec()].concat()),
            ("a NUL", body("a=\0")),
            ("a second connection for the session", body("c=IN IP4 192.0.2.9")),
            ("a version number beyond 64 bits", format!("v=0\r\no=- 1 {} IN IP4 192.0.2.1\r\n", "9".repeat(40)).into_bytes()),
            ("one stream too many", body(&many(MEDIA_MAX + 1))),
            ("one format too many", body(&formats(FORMATS_MAX + 1))),
            ("one octet too many", vec![b'a'; BODY_LEN_MAX + 1]),
        ];
        for (name, offer) in cases {
            let refused = Offer::parse(&offer).map(|_| ()).unwrap_err();
            assert!(malformed(&refused), "{name}: {refused:?}");
        }
        assert!(Offer::parse(&body(&many(MEDIA_MAX))).is_ok());
        assert!(Offer::parse(&body(&formats(FORMATS_MAX))).is_ok());
        let long = body(&format!("a=x:{}", "y".repeat(BODY_LEN_MAX - body("a=x:").len())));
        assert_eq!((long.len(), Offer::parse(&long).is_ok()), (BODY_LEN_MAX, true));
        let nowhere =
            b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let refused = answer_to(&local(), nowhere).map(|_| ()).unwrap_err();
        assert_eq!((refused, malformed(&refused)), (SdpError::NoConnection, true));
    }

    #[test]
    fn what_is_only_odd_is_read() {
        let usual = "198.51.100.5:4000 4001 PCMU/0 - 0=PCMU 20 sendrecv";
        let tail = b"c=IN IP4 198.51.100.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let cases = [
            (
                "a session name in Latin-1",
                [&b"v=0\r\ns=llamada telef\xf3nica\r\n"[..], tail].concat(),
            ),
            ("no origin and no name", [&b"v=0\r\n"[..], tail].concat()),
            (
                "bare line feeds",
                String::from_utf8(body("m=audio 4000 RTP/AVP 0")).unwrap().replace('\r', "").into(),
            ),
            ("no line end at the end", body("m=audio 4000 RTP/AVP 0").trim_ascii_end().to_vec()),
            ("a broken rtpmap", body("m=audio 4000 RTP/AVP 0 99|a=rtpmap:99|a=rtpmap:x y/z")),
            ("a broken rtcp", body("m=audio 4000 RTP/AVP 0|a=rtcp:0|a=rtcp:|a=rtcp:99999")),
            (
                "a time to live on a unicast address",
                body("m=audio 4000 RTP/AVP 0|c=IN IP4 198.51.100.5/127"),
            ),
        ];
        for (name, offer) in cases {
            let got = answer_to(&local(), &offer).map(|(negotiated, _)| negotiated);
            assert_eq!(summary(&got), usual, "{name}");
        }
    }

    #[test]
    fn a_body_cut_or_changed_at_any_octet_never_panics() {
        let whole = body(
            "a=sendonly|m=video 5000/2 RTP/AVP 96|a=rtpmap:96 H264/90000|m=audio 4000 RTP/AVP 0 101|\
             c=IN IP4 203.0.113.9/127|a=rtpmap:101 telephone-event/8000|a=rtcp:4001 IN IP4 203.0.113.9|\
             a=ptime:20",
        );
        for len in 0..=whole.len() {
            let _ = answer_to(&local(), &whole[..len]); // Any answer will do, but a panic.
            let _ = accept(&local(), &whole[..len]);
        }
        for at in 0..whole.len() {
            for octet in [0, b'\r', b'\n', b' ', b'/', b':', b'=', b'9', 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = octet;
                if let Ok((_, answer)) = answer_to(&local(), &changed) {
                    let read = Offer::parse(answer.as_bytes());
                    assert!(read.is_ok(), "{at} {octet:#04x}: our answer can be read: {answer}");
                }
            }
        }
    }
}
