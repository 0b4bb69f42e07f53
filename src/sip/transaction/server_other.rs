//! A request other than INVITE and ACK that came in: RFC 3261 section 17.2.2.
//!
//! | state      | request again | we send 1xx      | 200-699         | J         |
//! |------------|---------------|------------------|-----------------|-----------|
//! | Trying     | absorb        | send, Proceeding | send, Completed | abandoned |
//! | Proceeding | resend        | send             | send, Completed | abandoned |
//! | Completed  | resend        |                  |                 | over      |
//!
//! Timer J also runs before the final response: a client gives up 64*T1 after its request
//! (timer F), so what has not been answered by then need not be remembered.

use std::time::Instant;

use super::Expiry;
use super::Timing;

/// The machine.
#[derive(Debug)]
pub(crate) struct ServerOther {
    timing: Timing,
    state: State,
    end: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

impl ServerOther {
    /// The request has just come.
    pub(crate) fn new(now: Instant, timing: Timing) -> Self {
        Self { timing, state: State::Trying, end: now + timing.patience() }
    }

    /// The same request came again; true when the last response is to be sent again.
    pub(crate) fn handle_request(&self) -> bool {
        self.state != State::Trying
    }

    /// We want to send a response of this status; true when it may go out.
    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> bool {
        match (self.state, status) {
            (State::Completed, _) => return false,
            (State::Trying | State::Proceeding, ..=199) => self.state = State::Proceeding,
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                self.end = now + self.timing.timer_j();
            }
        }
        true
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&self, now: Instant) -> Expiry {
        match self.state {
            _ if now < self.end => Expiry::Early,
            State::Trying | State::Proceeding => Expiry::TimedOut,
            State::Completed => Expiry::Terminated,
        }
    }

    /// When something is due.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        Some(self.end)
    }

    /// Whether a final response is still to be sent.
    pub(crate) fn is_pending(&self) -> bool {
        self.state != State::Completed
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

    /// Each word is fed a second after the one before: `again` or a status to send.
    fn play(timing: Timing, words: &str) -> String {
        let (start, mut told) = (zero(), Vec::new());
        let mut machine = ServerOther::new(start, timing);
        for (seconds, word) in (0..).zip(words.split_whitespace()) {
            let now = start + Duration::from_secs(seconds);
            let done = match word {
                "again" => machine.handle_request(),
                status => machine.handle_response(now, status.parse().unwrap()),
            };
            told.push(format!("{word}={}", if done { "yes" } else { "no" }));
        }
        told.push(follow(start, |fire| match fire.map(|at| machine.handle_timeout(at)) {
            None | Some(Expiry::Resend) => Ok(machine.poll_timeout()),
            Some(other) => Err(other),
        }));
        told.join(" ")
    }

    #[test]
    fn the_table_of_section_17_2_2_holds() {
        #[rustfmt::skip]
        let cases = [
            ("a repetition before any response is absorbed", UDP, "again 200 again",
             "again=no 200=yes again=yes 33000X"),
            ("a provisional is repeated too", UDP, "100 again 200", "100=yes again=yes 200=yes 34000X"),
            ("there is one final response", UDP, "200 500", "200=yes 500=no 32000X"),
            ("a request that nobody answers is forgotten", UDP, "again", "again=no 32000T"),
            ("a reliable transport brings no repetitions", RELIABLE, "200", "200=yes 0X"),
        ];
        for (name, timing, words, want) in cases {
            assert_eq!(play(timing, words), want, "{name}");
        }
    }
}
