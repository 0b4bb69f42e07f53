//! One leg's media: who it believes, what it hears, what it says.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use super::LegReport;
use super::Played;
use super::VoiceSettings;
use super::ear::Ear;
use super::ear::Hearing;
use super::mouth::Mouth;
use crate::dtmf::InfoKey;
use crate::dtmf::KeyPress;
use crate::dtmf::Method;
use crate::media::clip::Clip;
use crate::media::rtp::RtpPacket;
use crate::media::source;
use crate::media::source::SourcePolicy;
use crate::media::source::Verdict;
use crate::model::PayloadKind;
use crate::model::time::WallAnchor;
use crate::model::token::TokenSource;
use crate::sdp::Negotiated;

/// One leg of a call's media, before and after it is negotiated.
#[derive(Debug)]
pub(super) struct VoiceLeg {
    settings: VoiceSettings,
    settled: Option<Settled>,
    pub(super) mouth: Mouth,
    /// Keys count.
    listening: bool,
    heard_at: Instant,
    silence_told: bool,
    /// What the peer says, where it is to be evidence.
    clip: Option<Box<Clip>>,
    /// When a clip that is marked is whole.
    whole_at: Option<Instant>,
    report: LegReport,
}

/// What exists once the leg's media is negotiated.
#[derive(Debug)]
struct Settled {
    media: Negotiated,
    source: SourcePolicy,
    ear: Ear,
}

/// What a believed packet came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Believed {
    pub(super) kind: PayloadKind,
    pub(super) hearing: Hearing,
    /// The packet settled where this leg's peer is.
    pub(super) latched: bool,
}

impl VoiceLeg {
    pub(super) fn new(
        now: Instant,
        wall: WallAnchor,
        settings: VoiceSettings,
        tokens: &mut TokenSource,
    ) -> Self {
        Self {
            settings,
            settled: None,
            mouth: Mouth::new(now, wall, tokens),
            listening: false,
            heard_at: now,
            silence_told: false,
            clip: None,
            whole_at: None,
            report: LegReport::default(),
        }
    }

    /// The leg's media is negotiated, or negotiated anew.
    /// Returns how far a prompt came that another codec has cut.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        media: Negotiated,
        signalling: std::net::IpAddr,
    ) -> Option<Played> {
        let cut = self.mouth.settle(&media);
        self.heard_at = now;
        match &mut self.settled {
            Some(settled) => {
                settled.source.renegotiate(now, media.remote, media.receive);
                settled.ear.renegotiate(&media);
                settled.media = media;
            }
            None => {
                let rules =
                    source::Settings { symmetric: self.settings.symmetric, ..Default::default() };
                let source = SourcePolicy::new(now, rules, media.remote, signalling, media.receive);
                let ear = Ear::new(self.settings.tone, media.events);
                self.settled = Some(Settled { media, source, ear });
            }
        }
        cut
    }

    /// Whether `source` is the address that the peer's description names.
    pub(super) fn is_named(&self, source: SocketAddr) -> bool {
        self.settled.as_ref().is_some_and(|settled| {
            let named = settled.media.remote;
            named.port() == source.port() && named.ip().to_canonical() == source.ip().to_canonical()
        })
    }

    /// The leg was answered: its keys count from now on.
    pub(super) fn listen(&mut self, now: Instant) {
        if !self.listening {
            self.listening = true;
            self.heard_at = now;
            if let Some(settled) = &mut self.settled {
                settled.source.open(now);
            }
        }
    }

    /// Judges and hears a packet; nothing when it is not to be believed.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &RtpPacket<'_>,
    ) -> Option<Believed> {
        let Some(settled) = &mut self.settled else {
            self.report.packets_refused += 1;
            return None;
        };
        let verdict = settled.source.judge(now, from, packet);
        let kind = settled.media.receive.kind(packet.payload_type());
        let (true, Some(kind)) = (verdict.is_believed(), kind) else {
            self.report.packets_refused += 1;
            return None;
        };
        self.report.packets_in += 1;
        self.heard_at = now;
        self.silence_told = false;
        if matches!(verdict, Verdict::Latched | Verdict::Followed) {
            settled.ear.restart();
        }
        self.mouth.reporter.handle_rtp(now, packet, kind != PayloadKind::Event);
        if let (PayloadKind::Audio(codec), true, Some(clip)) =
            (kind, self.listening, &mut self.clip)
        {
            clip.hear(codec, packet.timestamp(), packet.payload());
        }
        let hearing = match kind {
            PayloadKind::Event => settled.ear.handle_event(now, packet),
            PayloadKind::Audio(_) if !self.settings.tones => Hearing::default(),
            PayloadKind::Audio(codec) => settled.ear.handle_audio(now, codec, packet),
        };
        let press = self.count(hearing.press);
        let latched = matches!(verdict, Verdict::Latched);
        Some(Believed { kind, hearing: Hearing { press, ..hearing }, latched })
    }

    /// Captures what the peer says from now on.
    pub(super) fn capture(&mut self, clip: Box<Clip>) {
        self.clip = Some(clip);
        self.whole_at = None;
    }

    /// The press that the clip is about was acted on.
    pub(super) fn keep(&mut self, now: Instant) {
        if let Some(clip) = &mut self.clip
            && !clip.is_marked()
        {
            clip.mark();
            self.whole_at = Some(now + clip.after());
        }
    }

    /// The clip, once it is whole.
    pub(super) fn whole_clip(&mut self, now: Instant) -> Option<Box<Clip>> {
        self.whole_at.filter(|at| *at <= now)?;
        self.marked_clip()
    }

    /// The clip, if it was marked, however long it is.
    pub(super) fn marked_clip(&mut self) -> Option<Box<Clip>> {
        self.whole_at.take()?;
        self.clip.take()
    }

    /// A key by SIP INFO.
    pub(super) fn hear_info(&mut self, now: Instant, key: InfoKey) -> Option<KeyPress> {
        let press = self.settled.as_mut().and_then(|settled| settled.ear.handle_info(now, key));
        self.count(press)
    }

    /// Keys before the answer are nobody's wish.
    fn count(&mut self, press: Option<KeyPress>) -> Option<KeyPress> {
        let press = press.filter(|_| self.listening)?;
        let at = match press.method {
            Method::Event => 0,
            Method::Tone => 1,
            Method::Info => 2,
        };
        self.report.keys[at] += 1;
        Some(press)
    }

    /// We send a digit towards this leg: its tones coming back are our own.
    pub(super) fn sent(&mut self, now: Instant, (digit, hold): (crate::model::Digit, Duration)) {
        if let Some(settled) = &mut self.settled {
            settled.ear.handle_sent(now + hold, digit);
        }
    }

    /// A datagram that is no RTP.
    pub(super) fn refuse(&mut self) {
        self.report.packets_refused += 1;
    }

    /// Where this leg's peer wants its RTP, while it wants any.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        let settled = self.settled.as_ref()?;
        if !settled.media.direction.sends() {
            return None;
        }
        settled.source.destination().filter(|_| !settled.media.remote.ip().is_unspecified())
    }

    /// Where this leg's peer wants its RTCP.
    pub(super) fn rtcp_destination(&self) -> Option<SocketAddr> {
        let settled = self.settled.as_ref()?;
        let mut address = settled.media.remote_rtcp;
        if let Some(source) = settled.source.settled()
            && source.ip() != settled.media.remote.ip()
        {
            // A translator: RTCP is where its RTP is, one port on.
            address = SocketAddr::new(source.ip(), source.port().saturating_add(1));
        }
        (!address.ip().is_unspecified()).then_some(address)
    }

    /// A report of the leg's peer; one from elsewhere is not looked at.
    pub(super) fn hear_report(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let expected = self.rtcp_destination();
        if expected.is_some_and(|peer| peer.ip().to_canonical() == from.ip().to_canonical()) {
            self.mouth.hear_report(now, datagram);
        }
    }

    /// Whether the leg has just become silent for too long; said once for each silence.
    pub(super) fn fell_silent(&mut self, now: Instant) -> bool {
        let expects = self.settled.as_ref().is_some_and(|s| s.media.direction.receives());
        let is_silent = expects
            && self.listening
            && now.saturating_duration_since(self.heard_at) >= self.settings.idle_max;
        let is_news = is_silent && !self.silence_told;
        self.silence_told |= is_news;
        is_news
    }

    /// As what, and under which payload type, this leg's peer takes what came as `kind`.
    pub(super) fn format_for(&self, kind: PayloadKind) -> Option<(PayloadKind, u8)> {
        let media = &self.settled.as_ref()?.media;
        match kind {
            PayloadKind::Audio(_) => Some((PayloadKind::Audio(media.codec), media.payload_type)),
            PayloadKind::Event => Some((kind, media.events?.payload_type)),
        }
    }

    /// What the leg counted.
    pub(super) fn report(&self) -> LegReport {
        LegReport {
            packets_out: self.mouth.packets(),
            contested: self.settled.as_ref().is_some_and(|s| s.source.is_contested()),
            ..self.report
        }
    }
}
