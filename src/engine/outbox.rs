//! What a call's media says, until the media thread carries it out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use super::inbox::ShardInput;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::call::VoiceOut;
use crate::net::Channel;
use crate::suppression::Leg;

/// Longest packet of G.711 in 20 ms, headers included, for which room is made beforehand.
const PACKET_LEN: usize = 172;

/// Packets that wait until the sockets are drained; its memory is kept from tick to tick.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) packets: Vec<Outgoing>,
    pub(super) bytes: Vec<u8>,
    /// Legs whose socket is to be narrowed to one peer, or opened to everybody again.
    pub(super) settled: Vec<(u64, Option<SocketAddr>)>,
    /// Calls whose media panicked: their sockets are closed with the next batch.
    pub(super) lost: Vec<u64>,
}

/// A packet of the outbox.
pub(super) struct Outgoing {
    pub(super) key: u64,
    pub(super) channel: Channel,
    pub(super) to: SocketAddr,
    pub(super) bytes: Range<usize>,
}

impl Outbox {
    /// Room for `packets` of G.711, which is kept.
    pub(super) fn new(packets: usize) -> Self {
        Self {
            packets: Vec::with_capacity(packets),
            bytes: Vec::with_capacity(packets * PACKET_LEN),
            settled: Vec::with_capacity(64),
            lost: Vec::new(),
        }
    }
}

/// Where a voice's packets and events go.
pub(super) struct Out<'a> {
    pub(super) id: VoiceId,
    pub(super) backlog: &'a mut VecDeque<ShardInput>,
    pub(super) outbox: &'a mut Outbox,
}

impl Out<'_> {
    fn push(&mut self, leg: Leg, channel: Channel, to: SocketAddr, packet: &[u8]) {
        let start = self.outbox.bytes.len();
        self.outbox.bytes.extend_from_slice(packet);
        let bytes = start..self.outbox.bytes.len();
        let key = key_of(self.id, place(leg));
        self.outbox.packets.push(Outgoing { key, channel, to, bytes });
    }
}

impl VoiceOut for Out<'_> {
    fn send_rtp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]) {
        self.push(leg, Channel::Rtp, to, packet);
    }

    fn send_rtcp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]) {
        self.push(leg, Channel::Rtcp, to, packet);
    }

    fn settled(&mut self, leg: Leg, source: SocketAddr) {
        self.outbox.settled.push((key_of(self.id, place(leg)), Some(source)));
    }

    fn unsettled(&mut self, leg: Leg) {
        self.outbox.settled.push((key_of(self.id, place(leg)), None));
    }

    fn tell(&mut self, event: VoiceEvent) {
        self.backlog.push_back(ShardInput::Voice(self.id, event));
    }
}

/// The number of a leg's sockets among those of the media thread.
pub(super) const fn key_of(voice: VoiceId, leg: usize) -> u64 {
    voice.0 << 1 | leg as u64
}

const fn place(leg: Leg) -> usize {
    match leg {
        Leg::A => 0,
        Leg::B => 1,
    }
}
