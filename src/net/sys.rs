//! System calls that neither the standard library nor socket2 offers: recvmmsg, sendmmsg, epoll,
//! the absolute sleep, the dissolving of a UDP connection and the limit of open files (Linux).
//!
//! Everything here keeps its pointers within one call: the arrays that the kernel reads and
//! writes stand on the stack or in buffers borrowed for the length of the call, so that the types
//! around them move freely.
#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem, ptr};

use socket2::SockAddr;

/// Most datagrams handed to one sendmmsg; its headers stand on the stack, about 7 KiB of them.
pub(super) const SEND_BATCH_MAX: usize = 32;

/// `N` preallocated places for datagrams, filled by one system call.
pub(super) struct RecvSlots<const N: usize> {
    bytes: Box<[u8]>,
    slot_bytes: usize,
    names: Box<[libc::sockaddr_storage]>,
    received: [Received; N],
    filled: usize,
}

#[derive(Clone, Copy)]
struct Received {
    source: Option<SocketAddr>,
    length: usize,
    is_truncated: bool,
}

/// One datagram as it stands in its slot.
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddr,
    pub(super) bytes: &'a [u8],
    pub(super) is_truncated: bool,
}

impl<const N: usize> RecvSlots<N> {
    /// Room for `N` datagrams of up to `slot_bytes`; pages are touched only as they are used.
    pub(super) fn new(slot_bytes: usize) -> Self {
        let nothing = Received { source: None, length: 0, is_truncated: false };
        Self {
            bytes: vec![0; slot_bytes * N].into_boxed_slice(),
            slot_bytes,
            names: vec![zeroed_storage(); N].into_boxed_slice(),
            received: [nothing; N],
            filled: 0,
        }
    }

    /// Takes what waits on `socket`, at most `N` datagrams, without blocking.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.filled = 0;
        let names = self.names.as_mut_ptr();
        let base = self.bytes.as_mut_ptr();
        let mut vectors: [libc::iovec; N] = std::array::from_fn(|slot| libc::iovec {
            // In bounds: `bytes` holds N slots of `slot_bytes`.
            iov_base: base.wrapping_add(slot * self.slot_bytes).cast(),
            iov_len: self.slot_bytes,
        });
        let mut headers: [libc::mmsghdr; N] = std::array::from_fn(|slot| {
            let mut header = zeroed_header();
            // In bounds: there are N names.
            header.msg_hdr.msg_name = names.wrapping_add(slot).cast();
            header.msg_hdr.msg_namelen = NAME_BYTES;
            header.msg_hdr.msg_iov = &raw mut vectors[slot];
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let count = retried(|| {
            // SAFETY: `headers` are N valid headers whose names, vectors and the bytes behind them
            // are exclusively ours and outlive the call.
            let got = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    N as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            usize::try_from(got).map_err(|_| io::Error::last_os_error())
        })?;
        let slots = self.received.iter_mut().zip(&self.names).zip(&headers);
        for ((received, name), header) in slots.take(count) {
            *received = Received {
                source: read_address(name),
                length: (header.msg_len as usize).min(self.slot_bytes),
                is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
        }
        self.filled = count.min(N);
        Ok(self.filled)
    }

    /// The datagrams of the last [`Self::receive`], in order of arrival.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.bytes.chunks_exact(self.slot_bytes);
        self.received[..self.filled].iter().zip(slots).filter_map(|(received, slot)| {
            Some(Datagram {
                source: received.source?,
                bytes: slot.get(..received.length)?,
                is_truncated: received.is_truncated,
            })
        })
    }
}

/// Takes one datagram that waits on `socket` into `bytes`, without blocking.
///
/// Where one packet is what waits, this costs two thirds of a recvmmsg that has room for eight.
pub(super) fn receive_one<'a>(
    socket: BorrowedFd<'_>,
    bytes: &'a mut [u8],
) -> io::Result<Option<Datagram<'a>>> {
    let mut name = zeroed_storage();
    let length = retried(|| {
        let mut name_bytes = NAME_BYTES;
        // SAFETY: `bytes` and `name` are exclusively ours during the call and as long as stated.
        let got = unsafe {
            libc::recvfrom(
                socket.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                (&raw mut name).cast(),
                &raw mut name_bytes,
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    })?;
    let is_truncated = length > bytes.len();
    let bytes = bytes.get(..length.min(bytes.len())).unwrap_or_default();
    Ok(read_address(&name).map(|source| Datagram { source, bytes, is_truncated }))
}

/// Sends up to [`SEND_BATCH_MAX`] datagrams from the front of `datagrams`, without blocking.
///
/// Returns how many went out, at least one; an error concerns the first of them.
pub(super) fn send_batch<'a>(
    socket: BorrowedFd<'_>,
    datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    let mut names: [Option<SockAddr>; SEND_BATCH_MAX] = [const { None }; SEND_BATCH_MAX];
    let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; SEND_BATCH_MAX];
    let mut headers: [libc::mmsghdr; SEND_BATCH_MAX] = [zeroed_header(); SEND_BATCH_MAX];
    let mut count = 0;
    for (slot, (to, bytes)) in datagrams.take(SEND_BATCH_MAX).enumerate() {
        let name = names[slot].insert(SockAddr::from(to));
        vectors[slot] =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let header = &mut headers[slot].msg_hdr;
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = &raw mut vectors[slot];
        header.msg_iovlen = 1;
        count = slot + 1;
    }
    retried(|| {
        // SAFETY: the first `count` headers point to names and vectors on this stack frame and to
        // bytes borrowed for 'a; the kernel only reads what the vectors and names point to.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    })
}

/// Dissolves the connection of a UDP socket: it hears everybody again. The port stays bound.
pub(super) fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut name = zeroed_storage();
    name.ss_family = libc::AF_UNSPEC as libc::sa_family_t;
    retried(|| {
        // SAFETY: `name` is a valid address of the length given, read by the kernel only.
        let result =
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const name).cast(), NAME_BYTES) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    })
}

/// A set of sockets that the kernel watches, level-triggered.
pub(super) struct Epoll {
    fd: OwnedFd,
}

/// One socket that has something: the number it was added under.
pub(super) type Ready = libc::epoll_event;

/// A place for an event.
pub(super) const NOT_READY: Ready = Ready { events: 0, u64: 0 };

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, which nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Watches `socket` for input under `number`, until it is closed.
    pub(super) fn add(&self, socket: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        let mut event = Ready { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: both descriptors are open; `event` is read by the kernel during the call only.
        let result = unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &raw mut event,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Which sockets have something now; never blocks. The kernel gives each its turn when more
    /// are ready than `events` holds.
    pub(super) fn ready(&self, events: &mut [Ready]) -> io::Result<usize> {
        let room = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
        retried(|| {
            // SAFETY: `events` has room for that many and is exclusively ours during the call.
            let count = unsafe {
                libc::epoll_wait(self.fd.as_fd().as_raw_fd(), events.as_mut_ptr(), room, 0)
            };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        })
    }
}

/// Nanoseconds of the monotonic clock.
pub(super) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours and written by the kernel. The call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * NS_PER_S + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Blocks the thread until the monotonic clock reads `deadline_ns`.
pub(super) fn sleep_until_ns(deadline_ns: u64) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(deadline_ns / NS_PER_S).unwrap_or(libc::time_t::MAX),
        tv_nsec: (deadline_ns % NS_PER_S) as libc::c_long,
    };
    loop {
        // SAFETY: `time` is only read; an absolute sleep has no remainder to write.
        let result = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const time,
                ptr::null_mut(),
            )
        };
        if result != libc::EINTR {
            return;
        }
    }
}

const NS_PER_S: u64 = 1_000_000_000;
const NAME_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// Lets this process open as many files as the system allows it, and says how many those are.
pub(super) fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours and outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a whole one, read and not kept by the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn zeroed_storage() -> libc::sockaddr_storage {
    // SAFETY: plain integers and bytes, for which all zeroes are a value.
    unsafe { mem::zeroed() }
}

const fn zeroed_header() -> libc::mmsghdr {
    // SAFETY: integers and raw pointers, for which all zeroes are a value.
    unsafe { mem::zeroed() }
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the kernel wrote; the storage is large and
            // aligned enough for each.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}
