//! Free ports, from the system and in blocks.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

/// Blocks are taken from below the ports that Linux hands out itself (32768 and up).
const BLOCKS: std::ops::Range<u16> = 10_000..32_000;

/// A UDP port of loopback that was free a moment ago.
pub(crate) fn udp() -> SocketAddr {
    bound(Type::DGRAM, 0).expect("a free UDP port")
}

/// A TCP port of loopback that was free a moment ago.
pub(crate) fn tcp() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free TCP port");
    listener.local_addr().expect("a bound socket has an address")
}

/// The first of `len` UDP ports next to each other that nobody of this process was given before.
///
/// Only its two ends are tried: the engine skips single ports that others hold.
pub(crate) fn block(len: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let places = (BLOCKS.end - BLOCKS.start) / 1_000;
    // Two runs of the tests at the same time begin at different places.
    let begin = (std::process::id() % u32::from(places)) as u16;
    let steps = len.div_ceil(1_000);
    for _ in 0..places {
        let place = (begin + NEXT.fetch_add(steps, Ordering::Relaxed)) % places;
        let first = BLOCKS.start + place * 1_000;
        let last = first + len - 1;
        if last < BLOCKS.end && [first, last].into_iter().all(is_free) {
            return first;
        }
    }
    panic!("no {len} free UDP ports in {BLOCKS:?}");
}

fn is_free(port: u16) -> bool {
    bound(Type::DGRAM, port).is_some()
}

fn bound(kind: Type, port: u16) -> Option<SocketAddr> {
    let socket = Socket::new(Domain::IPV4, kind, None).ok()?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).ok()?;
    socket.local_addr().ok()?.as_socket()
}
