//! A request other than INVITE and ACK that we sent: RFC 3261 section 17.1.2.
//!
//! | state      | 1xx        | 200-699            | E          | F       | K    |
//! |------------|------------|--------------------|------------|---------|------|
//! | Trying     | Proceeding | deliver, Completed | resend     | timeout |      |
//! | Proceeding |            | deliver, Completed | resend, T2 | timeout |      |
//! | Completed  |            | absorb             |            |         | over |

use std::time::Instant;

use super::Expiry;
use super::Repeat;
use super::Timing;
use super::earlier;

/// The machine.
#[derive(Debug)]
pub(crate) struct ClientOther {
    timing: Timing,
    state: State,
    repeat: Option<Repeat>,
    /// Timer F or K.
    end: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

impl ClientOther {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant, timing: Timing) -> Self {
        Self {
            timing,
            state: State::Trying,
            repeat: Repeat::start(now, &timing),
            end: now + timing.patience(),
        }
    }

    /// A response of this status matched; true when it is the final one, seen first.
    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> bool {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 200..) => {
                (self.state, self.repeat) = (State::Completed, None);
                self.end = now + self.timing.timer_i_k();
                true
            }
            (State::Trying, _) => {
                self.state = State::Proceeding;
                false
            }
            (State::Proceeding | State::Completed, _) => false,
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Expiry {
        if self.end <= now {
            return match self.state {
                State::Trying | State::Proceeding => Expiry::TimedOut,
                State::Completed => Expiry::Terminated,
            };
        }
        match &mut self.repeat {
            Some(repeat) if repeat.at <= now => {
                if self.state == State::Proceeding {
                    *repeat = Repeat::every(repeat.at, self.timing.t2());
                } else {
                    repeat.next(self.timing.t2());
                }
                Expiry::Resend
            }
            _ => Expiry::Early,
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.repeat.map(|repeat| repeat.at), Some(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::RELIABLE;
    use super::super::schedule::UDP;
    use super::super::schedule::follow;
    use super::super::schedule::zero;
    use super::*;

    fn play(timing: Timing, statuses: &[u16]) -> String {
        let (start, mut told) = (zero(), Vec::new());
        let mut machine = ClientOther::new(start, timing);
        for &status in statuses {
            told.push(format!("{status}={}", machine.handle_response(start, status)));
        }
        told.push(follow(start, |fire| match fire.map(|at| machine.handle_timeout(at)) {
            None | Some(Expiry::Resend) => Ok(machine.poll_timeout()),
            Some(other) => Err(other),
        }));
        told.join(" ")
    }

    #[test]
    fn the_table_of_section_17_1_2_holds() {
        #[rustfmt::skip]
        let cases: [(&str, Timing, &[u16], &str); 6] = [
            ("timer E doubles up to T2 until timer F", UDP, &[],
             "500R 1500R 3500R 7500R 11500R 15500R 19500R 23500R 27500R 31500R 32000T"),
            ("a provisional makes E run at T2", UDP, &[100],
             "100=false 500R 4500R 8500R 12500R 16500R 20500R 24500R 28500R 32000T"),
            ("timer K absorbs after the final response", UDP, &[200], "200=true 5000X"),
            ("a repeated final response is not delivered", UDP, &[481, 481],
             "481=true 481=false 5000X"),
            ("a reliable transport neither repeats", RELIABLE, &[], "32000T"),
            ("nor lingers", RELIABLE, &[200], "200=true 0X"),
        ];
        for (name, timing, statuses, want) in cases {
            assert_eq!(play(timing, statuses), want, "{name}");
        }
    }
}
