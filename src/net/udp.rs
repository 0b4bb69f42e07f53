//! The signalling socket: batches of datagrams in and out under tokio's readiness (RFC 3261
//! section 18).
//!
//! One recvmmsg takes what waits, one sendmmsg sends what a step produced: under load a call's
//! seven or so datagrams share their system calls with those of its neighbours. What the kernel
//! cannot take at once waits in a [`SendQueue`] with a stated length.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::net::sys::RecvSlots;
use crate::net::{NetError, sys};

/// Bytes asked for as receive and as send buffer: 4 MiB holds some 3,000 INVITEs, a second of
/// a busy trunk while the thread is held up.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Most datagrams taken by one system call. Our choice: at 32 the call's own cost is under a
/// tenth of what the kernel does for each datagram, and the batch's memory stays at 2 MiB.
pub const BATCH_DATAGRAMS: usize = 32;

/// Length of a slot: RFC 3261 section 18.1.1 wants messages of up to 65,535 bytes received, so no
/// datagram is cut. Only the pages that datagrams really fill are ever touched.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Most datagrams that wait for the kernel to take them; about one second of a busy shard. SIP
/// repeats what is refused here by its own timers.
pub const SEND_QUEUE_LEN_MAX: usize = 8_192;

/// Socket errors that one receive may pass over before it returns to its caller.
const ERRORS_PASSED_MAX: usize = 8;

/// What the kernel granted of the buffers asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Bytes asked for, each way.
    pub asked: usize,
    /// Bytes granted for receiving (`net.core.rmem_max` is the kernel's limit).
    pub receive: usize,
    /// Bytes granted for sending (`net.core.wmem_max`).
    pub send: usize,
}

impl BufferSizes {
    /// Whether the kernel gave less than asked: worth a warning, since bursts will be lost.
    pub const fn is_clamped(&self) -> bool {
        self.receive < self.asked || self.send < self.asked
    }
}

/// What one signalling socket did and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed on.
    pub received: u64,
    /// Datagrams longer than a slot, dropped.
    pub truncated: u64,
    /// Errors that ICMP left on the socket, met while receiving.
    pub receive_errors: u64,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Times the kernel had no room, so that the queue waited.
    pub would_block: u64,
    /// Datagrams dropped because nobody is reached at their address.
    pub unreachable: u64,
    /// Datagrams dropped because they are longer than UDP can carry.
    pub too_long: u64,
    /// Datagrams dropped for any other error.
    pub send_errors: u64,
}

/// Room for one batch of datagrams; one serves all sockets of a thread in turn.
pub struct Batch {
    slots: RecvSlots<BATCH_DATAGRAMS>,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// Room for [`BATCH_DATAGRAMS`] of [`DATAGRAM_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_slot_bytes(DATAGRAM_BYTES_MAX)
    }

    /// Source and bytes of each datagram of the last batch, in order of arrival.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.slots
            .datagrams()
            .filter(|datagram| !datagram.is_truncated)
            .map(|d| (d.source, d.bytes))
    }

    fn with_slot_bytes(slot_bytes: usize) -> Self {
        Self { slots: RecvSlots::new(slot_bytes) }
    }
}

/// Datagrams on their way out, at most [`SEND_QUEUE_LEN_MAX`].
#[derive(Debug, Default)]
pub struct SendQueue {
    waiting: VecDeque<(SocketAddr, Arc<[u8]>)>,
    refused: u64,
}

impl SendQueue {
    /// Puts a datagram at the end; false, and counted, when the queue is full.
    pub fn push(&mut self, to: SocketAddr, bytes: Arc<[u8]>) -> bool {
        if self.waiting.len() >= SEND_QUEUE_LEN_MAX {
            self.refused += 1;
            return false;
        }
        self.waiting.push_back((to, bytes));
        true
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many the full queue has refused.
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

/// A bound UDP socket for SIP, for the tokio runtime it was bound in.
pub struct SignallingSocket {
    socket: UdpSocket,
    local: SocketAddr,
    counters: Counters,
}

impl SignallingSocket {
    /// Binds `address` (port 0: one that the system chooses) and asks for large buffers.
    ///
    /// An IPv6 socket hears IPv6 only, so that `[::]` and `0.0.0.0` can stand side by side and
    /// no source ever reads `::ffff:192.0.2.1`.
    ///
    /// # Errors
    ///
    /// [`NetError::Bind`], with the system's reason.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn bind(address: SocketAddr) -> Result<(Self, BufferSizes), NetError> {
        Self::try_bind(address).map_err(|source| NetError::Bind { address, source })
    }

    fn try_bind(address: SocketAddr) -> io::Result<(Self, BufferSizes)> {
        let socket = open_bound(address)?;
        let sizes = ask_for_buffers(&socket)?;
        let local = local_address(&socket)?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok((Self { socket, local, counters: Counters::default() }, sizes))
    }

    /// The bound address, with the port that the system chose.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ready when something may wait to be received; for one task at a time, which may ask
    /// several sockets at once.
    ///
    /// # Errors
    ///
    /// Only when the runtime is shutting down.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(context)
    }

    /// Ready when the kernel may take datagrams again; for a queue that [`Self::send_batch`]
    /// could not empty, and for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`Self::poll_readable`].
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(context)
    }

    /// Takes what waits, at most [`BATCH_DATAGRAMS`], into `batch`. Zero: nothing waits any more,
    /// and [`Self::poll_readable`] will wait for more.
    ///
    /// # Errors
    ///
    /// Those that make the socket useless; what ICMP says about peers is counted instead.
    pub fn recv_batch(&mut self, batch: &mut Batch) -> io::Result<usize> {
        for _ in 0..ERRORS_PASSED_MAX {
            let (socket, slots) = (&self.socket, &mut batch.slots);
            match socket.try_io(Interest::READABLE, || slots.receive(socket.as_fd())) {
                Ok(count) => {
                    let truncated = batch.slots.datagrams().filter(|d| d.is_truncated).count();
                    self.counters.received += (count - truncated) as u64;
                    self.counters.truncated += truncated as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if is_about_a_peer(&error) => self.counters.receive_errors += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    /// Sends from the front of `queue` until it is empty or the kernel has no room; returns how
    /// many went out. A datagram that cannot be sent at all is dropped and counted: SIP repeats
    /// what matters by its own timers.
    pub fn send_batch(&mut self, queue: &mut SendQueue) -> usize {
        let mut total = 0;
        while !queue.waiting.is_empty() {
            match self.send_front(queue) {
                Ok(sent) => {
                    queue.waiting.drain(..sent.min(queue.waiting.len()));
                    self.counters.sent += sent as u64;
                    total += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.would_block += 1;
                    break;
                }
                Err(error) => {
                    self.count_dropped(&error);
                    queue.waiting.pop_front();
                }
            }
        }
        total
    }

    fn send_front(&self, queue: &SendQueue) -> io::Result<usize> {
        let waiting = || queue.waiting.iter().map(|(to, bytes)| (*to, &bytes[..]));
        match sys::send_batch(self.socket.as_fd(), waiting()) {
            // Asked again through tokio, so that `writable` waits from now on.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let send = || sys::send_batch(self.socket.as_fd(), waiting());
                self.socket.try_io(Interest::WRITABLE, send)
            }
            other => other,
        }
    }

    fn count_dropped(&mut self, error: &io::Error) {
        if is_about_a_peer(error) {
            self.counters.unreachable += 1;
        } else if error.raw_os_error() == Some(libc::EMSGSIZE) {
            self.counters.too_long += 1;
        } else {
            self.counters.send_errors += 1;
        }
    }
}

/// A non-blocking UDP socket bound to `address`.
pub(super) fn open_bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// The address that a socket is bound to.
pub(super) fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket has no IP address"))
}

/// Whether an error tells of a peer that ICMP says is not there, and not of the socket.
pub(super) fn is_about_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::ConnectionReset
            | Kind::PermissionDenied
    )
}

fn ask_for_buffers(socket: &Socket) -> io::Result<BufferSizes> {
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    // Linux reports twice what it granted, the other half being for its own bookkeeping
    // (socket(7)).
    Ok(BufferSizes {
        asked: SOCKET_BUFFER_BYTES,
        receive: socket.recv_buffer_size()? / 2,
        send: socket.send_buffer_size()? / 2,
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    fn bound(address: &str) -> SignallingSocket {
        let address = address.parse().expect("an address");
        SignallingSocket::bind(address).expect("loopback has both IP versions").0
    }

    /// Receives until `count` datagrams are in, with their sources.
    async fn receive(
        socket: &mut SignallingSocket,
        batch: &mut Batch,
        count: usize,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            timeout(PATIENCE, poll_fn(|context| socket.poll_readable(context)))
                .await
                .expect("in time")
                .expect("readable");
            while socket.recv_batch(batch).expect("received") > 0 {
                all.extend(batch.datagrams().map(|(source, bytes)| (source, bytes.to_vec())));
            }
        }
        all
    }

    async fn send(socket: &mut SignallingSocket, queue: &mut SendQueue) {
        while !queue.is_empty() {
            timeout(PATIENCE, poll_fn(|context| socket.poll_writable(context)))
                .await
                .expect("in time")
                .expect("writable");
            socket.send_batch(queue);
        }
    }

    fn message(number: usize) -> Arc<[u8]> {
        // 1 to 1,400 octets.
        vec![number as u8; 1 + number * 7].into()
    }

    #[tokio::test]
    async fn two_hundred_datagrams_go_both_ways() {
        for address in LOOPBACKS {
            let (mut one, mut other) = (bound(address), bound(address));
            let mut batch = Batch::new();
            for _ in 0..2 {
                let mut queue = SendQueue::default();
                for number in 0..200 {
                    assert!(queue.push(other.local_addr(), message(number)));
                }
                send(&mut one, &mut queue).await;
                let received = receive(&mut other, &mut batch, 200).await;
                for (number, (source, bytes)) in received.iter().enumerate() {
                    assert_eq!(*source, one.local_addr());
                    assert_eq!(bytes[..], message(number)[..], "{address} {number}");
                }
                std::mem::swap(&mut one, &mut other);
            }
            assert_eq!((one.counters().sent, one.counters().received), (200, 200));
        }
    }

    #[tokio::test]
    async fn the_longest_datagram_passes_and_a_longer_one_is_dropped() {
        let (mut one, mut other) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let mut queue = SendQueue::default();
        for length in [65_508, 65_507, 0, 3] {
            queue.push(other.local_addr(), vec![7; length].into());
        }
        send(&mut one, &mut queue).await;
        assert_eq!((one.counters().too_long, one.counters().sent), (1, 3));
        let received = receive(&mut other, &mut Batch::new(), 3).await;
        let lengths: Vec<usize> = received.iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [65_507, 0, 3]);
    }

    #[tokio::test]
    async fn a_cut_datagram_is_counted_and_not_handed_on() {
        let (mut one, mut other) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let mut queue = SendQueue::default();
        for length in [101, 100] {
            queue.push(other.local_addr(), vec![7; length].into());
        }
        send(&mut one, &mut queue).await;
        let received = receive(&mut other, &mut Batch::with_slot_bytes(100), 1).await;
        assert_eq!(received[0].1.len(), 100);
        assert_eq!((other.counters().truncated, other.counters().received), (1, 1));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_dropped_and_the_rest_goes_out() {
        let (mut one, mut other) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let mut queue = SendQueue::default();
        for to in ["[::1]:5060".parse().unwrap(), other.local_addr()] {
            queue.push(to, message(1));
        }
        // A closed port: nobody hears it, and an unconnected socket is not told.
        queue.push("127.0.0.1:9".parse().unwrap(), message(1));
        queue.push(other.local_addr(), message(2));
        send(&mut one, &mut queue).await;
        assert_eq!((one.counters().send_errors, one.counters().sent), (1, 3));
        assert_eq!(receive(&mut other, &mut Batch::new(), 2).await.len(), 2);
        assert_eq!(one.recv_batch(&mut Batch::new()).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_fresh_socket_sends_without_waiting() {
        let (mut one, other) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let mut queue = SendQueue::default();
        for number in 0..100 {
            queue.push(other.local_addr(), message(number));
        }
        assert_eq!((one.send_batch(&mut queue), queue.len()), (100, 0));
        assert_eq!(one.counters().would_block, 0);
    }

    #[test]
    fn a_full_queue_refuses_and_counts() {
        let mut queue = SendQueue::default();
        let to = "127.0.0.1:9".parse().unwrap();
        for _ in 0..SEND_QUEUE_LEN_MAX {
            assert!(queue.push(to, message(0)));
        }
        assert!(!queue.push(to, message(0)));
        assert_eq!((queue.len(), queue.refused()), (SEND_QUEUE_LEN_MAX, 1));
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_that_names_it() {
        let taken = bound("127.0.0.1:0");
        let error = SignallingSocket::bind(taken.local_addr()).map(drop).unwrap_err();
        assert!(error.to_string().contains(&taken.local_addr().to_string()), "{error}");
    }

    #[tokio::test]
    async fn both_wildcards_share_a_port_and_buffers_are_read_back() {
        let (v6, sizes) = SignallingSocket::bind("[::]:0".parse().unwrap()).unwrap();
        let port = v6.local_addr().port();
        let v4 = SignallingSocket::bind(SocketAddr::from(([0, 0, 0, 0], port)));
        assert!(v4.is_ok());
        assert_eq!(sizes.asked, SOCKET_BUFFER_BYTES);
        assert!(sizes.receive > 0 && sizes.receive <= sizes.asked, "{sizes:?}");
        assert_eq!(sizes.is_clamped(), sizes.receive.min(sizes.send) < sizes.asked);
    }
}
