//! The sockets of one media thread: drained and sent on its tick, and nothing else.
//!
//! ```text
//! every beat:  epoll_wait(0) -> recvfrom once per ready socket -> the leg's machine, until
//!              nothing waits; send per packet (connected sockets: no address, no route look-up)
//! ```
//!
//! The cost of relaying is wake-ups: on a tick of 1 ms, plain sockets per leg, connected once
//! their source is settled, need less than half of the CPU of a wake-up per packet. A leg brings
//! one packet in 20 ms, so a socket is asked for one at a time; what exceeds [`PACKETS_PER_TURN`]
//! waits in the kernel for the next beat, so that a flood at one port delays nobody else. After [`MediaIo::insert`] nothing here allocates, locks or formats.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockAddr, Socket};

use crate::net::sys::Epoll;
use crate::net::udp::is_about_a_peer;
use crate::net::{MediaPair, NetError, sys};

/// Most packets taken from one socket in one drain: 8 in the longest
/// beat, 5 ms, are 32 times the rate of a call.
pub const PACKETS_PER_TURN: usize = 8;

/// Longest packet taken; longer ones are dropped. G.711 in 60 ms packets needs 492 bytes, and an
/// Ethernet frame holds 1,472.
pub const PACKET_BYTES_MAX: usize = 2_048;

/// Ready sockets asked for at once.
const EVENTS_MAX: usize = 512;

/// Which of a leg's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The even port.
    Rtp,
    /// The odd port.
    Rtcp,
}

/// What the sockets of a media thread did and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Packets handed on.
    pub received: u64,
    /// Packets longer than [`PACKET_BYTES_MAX`], dropped.
    pub truncated: u64,
    /// Packets that the kernel took.
    pub sent: u64,
    /// Packets dropped because the kernel had no room.
    pub would_block: u64,
    /// Errors by which ICMP said that a peer's port is closed or its host unreachable; not fatal.
    pub unreachable: u64,
    /// Other errors.
    pub errors: u64,
    /// Packets for a key that is not served (its leg has just ended).
    pub unknown_key: u64,
}

impl MediaCounters {
    fn count_error(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.would_block += 1;
        } else if is_about_a_peer(error) {
            self.unreachable += 1;
        } else {
            self.errors += 1;
        }
    }
}

/// Takes a packet's key, channel, source address and bytes.
pub type Sink<'a> = dyn FnMut(u64, Channel, SocketAddr, &[u8]) + 'a;

/// How a media thread speaks to the network; the sockets of [`MediaSockets`] or another driver.
///
/// A key is chosen by the caller and names one leg for as long as it is inserted.
pub trait MediaIo {
    /// Serves the sockets of `pair` under `key` from now on.
    ///
    /// # Errors
    ///
    /// [`NetError::KeyTaken`], [`NetError::MediaFull`], or [`NetError::Media`] with the system's
    /// reason; the sockets are closed then.
    fn insert(&mut self, key: u64, pair: MediaPair) -> Result<(), NetError>;

    /// Closes the sockets of `key`; returns the RTP port, which belongs back into the pool.
    fn remove(&mut self, key: u64) -> Option<u16>;

    /// Narrows a socket to one peer, once its source is settled: the kernel then drops packets of
    /// others and sends more cheaply. Called again it moves to the new peer. Packets that already
    /// waited in the socket still come, whoever sent them.
    ///
    /// # Errors
    ///
    /// The system's, such as a peer of the other IP version; the socket stays as it was.
    fn connect(&mut self, key: u64, channel: Channel, peer: SocketAddr) -> io::Result<()>;

    /// Opens a socket to everybody again, before a re-INVITE moves the peer.
    ///
    /// # Errors
    ///
    /// The system's; none for a key that is not served.
    fn disconnect(&mut self, key: u64, channel: Channel) -> io::Result<()>;

    /// Hands on what waits, about `packets_max` packets at most, and returns how many those were.
    /// Never blocks.
    ///
    /// # Errors
    ///
    /// Only when the system's readiness queue itself fails; errors of single sockets are counted.
    fn drain(&mut self, packets_max: usize, sink: &mut Sink<'_>) -> io::Result<usize>;

    /// Sends one packet; false, and counted, when it could not go out.
    fn send(&mut self, key: u64, channel: Channel, to: SocketAddr, packet: &[u8]) -> bool;

    /// What happened so far.
    fn counters(&self) -> &MediaCounters;
}

/// The default driver: a pair of sockets per leg behind one epoll; needs no privilege.
pub struct MediaSockets {
    epoll: Epoll,
    events: Box<[sys::Ready]>,
    packet: Box<[u8]>,
    legs: Vec<Option<Leg>>,
    vacant: Vec<usize>,
    by_key: HashMap<u64, usize>,
    counters: MediaCounters,
}

struct Leg {
    key: u64,
    rtp_port: u16,
    rtp: Line,
    rtcp: Line,
}

struct Line {
    socket: Socket,
    peer: Option<SocketAddr>,
}

impl MediaSockets {
    /// Room for `pairs_max` legs, all of it taken now.
    ///
    /// # Errors
    ///
    /// [`NetError::Media`] when the system grants no readiness queue.
    pub fn new(pairs_max: usize) -> Result<Self, NetError> {
        Ok(Self {
            epoll: Epoll::new().map_err(NetError::Media)?,
            events: vec![sys::NOT_READY; EVENTS_MAX].into_boxed_slice(),
            packet: vec![0; PACKET_BYTES_MAX].into_boxed_slice(),
            legs: (0..pairs_max).map(|_| None).collect(),
            vacant: (0..pairs_max).rev().collect(),
            by_key: HashMap::with_capacity(pairs_max),
            counters: MediaCounters::default(),
        })
    }

    /// How many legs are served.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no leg is served: the thread may wait for its commands instead of ticking.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn line(&mut self, key: u64, channel: Channel) -> Option<&mut Line> {
        let index = *self.by_key.get(&key)?;
        let leg = self.legs.get_mut(index)?.as_mut()?;
        Some(leg.line(channel))
    }

    /// Takes one packet from the socket of an event and hands it on; whether there was one to hand.
    fn receive(&mut self, number: u64, sink: &mut Sink<'_>) -> bool {
        let channel = if number & 1 == 0 { Channel::Rtp } else { Channel::Rtcp };
        let leg = usize::try_from(number >> 1).ok().and_then(|index| self.legs.get_mut(index));
        let Some(Some(leg)) = leg else { return false };
        let key = leg.key;
        let socket = leg.line(channel).socket.as_fd();
        match sys::receive_one(socket, &mut self.packet) {
            Ok(Some(datagram)) if !datagram.is_truncated => {
                self.counters.received += 1;
                sink(key, channel, datagram.source, datagram.bytes);
                return true;
            }
            Ok(Some(_)) => self.counters.truncated += 1,
            // Nothing to do for a sender without an address; neither IPv4 nor IPv6 knows one.
            Ok(None) => self.counters.errors += 1,
            // An error that ICMP left on the socket is told once; what waits comes behind it.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.counters.count_error(&error);
            }
            Err(_) => {}
        }
        false
    }
}

impl MediaIo for MediaSockets {
    fn insert(&mut self, key: u64, pair: MediaPair) -> Result<(), NetError> {
        if self.by_key.contains_key(&key) {
            return Err(NetError::KeyTaken(key));
        }
        let Some(index) = self.vacant.pop() else {
            return Err(NetError::MediaFull { pairs_max: self.legs.len() });
        };
        let rtp_port = pair.rtp_address().port();
        let number = (index as u64) << 1;
        let watched = self
            .epoll
            .add(pair.rtp.as_fd(), number)
            .and_then(|()| self.epoll.add(pair.rtcp.as_fd(), number | 1));
        if let Err(error) = watched {
            // Dropping the pair closes its sockets, which also ends the watching.
            self.vacant.push(index);
            return Err(NetError::Media(error));
        }
        self.legs[index] =
            Some(Leg { key, rtp_port, rtp: Line::new(pair.rtp), rtcp: Line::new(pair.rtcp) });
        self.by_key.insert(key, index);
        Ok(())
    }

    fn remove(&mut self, key: u64) -> Option<u16> {
        let index = self.by_key.remove(&key)?;
        let leg = self.legs.get_mut(index)?.take()?;
        self.vacant.push(index);
        Some(leg.rtp_port)
    }

    fn connect(&mut self, key: u64, channel: Channel, peer: SocketAddr) -> io::Result<()> {
        let Some(line) = self.line(key, channel) else { return Ok(()) };
        if line.peer != Some(peer) {
            line.socket.connect(&SockAddr::from(peer))?;
            line.peer = Some(peer);
        }
        Ok(())
    }

    fn disconnect(&mut self, key: u64, channel: Channel) -> io::Result<()> {
        let Some(line) = self.line(key, channel) else { return Ok(()) };
        if line.peer.is_some() {
            sys::disconnect(line.socket.as_fd())?;
            line.peer = None;
        }
        Ok(())
    }

    fn drain(&mut self, packets_max: usize, sink: &mut Sink<'_>) -> io::Result<usize> {
        let mut handed_on = 0;
        for _ in 0..PACKETS_PER_TURN {
            if handed_on >= packets_max {
                break;
            }
            let count = self.epoll.ready(&mut self.events)?;
            for place in 0..count {
                let number = self.events[place].u64;
                handed_on += usize::from(self.receive(number, sink));
                if handed_on >= packets_max {
                    break;
                }
            }
            if count == 0 {
                break;
            }
        }
        Ok(handed_on)
    }

    fn send(&mut self, key: u64, channel: Channel, to: SocketAddr, packet: &[u8]) -> bool {
        let Some(line) = self.line(key, channel) else {
            self.counters.unknown_key += 1;
            return false;
        };
        let mut result = line.send(to, packet);
        // An error of an earlier packet is reported in place of sending this one: try once more.
        let met_error = result.as_ref().is_err_and(is_about_a_peer);
        if met_error {
            result = line.send(to, packet);
        }
        self.counters.unreachable += u64::from(met_error);
        match &result {
            Ok(_) => self.counters.sent += 1,
            Err(error) => self.counters.count_error(error),
        }
        result.is_ok()
    }

    fn counters(&self) -> &MediaCounters {
        &self.counters
    }
}

impl Leg {
    const fn line(&mut self, channel: Channel) -> &mut Line {
        match channel {
            Channel::Rtp => &mut self.rtp,
            Channel::Rtcp => &mut self.rtcp,
        }
    }
}

impl Line {
    const fn new(socket: Socket) -> Self {
        Self { socket, peer: None }
    }

    fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<usize> {
        if self.peer == Some(to) {
            self.socket.send(packet)
        } else {
            self.socket.send_to(packet, &SockAddr::from(to))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use crate::model::token::Seed;
    use crate::net::{PortPool, clock};

    use super::*;

    /// What a drain handed on.
    type Heard = Vec<(u64, Channel, SocketAddr, Vec<u8>)>;

    fn pair(address: &str) -> MediaPair {
        let address: IpAddr = address.parse().expect("an address");
        PortPool::new(address, 0, 0, Seed(1, 2))
            .and_then(|mut pool| pool.open(clock::now()))
            .expect("loopback has free ports")
    }

    fn drained(sockets: &mut MediaSockets) -> Heard {
        let mut heard = Heard::new();
        sockets
            .drain(10_000, &mut |key, channel, source, bytes| {
                heard.push((key, channel, source, bytes.to_vec()));
            })
            .expect("drained");
        heard
    }

    /// Drains until `count` packets are heard, and once more for those that should not be.
    fn heard(sockets: &mut MediaSockets, count: usize) -> Heard {
        let deadline = clock::now() + Duration::from_secs(10);
        let mut heard = Heard::new();
        while heard.len() < count && clock::now() < deadline {
            heard.extend(drained(sockets));
        }
        heard.extend(drained(sockets));
        heard
    }

    #[test]
    fn two_hundred_packets_go_both_ways_on_both_channels() {
        for address in ["127.0.0.1", "::1"] {
            let mut sockets = MediaSockets::new(2).unwrap();
            let (one, other) = (pair(address), pair(address));
            let rtp = [one.rtp_address(), other.rtp_address()];
            let rtcp = [one.rtcp_address(), other.rtcp_address()];
            sockets.insert(70, one).unwrap();
            sockets.insert(u64::MAX, other).unwrap();
            for number in 0..200_u8 {
                let bytes = vec![number; 172];
                assert!(sockets.send(70, Channel::Rtp, rtp[1], &bytes));
                assert!(sockets.send(u64::MAX, Channel::Rtp, rtp[0], &bytes));
                assert!(sockets.send(70, Channel::Rtcp, rtcp[1], &bytes));
                let heard = heard(&mut sockets, 3);
                let has =
                    |key, channel, source| heard.contains(&(key, channel, source, bytes.clone()));
                assert_eq!(heard.len(), 3, "{address} {number}");
                assert!(has(u64::MAX, Channel::Rtp, rtp[0]));
                assert!(has(70, Channel::Rtp, rtp[1]));
                assert!(has(u64::MAX, Channel::Rtcp, rtcp[0]));
            }
            assert_eq!((sockets.counters().sent, sockets.counters().received), (600, 600));
        }
    }

    #[test]
    fn a_flood_at_one_port_leaves_the_others_their_turn() {
        let mut sockets = MediaSockets::new(3).unwrap();
        let (flooded, quiet, sender) = (pair("127.0.0.1"), pair("127.0.0.1"), pair("127.0.0.1"));
        let (to_flooded, to_quiet) = (flooded.rtp_address(), quiet.rtp_address());
        for (key, pair) in [(1, flooded), (2, quiet), (3, sender)] {
            sockets.insert(key, pair).unwrap();
        }
        for _ in 0..40 {
            sockets.send(3, Channel::Rtp, to_flooded, &[1; 172]);
        }
        sockets.send(3, Channel::Rtp, to_quiet, &[2; 172]);
        let (mut flood, mut calm, mut turns) = (0, 0, 0);
        while flood + calm < 41 {
            let heard = drained(&mut sockets);
            let turn = heard.iter().filter(|(key, ..)| *key == 1).count();
            assert!(turn <= PACKETS_PER_TURN, "{turn}");
            flood += turn;
            calm += heard.len() - turn;
            turns += 1;
            // The calm one comes in the first turn after it arrived, that is, long before the end.
            assert!(calm == 1 || flood < 40, "{flood}");
        }
        assert!(turns >= 5, "{turns}");
    }

    #[test]
    fn a_drain_keeps_to_its_bound_by_whole_turns() {
        let mut sockets = MediaSockets::new(3).unwrap();
        let (one, other, sender) = (pair("127.0.0.1"), pair("127.0.0.1"), pair("127.0.0.1"));
        let to = [one.rtp_address(), other.rtp_address()];
        for (key, pair) in [(1, one), (2, other), (3, sender)] {
            sockets.insert(key, pair).unwrap();
        }
        for to in to {
            for _ in 0..5 {
                sockets.send(3, Channel::Rtp, to, &[1; 12]);
            }
        }
        let mut total = 0;
        while total < 10 {
            let mut keys = Vec::new();
            let count = sockets.drain(1, &mut |key, _, _, _| keys.push(key)).unwrap();
            assert_eq!(count, keys.len());
            keys.dedup();
            assert!(keys.len() <= 1, "one turn at one socket: {keys:?}");
            total += count;
        }
        assert_eq!(sockets.drain(1, &mut |_, _, _, _| {}).unwrap(), 0);
        assert_eq!(sockets.drain(0, &mut |_, _, _, _| {}).unwrap(), 0);
    }

    #[test]
    fn a_packet_too_long_is_counted_and_dropped() {
        let mut sockets = MediaSockets::new(1).unwrap();
        let one = pair("127.0.0.1");
        let to = one.rtp_address();
        sockets.insert(1, one).unwrap();
        for length in [PACKET_BYTES_MAX + 1, PACKET_BYTES_MAX, 0] {
            sockets.send(1, Channel::Rtp, to, &vec![0; length]);
        }
        let lengths: Vec<usize> = heard(&mut sockets, 2).iter().map(|(.., b)| b.len()).collect();
        assert_eq!(lengths, [PACKET_BYTES_MAX, 0]);
        assert_eq!((sockets.counters().truncated, sockets.counters().received), (1, 2));
    }

    #[test]
    fn a_closed_peer_port_is_counted_and_not_fatal() {
        let mut sockets = MediaSockets::new(2).unwrap();
        let (one, other, gone) = (pair("127.0.0.1"), pair("127.0.0.1"), pair("127.0.0.1"));
        let (to_one, nobody) = (one.rtp_address(), gone.rtp_address());
        drop(gone);
        sockets.insert(1, one).unwrap();
        sockets.insert(2, other).unwrap();
        sockets.connect(1, Channel::Rtp, nobody).unwrap();
        // Each packet brings back an ICMP error, which the next send or drain meets.
        let deadline = clock::now() + Duration::from_secs(10);
        while sockets.counters().unreachable < 20 && clock::now() < deadline {
            sockets.send(1, Channel::Rtp, nobody, &[0; 12]);
            sockets.send(1, Channel::Rtp, nobody, &[0; 12]);
            assert_eq!(drained(&mut sockets).len(), 0);
        }
        let counters = *sockets.counters();
        assert!(counters.unreachable >= 20 && counters.errors == 0, "{counters:?}");
        assert!(counters.sent >= counters.unreachable, "an error costs no packet: {counters:?}");
        // Once open again, it hears and sends as before.
        sockets.disconnect(1, Channel::Rtp).unwrap();
        assert!(sockets.send(2, Channel::Rtp, to_one, &[0; 12]));
        assert_eq!(heard(&mut sockets, 1).len(), 1);
    }

    #[test]
    fn a_connected_socket_hears_its_peer_only_and_can_move() {
        for address in ["127.0.0.1", "::1"] {
            let mut sockets = MediaSockets::new(3).unwrap();
            let (leg, peer, stranger) = (pair(address), pair(address), pair(address));
            let (to_leg, peer_at, stranger_at) =
                (leg.rtp_address(), peer.rtp_address(), stranger.rtp_address());
            for (key, pair) in [(1, leg), (2, peer), (3, stranger)] {
                sockets.insert(key, pair).unwrap();
            }
            let heard_from = |sockets: &mut MediaSockets, count| {
                for key in [2, 3] {
                    sockets.send(key, Channel::Rtp, to_leg, &[0; 12]);
                }
                let heard = heard(sockets, count);
                heard.iter().map(|(_, _, source, _)| *source).collect::<Vec<_>>()
            };
            assert_eq!(heard_from(&mut sockets, 2), [peer_at, stranger_at], "{address}: open");
            sockets.connect(1, Channel::Rtp, peer_at).unwrap();
            assert_eq!(heard_from(&mut sockets, 1), [peer_at], "{address}: connected");
            assert!(sockets.send(1, Channel::Rtp, peer_at, &[0; 12]), "to the peer");
            assert!(sockets.send(1, Channel::Rtp, stranger_at, &[0; 12]), "to another");
            assert_eq!(heard(&mut sockets, 2).len(), 2);
            sockets.connect(1, Channel::Rtp, stranger_at).unwrap();
            assert_eq!(heard_from(&mut sockets, 1), [stranger_at], "{address}: moved");
            sockets.disconnect(1, Channel::Rtp).unwrap();
            assert_eq!(
                heard_from(&mut sockets, 2),
                [peer_at, stranger_at],
                "{address}: open again"
            );
        }
    }

    #[test]
    fn keys_come_and_go_within_the_limit() {
        let mut sockets = MediaSockets::new(2).unwrap();
        let one = pair("127.0.0.1");
        let to = one.rtp_address();
        sockets.insert(1, one).unwrap();
        assert!(matches!(sockets.insert(1, pair("127.0.0.1")), Err(NetError::KeyTaken(1))));
        sockets.insert(2, pair("127.0.0.1")).unwrap();
        let full = sockets.insert(3, pair("127.0.0.1"));
        assert!(matches!(full, Err(NetError::MediaFull { pairs_max: 2 })));
        // A packet that waits when its leg goes is never heard under the next key of that place.
        assert!(sockets.send(2, Channel::Rtp, to, &[0; 12]));
        assert_eq!(sockets.remove(1), Some(to.port()));
        assert_eq!(sockets.remove(1), None);
        sockets.insert(3, pair("127.0.0.1")).unwrap();
        assert_eq!(drained(&mut sockets).len(), 0);
        assert_eq!(sockets.len(), 2);
        assert!(!sockets.send(1, Channel::Rtp, to, &[0; 12]));
        assert_eq!(sockets.counters().unknown_key, 1);
        assert!(sockets.connect(1, Channel::Rtp, to).is_ok());
        assert!(sockets.connect(3, Channel::Rtp, "[::1]:9".parse().unwrap()).is_err());
    }

    #[test]
    fn what_came_before_the_sockets_were_served_is_heard() {
        let mut sockets = MediaSockets::new(2).unwrap();
        let (early, sender) = (pair("127.0.0.1"), pair("127.0.0.1"));
        sockets.insert(2, sender).unwrap();
        sockets.send(2, Channel::Rtp, early.rtp_address(), &[0; 12]);
        sockets.insert(1, early).unwrap();
        assert_eq!(heard(&mut sockets, 1).len(), 1);
    }

    #[test]
    fn draining_nothing_does_not_block() {
        let mut sockets = MediaSockets::new(1).unwrap();
        sockets.insert(1, pair("127.0.0.1")).unwrap();
        let started = clock::now();
        for _ in 0..100 {
            assert_eq!(drained(&mut sockets).len(), 0);
        }
        assert!(clock::now() - started < Duration::from_secs(1));
    }
}
