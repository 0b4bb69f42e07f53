//! A network between a store and its server that a test can cut, silence and mend.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a connection looks whether something has changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the network does.
#[derive(Debug, Default)]
struct Network {
    /// Whether it takes everything and hands nothing on.
    is_silent: AtomicBool,
    /// Octets after which connections are cut, towards the server and back; less than zero: never.
    left: [AtomicI64; 2],
    /// Whether new connections are refused once one was cut.
    is_cut: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// The network, on a port of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    network: Arc<Network>,
}

impl Proxy {
    /// One before the server at `server_port` of loopback.
    pub(crate) fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let network = Arc::new(Network::default());
        network.left.iter().for_each(|left| left.store(-1, Ordering::SeqCst));
        let shared = Arc::clone(&network);
        std::thread::spawn(move || accept(&listener, server_port, &shared));
        Self { port, network }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Hands nothing on any more, or again what waits and what comes.
    pub(crate) fn silence(&self, is_silent: bool) {
        self.network.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Cuts every connection after so many more octets towards the server (0) or back (1), and
    /// lets none through any more.
    pub(crate) fn cut_after(&self, direction: usize, octets: i64) {
        self.network.left[direction].store(octets, Ordering::SeqCst);
    }

    /// Cuts every connection that is there; new ones pass.
    pub(crate) fn cut(&self) {
        self.network.cut();
        self.mend();
    }

    /// Lets everything through.
    pub(crate) fn mend(&self) {
        self.network.left.iter().for_each(|left| left.store(-1, Ordering::SeqCst));
        self.network.is_cut.store(false, Ordering::SeqCst);
        self.silence(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.is_over.store(true, Ordering::SeqCst);
        self.network.cut();
        // Wakes whoever accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Network {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("no other thread panics with it").drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, server_port: u16, network: &Arc<Network>) {
    for client in listener.incoming() {
        if network.is_over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        if network.is_cut.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
        for (direction, from, to) in [(0, &client, &server), (1, &server, &client)] {
            let [from, to] = [from, to].map(|it| it.try_clone().expect("a socket can be cloned"));
            let kept = from.try_clone().expect("a socket can be cloned");
            network.open.lock().expect("no other thread panics with it").push(kept);
            let network = Arc::clone(network);
            std::thread::spawn(move || pass(from, to, direction, &network));
        }
    }
}

/// Hands on what comes, until the connection ends.
fn pass(mut from: TcpStream, mut to: TcpStream, direction: usize, network: &Network) {
    from.set_read_timeout(Some(LOOK_EVERY)).expect("a time can be set");
    let mut octets = [0; 4096];
    loop {
        let len = match from.read(&mut octets) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_gone) => break,
        };
        while network.is_silent.load(Ordering::SeqCst) && !network.is_cut.load(Ordering::SeqCst) {
            std::thread::park_timeout(LOOK_EVERY);
        }
        let left = network.left[direction].load(Ordering::SeqCst);
        let passed = if left < 0 { len } else { len.min(usize::try_from(left).unwrap_or(0)) };
        if to.write_all(&octets[..passed]).is_err() {
            break;
        }
        if left >= 0 {
            network.left[direction].fetch_sub(passed as i64, Ordering::SeqCst);
            if passed < len || left == passed as i64 {
                network.cut();
                break;
            }
        }
    }
    // The other direction ends with this one.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
