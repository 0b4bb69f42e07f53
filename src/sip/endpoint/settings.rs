//! What the endpoint must be told before it can speak.

use std::net::SocketAddr;
use std::time::Duration;

/// The endpoint's settings; configuration has checked them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where we listen, in the order of their [`ListenerId`](crate::sip::ListenerId); at most 256.
    pub listeners: Vec<Listener>,
    /// How we name ourselves in User-Agent and Server; control characters are left out.
    pub user_agent: String,
    /// The number of this shard, written into every name we mint (`sip::mint`).
    pub shard: u8,
    /// T1, the estimate of a round trip; 500 ms in RFC 3261 section 17.1.1.1.
    pub t1: Duration,
    /// T2, the longest gap between retransmissions; 4 s in RFC 3261.
    pub t2: Duration,
    /// T4, how long a message stays in the network; 5 s in RFC 3261.
    pub t4: Duration,
    /// Most sessions at a time; an INVITE beyond gets 503.
    pub sessions_max: usize,
    /// Most transactions at a time before new work is refused with 503. What ends calls (BYE,
    /// CANCEL) is let through: it frees more than it takes, and each session has one.
    pub transactions_max: usize,
}

impl Settings {
    /// The RFC's times, no listener yet, and room for 20,000 calls with the transactions that
    /// 600 of them a second leave behind for 32 s.
    pub fn new(user_agent: &str) -> Self {
        Self {
            listeners: Vec::new(),
            user_agent: user_agent.to_owned(),
            shard: 0,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            sessions_max: 40_000,
            transactions_max: 400_000,
        }
    }
}

/// One address we listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What the socket is bound to.
    pub local: SocketAddr,
    /// What peers are told in Via and Contact, where that is another address (NAT).
    pub advertised: SocketAddr,
}
