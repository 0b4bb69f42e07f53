//! An INVITE that we sent: RFC 3261 section 17.1.1 with the Accepted state of RFC 6026.
//!
//! | state      | 1xx        | 2xx       | 300-699          | A      | B        | D    | M    |
//! |------------|------------|-----------|------------------|--------|----------|------|------|
//! | Calling    | Proceeding | Accepted  | ACK, Completed   | resend | timeout  |      |      |
//! | Proceeding | deliver    | Accepted  | ACK, Completed   |        |          |      |      |
//! | Completed  |            |           | ACK again        |        |          | over |      |
//! | Accepted   |            | deliver   |                  |        |          |      | over |
//!
//! Entering Accepted or Completed delivers the response. In Accepted every 2xx is delivered, be
//! it repeated or of another fork: its ACK is the transaction user's (section 13.2.2.4).

use std::time::Instant;

use super::Expiry;
use super::Repeat;
use super::Timing;
use super::earlier;

/// The machine.
#[derive(Debug)]
pub(crate) struct ClientInvite {
    timing: Timing,
    state: State,
    repeat: Option<Repeat>,
    /// Timer B, D or M.
    end: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Give it to the transaction user.
    Deliver,
    /// Acknowledge it within the transaction (section 17.1.1.3) and give it to the user.
    AcknowledgeAndDeliver,
    /// Send that ACK once more.
    Acknowledge,
    /// Nothing: it came too late to matter.
    Ignore,
}

impl ClientInvite {
    /// The INVITE has just been sent.
    pub(crate) fn new(now: Instant, timing: Timing) -> Self {
        Self {
            timing,
            state: State::Calling,
            repeat: Repeat::start(now, &timing),
            end: Some(now + timing.patience()),
        }
    }

    /// A response of this status matched.
    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> Reaction {
        match (self.state, status) {
            (State::Calling, ..=199) => {
                (self.state, self.repeat, self.end) = (State::Proceeding, None, None);
                Reaction::Deliver
            }
            // What `limit` has set stays.
            (State::Proceeding, ..=199) => Reaction::Deliver,
            (State::Calling | State::Proceeding, 200..=299) => {
                (self.state, self.repeat) = (State::Accepted, None);
                self.end = Some(now + self.timing.patience());
                Reaction::Deliver
            }
            (State::Calling | State::Proceeding, _) => {
                (self.state, self.repeat) = (State::Completed, None);
                self.end = Some(now + self.timing.timer_d());
                Reaction::AcknowledgeAndDeliver
            }
            (State::Completed, 300..) => Reaction::Acknowledge,
            (State::Accepted, 200..=299) => Reaction::Deliver,
            (State::Completed | State::Accepted, _) => Reaction::Ignore,
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Expiry {
        if self.end.is_some_and(|end| end <= now) {
            return match self.state {
                State::Calling | State::Proceeding => Expiry::TimedOut,
                State::Completed | State::Accepted => Expiry::Terminated,
            };
        }
        match &mut self.repeat {
            Some(repeat) if repeat.at <= now => {
                repeat.next(self.timing.patience());
                Expiry::Resend
            }
            _ => Expiry::Early,
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.repeat.map(|repeat| repeat.at), self.end)
    }

    /// Waits for a final response no longer than 64*T1 from `now`: the INVITE has been cancelled
    /// and section 9.1 lets it go then.
    pub(crate) fn limit(&mut self, now: Instant) {
        if self.state == State::Proceeding {
            self.end = Some(now + self.timing.patience());
        }
    }

    /// Whether a provisional response has come and no final one: a CANCEL may be sent
    /// (section 9.1).
    pub(crate) fn is_proceeding(&self) -> bool {
        self.state == State::Proceeding
    }

    /// Whether a final response is still to come.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling | State::Proceeding)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::schedule::RELIABLE;
    use super::super::schedule::UDP;
    use super::super::schedule::follow;
    use super::super::schedule::zero;
    use super::*;

    /// Feeds the statuses one second apart, then follows the timers.
    fn play(timing: Timing, statuses: &[u16]) -> String {
        let (start, mut told) = (zero(), Vec::new());
        let mut machine = ClientInvite::new(start, timing);
        for (seconds, &status) in (0..).zip(statuses) {
            let reaction = machine.handle_response(start + Duration::from_secs(seconds), status);
            told.push(format!("{status}={reaction:?}"));
        }
        told.push(follow(start, |fire| match fire.map(|at| machine.handle_timeout(at)) {
            None | Some(Expiry::Resend) => Ok(machine.poll_timeout()),
            Some(other) => Err(other),
        }));
        told.join(" ").trim_end().to_owned()
    }

    #[test]
    fn the_table_of_section_17_1_1_holds() {
        #[rustfmt::skip]
        let cases: [(&str, Timing, &[u16], &str); 12] = [
            ("timer A doubles until timer B", UDP, &[],
             "500R 1500R 3500R 7500R 15500R 31500R 32000T"),
            ("a reliable transport only waits", RELIABLE, &[], "32000T"),
            ("a provisional stops A and B", UDP, &[100], "100=Deliver"),
            ("every provisional is delivered", UDP, &[100, 180, 183],
             "100=Deliver 180=Deliver 183=Deliver"),
            ("a refusal is acknowledged, timer D absorbs", UDP, &[486],
             "486=AcknowledgeAndDeliver 32000X"),
            ("a repeated refusal is acknowledged again only", UDP, &[100, 486, 486],
             "100=Deliver 486=AcknowledgeAndDeliver 486=Acknowledge 33000X"),
            ("a reliable refusal leaves at once", RELIABLE, &[486],
             "486=AcknowledgeAndDeliver 0X"),
            ("an answer lingers for timer M", UDP, &[200], "200=Deliver 32000X"),
            ("repeated and forked answers are delivered", UDP, &[180, 200, 200],
             "180=Deliver 200=Deliver 200=Deliver 33000X"),
            ("a refusal after the answer is ignored", UDP, &[200, 486],
             "200=Deliver 486=Ignore 32000X"),
            ("an answer after the refusal is ignored", UDP, &[486, 200],
             "486=AcknowledgeAndDeliver 200=Ignore 32000X"),
            ("a late provisional is ignored", UDP, &[200, 180], "200=Deliver 180=Ignore 32000X"),
        ];
        for (name, timing, statuses, want) in cases {
            assert_eq!(play(timing, statuses), want, "{name}");
        }
    }

    #[test]
    fn a_cancelled_invite_waits_64_t1_for_its_end() {
        let start = zero();
        let mut machine = ClientInvite::new(start, UDP);
        machine.limit(start);
        assert!(!machine.is_proceeding(), "nothing to cancel before a provisional");
        machine.handle_response(start, 180);
        assert!(machine.is_proceeding() && machine.is_pending());
        machine.limit(start + Duration::from_secs(1));
        machine.handle_response(start + Duration::from_secs(2), 183);
        let end = start + Duration::from_secs(33);
        assert_eq!(machine.poll_timeout(), Some(end));
        assert_eq!(machine.handle_timeout(end - Duration::from_millis(1)), Expiry::Early);
        assert_eq!(machine.handle_timeout(end), Expiry::TimedOut);
    }
}
