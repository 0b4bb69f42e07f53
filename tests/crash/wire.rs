//! A network before PostgreSQL that knows its protocol, and fails at any message.
//!
//! Messages are counted in each direction, over all connections, as they pass. One of them can be
//! the last that its network carries, or, on its way to the server, be spoilt so that the server
//! refuses the statement that it belongs to.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) way: Way,
    /// Which, counted from 0 on.
    pub(crate) at: usize,
    /// Whether it is handed on spoilt; else every connection ends before it.
    pub(crate) is_spoilt: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The kinds of the messages that came, to the server and to the client.
    passed: [Vec<u8>; 2],
    fate: Option<Fate>,
    is_met: bool,
    open: Vec<TcpStream>,
    is_over: bool,
}

/// The network, on a port of its own.
#[derive(Debug)]
pub(crate) struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// One before the server at `server_port` of loopback.
    pub(crate) fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, server_port, &shared));
        Self { port, state }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Counts from 0 on, and has a message fail.
    pub(crate) fn fail(&self, fate: Option<Fate>) {
        let mut state = lock(&self.state);
        state.passed = Default::default();
        (state.fate, state.is_met) = (fate, false);
    }

    /// Whether the message came that was to fail.
    pub(crate) fn is_met(&self) -> bool {
        lock(&self.state).is_met
    }

    /// The kinds of the messages that passed, to the server and to the client.
    pub(crate) fn passed(&self) -> [Vec<u8>; 2] {
        lock(&self.state).passed.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        state.cut();
        drop(state);
        // Wakes whoever accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What is to become of the next message, which is of this kind: whether it is handed on.
    fn judge(&mut self, way: Way, message: &mut [u8]) -> bool {
        let kind = message.first().copied().unwrap_or_default();
        let passed = &mut self.passed[way as usize];
        let at = passed.len();
        passed.push(kind);
        match self.fate {
            Some(fate) if !self.is_met && fate.way == way && fate.at == at => {
                self.is_met = true;
                if fate.is_spoilt {
                    spoil(message);
                } else {
                    self.cut();
                }
                fate.is_spoilt
            }
            _ => true,
        }
    }
}

/// Has the server refuse a statement: one whose text makes no sense, or whose name it does not know.
fn spoil(message: &mut [u8]) {
    let skipped = match message.first() {
        // Bind: its portal's name comes first, which is empty.
        Some(b'B') => 6,
        // Parse: the name of the statement, which others use.
        Some(b'P') => message.iter().skip(5).position(|octet| *octet == 0).map_or(5, |at| at + 6),
        // Query.
        Some(b'Q') => 5,
        _ => return,
    };
    if let Some(octet) = message.get_mut(skipped).filter(|octet| **octet != 0) {
        *octet = b'~';
    }
}

fn accept(listener: &TcpListener, server_port: u16, state: &Arc<Mutex<State>>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        if lock(state).is_over {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
        for (from, to, way) in
            [(&client, &server, Way::ToServer), (&server, &client, Way::ToClient)]
        {
            from.set_nodelay(true).expect("a socket of ours");
            let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
            lock(state).open.push(clone(from));
            let (from, to, state) = (clone(from), clone(to), Arc::clone(state));
            std::thread::spawn(move || {
                // It ends with the connection.
                let _ = pass(&from, &to, way, &state);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}

/// Hands messages on, until the connection ends.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    way: Way,
    state: &Mutex<State>,
) -> io::Result<()> {
    // What a client begins with has no kind: its length, and what it wants.
    let mut is_first = way == Way::ToServer;
    loop {
        let mut message = vec![0; if is_first { 4 } else { 5 }];
        from.read_exact(&mut message)?;
        let (_kind, len) = message.split_last_chunk::<4>().expect("it has a length");
        let len = usize::try_from(u32::from_be_bytes(*len)).expect("it is small").saturating_sub(4);
        let head = message.len();
        message.resize(head + len, 0);
        from.read_exact(&mut message[head..])?;
        if !std::mem::take(&mut is_first) && !lock(state).judge(way, &mut message) {
            return Ok(());
        }
        to.write_all(&message)?;
    }
}
