//! The network between phones, engine and carrier: it loses, doubles, delays and reorders.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;

/// The engine's signalling socket; its RTP ports are on the same address.
pub(super) const ENGINE: SocketAddr = v4([10, 0, 0, 1], 5060);

/// The carrier's signalling socket; its phones' RTP ports are on the same address.
pub(super) const CARRIER: SocketAddr = v4([10, 2, 0, 1], 5060);

/// Somebody who sends what nobody asked for.
pub(super) const STRANGER: SocketAddr = v4([10, 9, 9, 9], 4000);

const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// The signalling socket of the dialer's phone number `n`.
pub(super) fn caller_sip(n: usize) -> SocketAddr {
    v4([10, 1, 0, n as u8], 5060)
}

/// The RTP socket of the dialer's phone number `n`.
pub(super) fn caller_rtp(n: usize) -> SocketAddr {
    v4([10, 1, 0, n as u8], 40_000)
}

/// One datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Arc<[u8]>,
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss_per_mille: u64,
    pub(super) doubling_per_mille: u64,
    pub(super) delay: Duration,
    pub(super) jitter_ms: u64,
}

impl Weather {
    /// A third of all campaigns have a network that loses nothing, so that every key must count;
    /// half of those do not even reorder 20 ms frames.
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let is_lossless = dice.chance(330);
        let is_smooth = dice.chance(500);
        Self {
            loss_per_mille: if is_lossless { 0 } else { 1 + dice.below(50) },
            doubling_per_mille: dice.below(20),
            delay: dice.millis(1, 20),
            jitter_ms: if is_smooth { dice.below(15) } else { dice.below(60) },
        }
    }

    /// Whether nothing is ever lost.
    pub(super) fn is_lossless(&self) -> bool {
        self.loss_per_mille == 0
    }

    /// Whether frames of 20 ms arrive in the order in which they were sent.
    pub(super) fn keeps_frames_in_order(&self) -> bool {
        self.jitter_ms < 20
    }

    /// When each copy of a datagram arrives, counted from when it is sent; none when it is lost.
    pub(super) fn arrivals(&self, dice: &mut Dice) -> Vec<Duration> {
        if dice.chance(self.loss_per_mille) {
            return Vec::new();
        }
        let copies = if dice.chance(self.doubling_per_mille) { 2 } else { 1 };
        (0..copies).map(|_| self.delay + dice.millis(0, self.jitter_ms)).collect()
    }
}
