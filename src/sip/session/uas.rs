//! The side that was called: its 2xx is repeated until the ACK comes (RFC 3261 section 13.3.1.4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::sip::transaction::Expiry;
use crate::sip::transaction::Repeat;
use crate::sip::transaction::Timing;

/// A 2xx of ours on its way to its ACK: sent again after T1, 2*T1, .. up to T2, for 64*T1.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    /// The 2xx.
    pub(crate) response: Arc<[u8]>,
    /// Where it goes.
    pub(crate) to: SocketAddr,
    /// The CSeq that its ACK bears.
    pub(crate) cseq: u32,
    /// Whether it answered the INVITE that opened the session, so that a BYE must wait for the
    /// ACK (section 15), and not a re-INVITE.
    pub(crate) opens_session: bool,
    repeat: Repeat,
    gap_max: Duration,
    end: Instant,
}

impl Unacknowledged {
    /// The 2xx has just been sent.
    pub(crate) fn new(
        now: Instant,
        timing: &Timing,
        response: Arc<[u8]>,
        to: SocketAddr,
        cseq: u32,
        opens_session: bool,
    ) -> Self {
        Self {
            response,
            to,
            cseq,
            opens_session,
            repeat: Repeat::every(now, timing.t1()),
            gap_max: timing.t2(),
            end: now + timing.patience(),
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Expiry {
        if self.end <= now {
            Expiry::TimedOut
        } else if self.repeat.at <= now {
            self.repeat.next(self.gap_max);
            Expiry::Resend
        } else {
            Expiry::Early
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.repeat.at.min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use crate::sip::transaction::schedule::UDP;
    use crate::sip::transaction::schedule::follow;
    use crate::sip::transaction::schedule::zero;

    use super::*;

    #[test]
    fn a_2xx_is_repeated_for_64_t1() {
        let start = zero();
        let to = "192.0.2.1:5060".parse().unwrap();
        let mut waiting = Unacknowledged::new(start, &UDP, Arc::from(&b""[..]), to, 1, true);
        let schedule = follow(start, |fire| match fire.map(|at| waiting.handle_timeout(at)) {
            None | Some(Expiry::Resend) => Ok(Some(waiting.poll_timeout())),
            Some(other) => Err(other),
        });
        assert_eq!(
            schedule,
            "500R 1500R 3500R 7500R 11500R 15500R 19500R 23500R 27500R 31500R 32000T"
        );
    }
}
