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
///
/// The chosen port is let go and bound by its number, since Linux takes a port that it chose
/// itself away from a socket whose connection is dissolved.
fn open_any(address: IpAddr) -> Result<MediaPair, NetError> {
    for _ in 0..SYSTEM_ATTEMPTS_MAX {
        let probe = open_bound(SocketAddr::new(address, 0)).map_err(NetError::Media)?;
        let chosen = local_address(&probe).map_err(NetError::Media)?.port();
        drop(probe);
        match open_pair(SocketAddr::new(address, chosen & !1)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            opened => return opened.map_err(NetError::Media),
        }
    }
    Err(NetError::PortsExhausted { pairs: SYSTEM_ATTEMPTS_MAX })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use crate::net::clock;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));

    /// The first of 40 ports that are this process's own, so that two runs at once do not meet.
    fn base() -> u16 {
        10_000 + (std::process::id() % 500) as u16 * 40
    }

    /// `count` pairs from the pair `first` of this process.
    fn pool(first: u16, count: u16) -> PortPool {
        let from = base() + first * 2;
        PortPool::new(LOOPBACK, from, from + count * 2 - 1, Seed(1, 2)).expect("a range of pairs")
    }

    #[test]
    fn ranges_hold_the_pairs_they_hold() {
        #[rustfmt::skip]
        let cases = [
            (20_000, 20_001, Some(1)), (20_000, 20_000, None),    (20_001, 20_002, None),
            (20_001, 20_003, Some(1)), (20_000, 20_009, Some(5)), (20_009, 20_000, None),
            (65_534, 65_535, Some(1)), (65_535, 65_535, None),    (1, 4, Some(1)),
            (0, 3, Some(1)),           (1, 65_535, Some(32_767)),
        ];
        for (from, to, want) in cases {
            let pool = PortPool::new(LOOPBACK, from, to, Seed(1, 2));
            let found = pool.ok().and_then(|pool| pool.size());
            assert_eq!(found, want, "{from} to {to}");
        }
    }

    #[test]
    fn an_exhausted_pool_refuses_and_a_returned_port_rests() {
        let mut pool = pool(0, 4);
        let now = clock::now();
        let mut open: Vec<MediaPair> = (0..4).map(|_| pool.open(now).unwrap()).collect();
        let ports: HashSet<u16> = open.iter().map(|pair| pair.rtp_address().port()).collect();
        assert_eq!(ports, [0, 2, 4, 6].map(|offset| base() + offset).into());
        assert!(open.iter().all(|p| p.rtcp_address().port() == p.rtp_address().port() + 1));
        assert!(matches!(pool.open(now), Err(NetError::PortsExhausted { pairs: 4 })));
        assert_eq!((pool.counters().exhausted, pool.in_use()), (1, 4));

        let returned = open.remove(2).rtp_address().port();
        pool.give_back(now, returned);
        assert_eq!(pool.in_use(), 3);
        let resting = now + QUARANTINE - Duration::from_millis(1);
        assert!(matches!(pool.open(resting), Err(NetError::PortsExhausted { .. })));
        let again = pool.open(now + QUARANTINE).unwrap();
        assert_eq!(again.rtp_address().port(), returned);
    }

    #[test]
    fn the_port_that_rested_longest_is_next() {
        let mut pool = pool(4, 4);
        let now = clock::now();
        let later = now + QUARANTINE * 2;
        let first = pool.open(now).unwrap().rtp_address().port();
        pool.give_back(now, first);
        let order: Vec<u16> = (0..4)
            .map(|_| pool.open(later).map(|pair| pair.rtp_address().port()).unwrap())
            .collect();
        assert_eq!(order.last(), Some(&first), "{order:?}");
    }

    #[test]
    fn a_port_of_another_process_is_skipped() {
        let mut pool = pool(8, 2);
        let foreign = open_bound(SocketAddr::new(LOOPBACK, base() + 17)).unwrap();
        let now = clock::now();
        assert_eq!(pool.open(now).unwrap().rtp_address().port(), base() + 18);
        assert!(pool.open(now).is_err());
        assert_eq!(pool.counters().occupied, 1);
        drop(foreign);
        assert_eq!(pool.open(now + QUARANTINE).unwrap().rtp_address().port(), base() + 16);
    }

    #[test]
    fn strange_returns_change_nothing() {
        let mut pool = pool(10, 2);
        let now = clock::now();
        let port = pool.open(now).unwrap().rtp_address().port();
        let first = base() + 20;
        for stray in [0, first - 1, first + 1, first + 4, 65_535, port ^ 2] {
            pool.give_back(now, stray);
        }
        pool.give_back(now, port);
        pool.give_back(now, port);
        assert_eq!((pool.counters().stray, pool.in_use()), (7, 0));
    }

    #[test]
    fn the_seed_draws_the_order() {
        let order = |seed| {
            let range = Range::new(30_000, 30_999, seed).unwrap();
            range.resting.iter().map(|(port, _)| *port).collect::<Vec<u16>>()
        };
        assert_eq!(order(Seed(1, 1)), order(Seed(1, 1)));
        assert_ne!(order(Seed(1, 1)), order(Seed(1, 2)));
        let mut sorted = order(Seed(1, 1));
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq((30_000..31_000).step_by(2)));
    }

    #[test]
    fn the_system_chooses_pairs_of_both_ip_versions() {
        for address in ["127.0.0.1", "::1"] {
            let mut pool = PortPool::new(address.parse().unwrap(), 0, 0, Seed(1, 2)).unwrap();
            let now = clock::now();
            let pairs: Vec<MediaPair> = (0..20).map(|_| pool.open(now).unwrap()).collect();
            for pair in &pairs {
                assert_eq!(pair.rtp_address().port() % 2, 0);
                assert_eq!(local_address(&pair.rtp).unwrap(), pair.rtp_address());
                assert_eq!(local_address(&pair.rtcp).unwrap(), pair.rtcp_address());
            }
            assert_eq!((pool.in_use(), pool.size()), (20, None));
            pool.give_back(now, pairs[0].rtp_address().port());
            assert_eq!(pool.in_use(), 19);
        }
    }
}
