//! An INVITE that came in: RFC 3261 section 17.2.1 with the Accepted state of RFC 6026.
//!
//! | state      | INVITE again | we send 1xx | 2xx      | 300-699   | ACK       | G, H, I, L   |
//! |------------|--------------|-------------|----------|-----------|-----------|--------------|
//! | Proceeding | resend 1xx   | send        | Accepted | Completed |           |              |
//! | Completed  | resend final |             |          |           | Confirmed | G resend, H timeout |
//! | Confirmed  | absorb       |             |          |           | absorb    | I over       |
//! | Accepted   | absorb       |             | send     |           | deliver   | L over       |
//!
//! The 2xx is repeated by the session, not here (RFC 3261 section 13.3.1.4).

use std::time::Instant;

use super::Expiry;
use super::Repeat;
use super::Timing;
use super::earlier;

/// The machine.
#[derive(Debug)]
pub(crate) struct ServerInvite {
    timing: Timing,
    state: State,
    repeat: Option<Repeat>,
    /// Timer H, I or L.
    end: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

impl ServerInvite {
    /// The INVITE has just come; its 100 is on the way.
    pub(crate) const fn new(timing: Timing) -> Self {
        Self { timing, state: State::Proceeding, repeat: None, end: None }
    }

    /// The same INVITE came again; true when the last response is to be sent again.
    pub(crate) const fn handle_request(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Completed)
    }

    /// We want to send a response of this status; true when it may go out.
    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> bool {
        match (self.state, status) {
            (State::Proceeding, ..=199) => {}
            (State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.end = Some(now + self.timing.patience());
            }
            (State::Proceeding, _) => {
                self.state = State::Completed;
                self.repeat = Repeat::start(now, &self.timing);
                self.end = Some(now + self.timing.patience());
            }
            (State::Completed | State::Confirmed | State::Accepted, _) => return false,
        }
        true
    }

    /// An ACK matched this INVITE's branch; true when it is the session's, for a 2xx.
    pub(crate) fn handle_ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed => {
                (self.state, self.repeat) = (State::Confirmed, None);
                self.end = Some(now + self.timing.timer_i_k());
                false
            }
            State::Proceeding | State::Confirmed => false,
            State::Accepted => true,
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Expiry {
        if self.end.is_some_and(|end| end <= now) {
            return match self.state {
                State::Completed => Expiry::TimedOut,
                State::Proceeding | State::Confirmed | State::Accepted => Expiry::Terminated,
            };
        }
        match &mut self.repeat {
            Some(repeat) if repeat.at <= now => {
                repeat.next(self.timing.t2());
                Expiry::Resend
            }
            _ => Expiry::Early,
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.repeat.map(|repeat| repeat.at), self.end)
    }

    /// Whether a final response is still to be sent, so that a CANCEL has an effect.
    pub(crate) fn is_pending(&self) -> bool {
        self.state == State::Proceeding
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

    /// Each word is fed a second after the one before: `INVITE`, `ACK` or a status to send.
    fn play(timing: Timing, words: &str) -> String {
        let (start, mut told) = (zero(), Vec::new());
        let mut machine = ServerInvite::new(timing);
        for (seconds, word) in (0..).zip(words.split_whitespace()) {
            let now = start + Duration::from_secs(seconds);
            let done = match word {
                "INVITE" => machine.handle_request(),
                "ACK" => machine.handle_ack(now),
                status => machine.handle_response(now, status.parse().unwrap()),
            };
            told.push(format!("{word}={}", if done { "yes" } else { "no" }));
        }
        told.push(follow(start, |fire| match fire.map(|at| machine.handle_timeout(at)) {
            None | Some(Expiry::Resend) => Ok(machine.poll_timeout()),
            Some(other) => Err(other),
        }));
        told.join(" ").trim_end().to_owned()
    }

    #[test]
    fn the_table_of_section_17_2_1_holds() {
        #[rustfmt::skip]
        let cases = [
            ("a provisional is sent again on each INVITE", UDP, "100 INVITE 180 INVITE",
             "100=yes INVITE=yes 180=yes INVITE=yes"),
            ("timer G doubles up to T2 until timer H", UDP, "486",
             "486=yes 500R 1500R 3500R 7500R 11500R 15500R 19500R 23500R 27500R 31500R 32000T"),
            ("a reliable refusal is not repeated", RELIABLE, "486", "486=yes 32000T"),
            ("the ACK stops it, timer I absorbs", UDP, "486 ACK", "486=yes ACK=no 6000X"),
            ("repetitions are absorbed then", UDP, "486 ACK ACK INVITE",
             "486=yes ACK=no ACK=no INVITE=no 6000X"),
            ("a refusal is sent again on an INVITE", UDP, "486 INVITE ACK",
             "486=yes INVITE=yes ACK=no 7000X"),
            ("an answer is the session's to repeat", UDP, "200 INVITE", "200=yes INVITE=no 32000X"),
            ("the ACK of an answer is the session's", UDP, "200 ACK", "200=yes ACK=yes 32000X"),
            ("there is one final response", UDP, "200 486", "200=yes 486=no 32000X"),
            ("and nothing after it", UDP, "486 180 200 ACK", "486=yes 180=no 200=no ACK=no 8000X"),
            ("an ACK before any final response is nobody's", UDP, "100 ACK", "100=yes ACK=no"),
        ];
        for (name, timing, words, want) in cases {
            assert_eq!(play(timing, words), want, "{name}");
        }
    }
}
