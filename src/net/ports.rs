//! The pool of media ports: pairs of an even RTP port and the odd RTCP port after it (RFC 3550
//! section 11).
//!
//! The signalling thread owns the pool. It opens a pair before it writes an SDP body, hands the
//! sockets to the media thread, and gives the port back once that has closed them. Ports go round
//! in a queue whose first order is drawn from a seed: the one that rested longest is taken, so
//! that late packets of a call do not meet the next one, and nobody foretells the next port.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::model::token::{Seed, TokenSource};
use crate::net::NetError;
use crate::net::udp::{local_address, open_bound};

/// How long a returned port rests at least. Our choice: four times the 500 ms during which packets
/// of an ended call are still listened to.
pub const QUARANTINE: Duration = Duration::from_secs(2);

/// Ports of other processes that one [`PortPool::open`] may skip before it gives up.
const OCCUPIED_SKIPPED_MAX: usize = 16;

/// Tries to find a free even port with its odd neighbour when the system chooses the ports.
const SYSTEM_ATTEMPTS_MAX: usize = 64;

/// What the pool did and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pairs opened.
    pub opened: u64,
    /// Times no pair was free.
    pub exhausted: u64,
    /// Pairs skipped since another process held one of their ports.
    pub occupied: u64,
    /// Ports given back that were not out; ignored.
    pub stray: u64,
}

/// The two bound sockets of one leg, not yet served by a media thread.
#[derive(Debug)]
pub struct MediaPair {
    pub(super) rtp: Socket,
    pub(super) rtcp: Socket,
    rtp_address: SocketAddr,
}

impl MediaPair {
    /// Where RTP is received; the port is even.
    pub const fn rtp_address(&self) -> SocketAddr {
        self.rtp_address
    }

    /// Where RTCP is received: the next port.
    pub fn rtcp_address(&self) -> SocketAddr {
        let mut address = self.rtp_address;
        // Even, hence below the last port.
        address.set_port(address.port() | 1);
        address
    }
}

/// The media ports of one address.
#[derive(Debug)]
pub struct PortPool {
    address: IpAddr,
    source: Source,
    in_use: usize,
    counters: Counters,
}

#[derive(Debug)]
enum Source {
    System,
    Range(Range),
}

#[derive(Debug)]
struct Range {
    /// The first even port.
    first: u16,
    /// Which pairs are out.
    is_out: Vec<bool>,
    /// Ports at rest, the longest first, and from when on they may be taken.
    resting: VecDeque<(u16, Option<Instant>)>,
}

impl PortPool {
    /// The pairs within `from..=to` on `address`, in an order drawn from `seed`. With 0 and 0 the
    /// system chooses free ports (for tests and the demo).
    ///
    /// # Errors
    ///
    /// [`NetError::PortRange`] when the range holds no pair.
    pub fn new(address: IpAddr, from: u16, to: u16, seed: Seed) -> Result<Self, NetError> {
        let source = if (from, to) == (0, 0) {
            Source::System
        } else {
            Source::Range(Range::new(from, to, seed).ok_or(NetError::PortRange { from, to })?)
        };
        Ok(Self { address, source, in_use: 0, counters: Counters::default() })
    }

    /// How many pairs the pool has; none is stated when the system chooses.
    pub fn size(&self) -> Option<usize> {
        match &self.source {
            Source::System => None,
            Source::Range(range) => Some(range.is_out.len()),
        }
    }

    /// How many pairs are out.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Opens the pair that rested longest.
    ///
    /// # Errors
    ///
    /// [`NetError::PortsExhausted`] when none is free, [`NetError::Media`] when the system refuses
    /// a socket for another reason than a port in use.
    pub fn open(&mut self, now: Instant) -> Result<MediaPair, NetError> {
        let opened = match &mut self.source {
            Source::System => open_any(self.address),
            Source::Range(range) => range.open(self.address, now, &mut self.counters),
        };
        match &opened {
            Ok(_) => {
                self.in_use += 1;
                self.counters.opened += 1;
            }
            Err(NetError::PortsExhausted { .. }) => self.counters.exhausted += 1,
            Err(_) => {}
        }
        opened
    }

    /// Takes back the pair with that RTP port, whose sockets are closed; it rests for
    /// [`QUARANTINE`] and then waits behind all others. A port that is not out is ignored.
    pub fn give_back(&mut self, now: Instant, rtp_port: u16) {
        let is_known = match &mut self.source {
            Source::System => self.in_use > 0,
            Source::Range(range) => range.give_back(now, rtp_port),
        };
        if is_known {
            self.in_use -= 1;
        } else {
            self.counters.stray += 1;
        }
    }
}

impl Range {
    fn new(from: u16, to: u16, seed: Seed) -> Option<Self> {
        let first = from.checked_next_multiple_of(2)?.max(2);
        let mut ports: Vec<u16> = (first..to).step_by(2).collect();
        if ports.is_empty() {
            return None;
        }
        let mut tokens = TokenSource::new(seed);
        for end in (1..ports.len()).rev() {
            let other = (tokens.next_u64() % (end as u64 + 1)) as usize;
            ports.swap(end, other);
        }
        let is_out = vec![false; ports.len()];
        Some(Self { first, is_out, resting: ports.into_iter().map(|port| (port, None)).collect() })
    }

    fn open(
        &mut self,
        address: IpAddr,
        now: Instant,
        counters: &mut Counters,
    ) -> Result<MediaPair, NetError> {
        for _ in 0..OCCUPIED_SKIPPED_MAX {
            let Some(port) = self.take(now) else { break };
            match open_pair(SocketAddr::new(address, port)) {
                Ok(pair) => {
                    self.mark(port, true);
                    return Ok(pair);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    counters.occupied += 1;
                    self.resting.push_back((port, Some(now + QUARANTINE)));
                }
                Err(error) => {
                    self.resting.push_back((port, Some(now + QUARANTINE)));
                    return Err(NetError::Media(error));
                }
            }
        }
        Err(NetError::PortsExhausted { pairs: self.is_out.len() })
    }

    fn take(&mut self, now: Instant) -> Option<u16> {
        let (port, from) = *self.resting.front()?;
        if from.is_some_and(|from| now < from) {
            return None;
        }
        self.resting.pop_front();
        Some(port)
    }

    fn give_back(&mut self, now: Instant, port: u16) -> bool {
        if !self.mark(port, false) {
            return false;
        }
        self.resting.push_back((port, Some(now + QUARANTINE)));
        true
    }

    /// Notes whether `port` is out; false when it is not ours or was so already.
    fn mark(&mut self, port: u16, is_out: bool) -> bool {
        let Some(offset) = port.checked_sub(self.first).filter(|offset| offset % 2 == 0) else {
            return false;
        };
        match self.is_out.get_mut(usize::from(offset / 2)) {
            Some(known) if *known != is_out => {
                *known = is_out;
                true
            }
            _ => false,
        }
    }
}

fn open_pair(rtp_address: SocketAddr) -> io::Result<MediaPair> {
    let rtp = open_bound(rtp_address)?;
    let rtcp = open_bound(SocketAddr::new(rtp_address.ip(), rtp_address.port() | 1))?;
    Ok(MediaPair { rtp, rtcp, rtp_address })
}

/// Lets the system choose: an even port whose odd neighbour is free too.
fn open_any(address: IpAddr) -> Result<MediaPair, NetError> {
    for _ in 0..SYSTEM_ATTEMPTS_MAX {
        let first = open_bound(SocketAddr::new(address, 0)).map_err(NetError::Media)?;
        let chosen = local_address(&first).map_err(NetError::Media)?;
        // The other port of its pair, whichever half the system chose.
        let other = match open_bound(SocketAddr::new(address, chosen.port() ^ 1)) {
            Ok(other) => other,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(NetError::Media(error)),
        };
        let is_even = chosen.port() % 2 == 0;
        let (rtp, rtcp) = if is_even { (first, other) } else { (other, first) };
        let rtp_address = SocketAddr::new(address, chosen.port() & !1);
        return Ok(MediaPair { rtp, rtcp, rtp_address });
    }
    Err(NetError::PortsExhausted { pairs: SYSTEM_ATTEMPTS_MAX })
}
