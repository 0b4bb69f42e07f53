//! The four transaction machines of RFC 3261 section 17, as RFC 6026 corrects them.
//!
//! Each machine is told of messages by their kind alone and answers with what to do; the bytes
//! to send again, and who waits for the outcome, stand beside it in `endpoint::table`. So a
//! machine is a few words of state, and every row of its table can be tested in microseconds.
//!
//! ```text
//! client_invite   Calling -> Proceeding -> Completed | Accepted     timers A B D M
//! client_other    Trying  -> Proceeding -> Completed                timers E F K
//! server_invite   Proceeding -> Completed -> Confirmed | Accepted   timers G H I L
//! server_other    Trying  -> Proceeding -> Completed                timer  J
//! ```

pub(crate) mod client_invite;
pub(crate) mod client_other;
pub(crate) mod key;
pub(crate) mod server_invite;
pub(crate) mod server_other;

use std::time::Duration;
use std::time::Instant;

pub(crate) use client_invite::ClientInvite;
pub(crate) use client_other::ClientOther;
pub(crate) use server_invite::ServerInvite;
pub(crate) use server_other::ServerOther;

/// The base times of RFC 3261 section 17.1.1.1 and table 4, and what follows from them. Every
/// machine has them by it, hence the narrow numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The estimate of a round trip; the first retransmission comes after it.
    pub(crate) t1_ms: u32,
    /// The longest gap between retransmissions of a non-INVITE request or an INVITE's response.
    pub(crate) t2_ms: u32,
    /// The longest time a message stays in the network.
    pub(crate) t4_ms: u32,
    /// Whether the transport itself repeats what is lost. No machine retransmits then, and none
    /// lingers to absorb what cannot come; timers B, F, H, L and M stay.
    pub(crate) reliable: bool,
}

/// Table 4 of RFC 3261 wants Timer D to be more than this over an unreliable transport.
const TIMER_D_MIN: Duration = Duration::from_secs(32);

impl Timing {
    /// 64*T1: timers B, F, H, J, L and M, and how long a 2xx is repeated.
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_millis(self.t1_ms as u64 * 64)
    }

    /// T1.
    pub(crate) const fn t1(&self) -> Duration {
        Duration::from_millis(self.t1_ms as u64)
    }

    /// T2.
    pub(crate) const fn t2(&self) -> Duration {
        Duration::from_millis(self.t2_ms as u64)
    }

    /// How long a client absorbs repeated final responses to its INVITE: timer D.
    fn timer_d(&self) -> Duration {
        self.unless_reliable(self.patience().max(TIMER_D_MIN))
    }

    /// How long a machine absorbs repetitions once all is said: timers I and K.
    const fn timer_i_k(&self) -> Duration {
        self.unless_reliable(Duration::from_millis(self.t4_ms as u64))
    }

    /// Timer J.
    const fn timer_j(&self) -> Duration {
        self.unless_reliable(self.patience())
    }

    const fn unless_reliable(&self, duration: Duration) -> Duration {
        if self.reliable { Duration::ZERO } else { duration }
    }
}

/// What an expired deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Nothing was due.
    Early,
    /// Send the stored message again.
    Resend,
    /// The peer never answered: tell the transaction user; the transaction is over.
    TimedOut,
    /// The transaction has absorbed what it had to and is over.
    Terminated,
}

/// A message sent again and again: when next, and the gap after that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    /// When to send next.
    pub(crate) at: Instant,
    gap: Duration,
}

impl Repeat {
    /// Begins with a gap of T1 from `now`; `None` where the transport repeats by itself.
    fn start(now: Instant, timing: &Timing) -> Option<Self> {
        (!timing.reliable).then(|| Self::every(now, timing.t1()))
    }

    /// Begins with a gap of `gap` from `now`, whatever the transport.
    pub(crate) fn every(now: Instant, gap: Duration) -> Self {
        Self { at: now + gap, gap }
    }

    /// Doubles the gap, up to `gap_max`, and counts on from the last deadline, not from `now`,
    /// so that a late driver does not stretch the schedule.
    pub(crate) fn next(&mut self, gap_max: Duration) {
        self.gap = (self.gap * 2).min(gap_max);
        self.at += self.gap;
    }
}

/// The earlier of two deadlines that may not exist.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
pub(crate) mod schedule {
    //! What the machines' tests share: a zero of time and the deadlines a machine lives through.

    use super::*;

    /// The default times over UDP.
    pub(crate) const UDP: Timing =
        Timing { t1_ms: 500, t2_ms: 4_000, t4_ms: 5_000, reliable: false };

    /// The same over a reliable transport.
    pub(crate) const RELIABLE: Timing = Timing { reliable: true, ..UDP };

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    pub(crate) fn zero() -> Instant {
        Instant::now()
    }

    /// Follows `poll_timeout` to the end: `500R 1500R .. 32000T`, milliseconds and the initial
    /// of Resend, TimedOut or X for Terminated.
    pub(crate) fn follow(
        start: Instant,
        mut poll: impl FnMut(Option<Instant>) -> Result<Option<Instant>, Expiry>,
    ) -> String {
        let (mut told, mut fire) = (Vec::new(), None);
        for _ in 0..100 {
            let at = fire.map_or(0, |at: Instant| at.duration_since(start).as_millis());
            match poll(fire) {
                Ok(next) => {
                    if fire.is_some() {
                        told.push(format!("{at}R"));
                    }
                    if next.is_none() {
                        break;
                    }
                    fire = next;
                }
                Err(Expiry::TimedOut) => {
                    told.push(format!("{at}T"));
                    break;
                }
                Err(Expiry::Terminated) => {
                    told.push(format!("{at}X"));
                    break;
                }
                Err(other) => panic!("{other:?} at its own deadline"),
            }
        }
        told.join(" ")
    }
}
