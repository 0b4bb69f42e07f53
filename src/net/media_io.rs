//! The sockets of one media thread: drained and sent on its tick, and nothing else.
//!
//! ```text
//! every millisecond:  epoll_wait(0) -> recvmmsg once per ready socket -> the leg's machine
//!                     -> send per packet (connected sockets: no address, no route look-up)
//! ```
//!
//! The cost of relaying is wake-ups: on a tick of 1 ms, plain sockets per leg, connected once
//! their source is settled, need less than half of the CPU of a wake-up per packet. A leg brings
//! one packet in 20 ms, so one recvmmsg per ready socket takes all it has; what exceeds
//! [`PACKETS_PER_TURN`] waits in the kernel for the next tick, so that a flood at one port delays
//! nobody else. After [`MediaIo::insert`] nothing here allocates, locks or formats.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockAddr, Socket};

use crate::net::sys::{Epoll, RecvSlots};
use crate::net::udp::is_about_a_peer;
use crate::net::{MediaPair, NetError, sys};

/// Most packets taken from one socket in one turn: 8 in 1 ms is 160 times the rate of a call.
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
    slots: RecvSlots<PACKETS_PER_TURN>,
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
            slots: RecvSlots::new(PACKET_BYTES_MAX),
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

    /// Takes one turn at the socket of an event.
    fn receive(&mut self, number: u64, sink: &mut Sink<'_>) -> usize {
        let channel = if number & 1 == 0 { Channel::Rtp } else { Channel::Rtcp };
        let leg = usize::try_from(number >> 1).ok().and_then(|index| self.legs.get_mut(index));
        let Some(Some(leg)) = leg else { return 0 };
        let key = leg.key;
        let socket = leg.line(channel).socket.as_fd();
        let mut received = self.slots.receive(socket);
        // An error that ICMP left on the socket is reported once; what waits comes behind it.
        if let Err(error) = &received
            && is_about_a_peer(error)
        {
            self.counters.unreachable += 1;
            received = self.slots.receive(socket);
        }
        match received {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return 0,
            Err(error) if is_about_a_peer(&error) => {
                self.counters.unreachable += 1;
                return 0;
            }
            Err(_) => {
                self.counters.errors += 1;
                return 0;
            }
        }
        let mut count = 0;
        for datagram in self.slots.datagrams() {
            if datagram.is_truncated {
                self.counters.truncated += 1;
                continue;
            }
            self.counters.received += 1;
            count += 1;
            sink(key, channel, datagram.source, datagram.bytes);
        }
        count
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
        while handed_on < packets_max {
            let count = self.epoll.ready(&mut self.events)?;
            for place in 0..count {
                let number = self.events[place].u64;
                handed_on += self.receive(number, sink);
                if handed_on >= packets_max {
                    break;
                }
            }
            if count < self.events.len() {
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
        let mut refusals = 0;
        // An error of an earlier packet is reported in place of sending this one: try once more.
        if result.as_ref().is_err_and(is_about_a_peer) {
            refusals = 1;
            result = line.send(to, packet);
        }
        self.counters.unreachable += refusals;
        match result {
            Ok(_) => self.counters.sent += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.would_block += 1;
                return false;
            }
            Err(error) if is_about_a_peer(&error) => {
                self.counters.unreachable += 1;
                return false;
            }
            Err(_) => {
                self.counters.errors += 1;
                return false;
            }
        }
        true
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
