//! The engine of a simulation: the real calls and the real media, with the ports they have open.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bajavoz::call::Calls;
use bajavoz::call::OpenedVoice;
use bajavoz::call::Voice;
use bajavoz::call::VoiceCommand;
use bajavoz::call::VoiceEvent;
use bajavoz::call::VoiceId;
use bajavoz::call::VoiceOut;
use bajavoz::call::VoiceSettings;
use bajavoz::model::UnixMicros;
use bajavoz::model::time::WallAnchor;
use bajavoz::model::token::Seed;
use bajavoz::model::token::TokenSource;
use bajavoz::sip::Endpoint;
use bajavoz::sip::Listener;
use bajavoz::sip::Settings;
use bajavoz::suppression::Index;
use bajavoz::suppression::Leg;

use super::ledger::Ledger;
use super::network::Datagram;
use super::network::ENGINE;
use super::rules;
use super::rules::Style;

/// The slot of the 20 ms wheel.
const TICK: Duration = Duration::from_millis(20);

/// How often a leg is looked at on which nothing plays; the real wheel turns faster, to no effect.
const IDLE_TICK: Duration = Duration::from_millis(400);

/// One life of the engine, from start to crash.
pub(super) struct Node {
    pub(super) calls: Calls,
    pub(super) voices: BTreeMap<VoiceId, OpenVoice>,
    by_port: BTreeMap<u16, (VoiceId, Leg)>,
    next_port: u16,
    tokens: TokenSource,
    wall: WallAnchor,
}

/// The media of one call, and its two ports.
pub(super) struct OpenVoice {
    voice: Voice,
    ports: [u16; 2],
    is_playing: bool,
    /// Only the tick that was asked for last counts.
    tick_at: Instant,
}

/// What a step of the media wants done.
#[derive(Default)]
pub(super) struct Said {
    pub(super) rtp: Vec<Datagram>,
    pub(super) events: Vec<VoiceEvent>,
}

struct Mouth<'a> {
    ports: [u16; 2],
    said: &'a mut Said,
}

impl VoiceOut for Mouth<'_> {
    fn send_rtp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]) {
        let from = SocketAddr::new(ENGINE.ip(), self.ports[usize::from(leg == Leg::B)]);
        self.said.rtp.push(Datagram { from, to, bytes: packet.into() });
    }

    fn send_rtcp(&mut self, _leg: Leg, _to: SocketAddr, _packet: &[u8]) {}

    fn unsettled(&mut self, _leg: Leg) {}

    fn settled(&mut self, _leg: Leg, _source: SocketAddr) {}

    fn tell(&mut self, event: VoiceEvent) {
        self.said.events.push(event);
    }
}

impl Node {
    /// Starts, with an index built from what the disk holds.
    pub(super) fn start(
        now: Instant,
        life: u64,
        style: &Style,
        ledger: &Ledger,
        seed: u64,
    ) -> Self {
        let index = Index::new(&rules::lists()).expect("two lists fit");
        for (kept, opt_out) in ledger.opt_outs() {
            let (account, campaign) = (opt_out.account.as_ref(), opt_out.campaign.as_ref());
            index
                .settle(opt_out.number, &opt_out.lists, account, campaign, kept.record)
                .expect("the lists are known");
        }
        let rules = rules::build(style, &index);
        let mut settings = Settings::new("bajavoz");
        settings.listeners = vec![Listener { local: ENGINE, advertised: ENGINE }];
        let mut tokens = TokenSource::new(Seed(seed, life));
        let endpoint = Endpoint::new(settings, tokens.next_seed());
        let wall = WallAnchor { at: now, wall: UnixMicros(1_795_000_000_000_000) };
        let calls =
            Calls::new(Arc::new(rules), Arc::new(index), endpoint, wall, tokens.next_seed());
        let next_port = 20_000 + 1000 * life as u16;
        Self { calls, voices: BTreeMap::new(), by_port: BTreeMap::new(), next_port, tokens, wall }
    }

    /// Opens the ports of a call.
    pub(super) fn open_voice(
        &mut self,
        now: Instant,
        id: VoiceId,
        legs_count: usize,
    ) -> OpenedVoice {
        let settings = VoiceSettings {
            symmetric: true,
            idle_max: Duration::from_secs(3600),
            tones: true,
            tone: Default::default(),
        };
        let ports = [self.next_port, self.next_port + 2];
        self.next_port += 4;
        let voice = Voice::new(now, self.wall, settings, legs_count, &mut self.tokens);
        self.voices.insert(id, OpenVoice { voice, ports, is_playing: false, tick_at: now });
        self.by_port.insert(ports[0], (id, Leg::A));
        self.by_port.insert(ports[1], (id, Leg::B));
        OpenedVoice { addresses: ports.map(|port| SocketAddr::new(ENGINE.ip(), port)) }
    }

    /// The call's media is told something; when it wants its next tick.
    pub(super) fn command(
        &mut self,
        now: Instant,
        id: VoiceId,
        command: VoiceCommand,
        said: &mut Said,
    ) -> Option<Instant> {
        let open = self.voices.get_mut(&id)?;
        let is_close = matches!(command, VoiceCommand::Close);
        let begins = matches!(command, VoiceCommand::Play { .. });
        open.voice.handle_command(now, command, &mut Mouth { ports: open.ports, said });
        if is_close {
            for port in open.ports {
                self.by_port.remove(&port);
            }
            self.voices.remove(&id);
            return None;
        }
        if !begins {
            return None;
        }
        open.is_playing = true;
        open.tick_at = now + TICK;
        Some(open.tick_at)
    }

    /// The tick that was asked for at `now`; when it wants the next one.
    pub(super) fn tick(&mut self, now: Instant, id: VoiceId, said: &mut Said) -> Option<Instant> {
        let open = self.voices.get_mut(&id).filter(|open| open.tick_at == now)?;
        open.voice.handle_tick(now, &mut Mouth { ports: open.ports, said });
        open.is_playing &= !said.events.iter().any(|it| matches!(it, VoiceEvent::Played { .. }));
        open.tick_at = now + if open.is_playing { TICK } else { IDLE_TICK };
        Some(open.tick_at)
    }

    /// A packet came in at one of the ports; whose media it reached.
    pub(super) fn rtp(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        said: &mut Said,
    ) -> Option<VoiceId> {
        let &(id, leg) = self.by_port.get(&datagram.to.port())?;
        let open = self.voices.get_mut(&id)?;
        let mut out = Mouth { ports: open.ports, said };
        open.voice.handle_rtp(now, leg, datagram.from, &datagram.bytes, &mut out);
        Some(id)
    }

    /// A port that is open, for who wants to send something there.
    pub(super) fn any_port(&self, nth: u64) -> Option<SocketAddr> {
        let nth = nth as usize % self.by_port.len().max(1);
        let port = *self.by_port.keys().nth(nth)?;
        Some(SocketAddr::new(ENGINE.ip(), port))
    }
}
