//! Both legs of a call's media, and what passes between them.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use super::Played;
use super::VoiceCommand;
use super::VoiceEvent;
use super::VoiceOut;
use super::VoiceReport;
use super::VoiceSettings;
use super::leg::Believed;
use super::leg::VoiceLeg;
use crate::dtmf::InfoKey;
use crate::media::clip::Clip;
use crate::media::g711;
use crate::media::relay::Mapped;
use crate::media::rtcp::RTCP_LEN_MAX;
use crate::media::rtp::HEADER_LEN;
use crate::media::rtp::RtpPacket;
use crate::media::sender::PACKET_LEN_MAX;
use crate::model::PayloadKind;
use crate::model::time::WallAnchor;
use crate::model::token::TokenSource;
use crate::suppression::Leg;

/// How long a key that we pass on by INFO is taken to sound at the far end, where its sender
/// states nothing longer: the usual length of a tone that a gateway makes, and its way there.
const INFO_HOLD: Duration = Duration::from_millis(400);

/// The media of one call.
#[derive(Debug)]
pub struct Voice {
    a: VoiceLeg,
    b: Option<VoiceLeg>,
    relay: bool,
}

impl Voice {
    /// The media of a call with one or two legs, nothing negotiated yet.
    pub fn new(
        now: Instant,
        wall: WallAnchor,
        settings: VoiceSettings,
        legs_count: usize,
        tokens: &mut TokenSource,
    ) -> Self {
        Self {
            a: VoiceLeg::new(now, wall, settings, tokens),
            b: (legs_count > 1).then(|| VoiceLeg::new(now, wall, settings, tokens)),
            relay: false,
        }
    }

    fn leg(&mut self, leg: Leg) -> Option<&mut VoiceLeg> {
        match leg {
            Leg::A => Some(&mut self.a),
            Leg::B => self.b.as_mut(),
        }
    }

    /// Takes a command; [`VoiceCommand::Close`] is answered with the report.
    pub fn handle_command(&mut self, now: Instant, command: VoiceCommand, out: &mut impl VoiceOut) {
        match command {
            VoiceCommand::Settle { leg, media, signalling } => {
                let cut = self.leg(leg).and_then(|leg| leg.settle(now, media, signalling));
                out.unsettled(leg);
                tell_played(leg, cut, out);
            }
            VoiceCommand::Listen { leg } => {
                if let Some(leg) = self.leg(leg) {
                    leg.listen(now);
                }
            }
            VoiceCommand::Capture { leg, clip } => {
                if let Some(leg) = self.leg(leg) {
                    leg.capture(clip);
                }
            }
            VoiceCommand::Keep { leg } => {
                if let Some(leg) = self.leg(leg) {
                    leg.keep(now);
                }
            }
            VoiceCommand::Play { leg, token, prompts } => {
                let cut = self.leg(leg).and_then(|leg| leg.mouth.play(token, &prompts));
                tell_played(leg, cut, out);
            }
            VoiceCommand::StopPlaying { leg } => {
                let cut = self.leg(leg).and_then(|leg| leg.mouth.stop());
                tell_played(leg, cut, out);
            }
            VoiceCommand::Relay { on } => self.set_relay(on),
            VoiceCommand::Info { leg, digit, duration_ms } => {
                let key = InfoKey { digit, duration_ms };
                let press = self.leg(leg).and_then(|leg| leg.hear_info(now, key));
                if let Some(other) = self.leg(leg.other()) {
                    // It is passed on by INFO; as a tone it may come back from there.
                    let hold = duration_ms.map_or(INFO_HOLD, |ms| Duration::from_millis(ms.into()));
                    other.sent(now, (digit, hold.max(INFO_HOLD)));
                }
                if let Some(press) = press {
                    out.tell(VoiceEvent::Key { leg, press });
                }
            }
            VoiceCommand::Close => self.close(now, out),
        }
    }

    fn set_relay(&mut self, on: bool) {
        self.a.mouth.set_relay(on);
        if let Some(b) = &mut self.b {
            b.mouth.set_relay(on);
        }
        self.relay = on;
    }

    fn close(&mut self, now: Instant, out: &mut impl VoiceOut) {
        for leg in [Leg::A, Leg::B] {
            let Some(target) = self.leg(leg) else { continue };
            let cut = target.mouth.stop();
            let mut buf = [0_u8; RTCP_LEN_MAX];
            let len = target.mouth.farewell(now, &mut buf);
            if let (Some(bytes), Some(to)) = (buf.get(..len), target.rtcp_destination()) {
                out.send_rtcp(leg, to, bytes);
            }
            tell_played(leg, cut, out);
            let clip = self.leg(leg).and_then(VoiceLeg::marked_clip);
            tell_kept(leg, clip, out);
        }
        let b = self.b.as_ref().map(VoiceLeg::report).unwrap_or_default();
        let report = VoiceReport { legs: [self.a.report(), b] };
        out.tell(VoiceEvent::Closed { report });
    }

    /// An RTCP datagram came in at a leg's port.
    pub fn handle_rtcp(&mut self, now: Instant, leg: Leg, source: SocketAddr, datagram: &[u8]) {
        if let Some(leg) = self.leg(leg) {
            leg.hear_report(now, source, datagram);
        }
    }

    /// An RTP datagram came in at a leg's port.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        leg: Leg,
        source: SocketAddr,
        datagram: &[u8],
        out: &mut impl VoiceOut,
    ) {
        let Some(target) = self.leg(leg) else { return };
        let Ok(packet) = RtpPacket::parse(datagram) else { return target.refuse() };
        let Some(believed) = target.hear(now, source, &packet) else { return };
        if believed.latched && target.is_named(source) {
            out.settled(leg, source);
        }
        if let Some(press) = believed.hearing.press {
            out.tell(VoiceEvent::Key { leg, press });
        }
        if self.relay {
            self.pass_on(now, leg, &packet, &believed, out);
        }
    }

    fn pass_on(
        &mut self,
        now: Instant,
        from: Leg,
        packet: &RtpPacket<'_>,
        believed: &Believed,
        out: &mut impl VoiceOut,
    ) {
        let Some(target) = self.leg(from.other()) else { return };
        let Some(to) = target.destination() else { return };
        let Some((kind, payload_type)) = target.format_for(believed.kind) else { return };
        let mut buf = [0_u8; PACKET_LEN_MAX];
        let mapped = Mapped { kind, payload_type };
        let written = target.mouth.pass_on(now, packet, mapped, &mut buf);
        let Some(bytes) = written.and_then(|len| buf.get_mut(..len)) else { return };
        recode(believed.kind, kind, bytes);
        if let Some(carries) = believed.hearing.carries {
            target.sent(now, carries);
        }
        out.send_rtp(from.other(), to, bytes);
    }

    /// The call's slot of the 20 ms wheel: prompts, silence, reports.
    pub fn handle_tick(&mut self, now: Instant, out: &mut impl VoiceOut) {
        for leg in [Leg::A, Leg::B] {
            let Some(target) = self.leg(leg) else { continue };
            tick(now, leg, target, out);
        }
    }
}

/// Where the two legs run in different codecs, the octets of the packet in `bytes` become those of
/// the codec that its receiver takes.
fn recode(from: PayloadKind, into: PayloadKind, bytes: &mut [u8]) {
    if let (PayloadKind::Audio(from), PayloadKind::Audio(into)) = (from, into)
        && let Some(octets) = bytes.get_mut(HEADER_LEN..)
    {
        g711::recode(from, into, octets);
    }
}

fn tick(now: Instant, leg: Leg, target: &mut VoiceLeg, out: &mut impl VoiceOut) {
    let mut buf = [0_u8; PACKET_LEN_MAX];
    let to = target.destination();
    let (written, ended) = target.mouth.next_frame(now, to.is_some(), &mut buf);
    if let (Some(bytes), Some(to)) = (written.and_then(|len| buf.get(..len)), to) {
        out.send_rtp(leg, to, bytes);
    }
    tell_played(leg, ended, out);
    tell_kept(leg, target.whole_clip(now), out);
    if target.fell_silent(now) {
        out.tell(VoiceEvent::Silent { leg });
    }
    let Some(to) = target.rtcp_destination() else { return };
    let mut buf = [0_u8; RTCP_LEN_MAX];
    if let Some(bytes) = target.mouth.report(now, &mut buf).and_then(|len| buf.get(..len)) {
        out.send_rtcp(leg, to, bytes);
    }
}

fn tell_played(leg: Leg, played: Option<Played>, out: &mut impl VoiceOut) {
    if let Some(played) = played {
        out.tell(VoiceEvent::Played { leg, played });
    }
}

fn tell_kept(leg: Leg, clip: Option<Box<Clip>>, out: &mut impl VoiceOut) {
    if let Some(clip) = clip {
        out.tell(VoiceEvent::Kept { leg, clip });
    }
}
