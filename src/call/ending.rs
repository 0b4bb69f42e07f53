//! How a call ends: who hung up, what was typed by then, and what is still waited for.
//!
//! ```text
//! a leg hangs up ---> keys on their way (linger) ---> media closes ---> the disk answers ---> done
//! ```

use std::time::Duration;
use std::time::Instant;

use super::machine::Call;
use super::machine::LegState;
use super::machine::Media;
use super::machine::Phase;
use super::machine::Step;
use super::outcome::Outcome;
use super::outcome::clearing_headers;
use super::voice::VoiceCommand;
use crate::menu::Matcher;
use crate::record::Disposition;
use crate::suppression::Leg;

/// How long after its end a call waits for a ledger that does not answer, before its record is
/// written and its place is free. Our choice: far beyond any disk that still works, so that a disk
/// that hangs fills the engine with its dead calls slowly, if at all.
const LEDGER_WAIT_MAX: Duration = Duration::from_secs(60);

impl Call {
    /// One side hung up.
    pub(super) fn hung_up(&mut self, step: &mut Step<'_>, leg: Leg) {
        if leg == self.person() {
            // Who hangs up within the dialog had our 200, whatever became of its ACK.
            self.confirm_up(leg);
            self.take_early_keys(step);
            self.person_left(step, Disposition::Answered, "hung-up");
            return;
        }
        self.leg_gone(step, leg);
        self.dialer_left(step, Disposition::Answered, "hung-up");
    }

    /// The dialer is gone. Where the person is still there, a code that was typed counts now, and
    /// an opt-out under way is told to the end.
    fn dialer_left(&mut self, step: &mut Step<'_>, disposition: Disposition, why: &'static str) {
        if self.person_is_up() {
            self.settle_typed(step);
        }
        if !self.person_is_up() || matches!(self.phase, Phase::Up | Phase::Ringing) {
            self.disposition.get_or_insert(disposition);
            self.end(step, &Outcome::Ended(why));
        }
    }

    /// The person is gone. While it is open whether this was an opt-out, the dialer is not told
    /// that the call has ended, so that it books the right outcome.
    fn person_left(&mut self, step: &mut Step<'_>, disposition: Disposition, why: &'static str) {
        self.leg_gone(step, self.person());
        self.disposition.get_or_insert(disposition);
        let is_typing = self.matcher.as_ref().is_some_and(Matcher::is_waiting);
        if matches!(self.phase, Phase::Committing(_)) {
            self.linger(step);
        } else if matches!(self.phase, Phase::Up) && is_typing {
            self.linger(step);
            self.stop_playing(step);
            self.tell_voice(step, VoiceCommand::Relay { on: false });
            self.phase = Phase::Ending;
        } else {
            self.end(step, &Outcome::Ended(why));
        }
    }

    /// Our BYE was answered (the leg is gone already), the ACK of our 200 never came, or the peer
    /// has lost the call.
    pub(super) fn session_ended(&mut self, step: &mut Step<'_>, leg: Leg) {
        let was_up = self.is_up(leg);
        self.leg_gone(step, leg);
        if was_up && leg == self.person() {
            self.person_left(step, Disposition::Failed, "no-ack");
        } else if was_up {
            self.dialer_left(step, Disposition::Failed, "no-ack");
        }
    }

    /// A hang-up ends the gap between keys: the longest complete code counts.
    pub(super) fn settle_typed(&mut self, step: &mut Step<'_>) {
        if let Some(matcher) = &mut self.matcher {
            matcher.handle_hangup(step.now);
        }
        self.take_verdicts(step);
    }

    /// The session behind `leg` is over.
    pub(super) fn leg_gone(&mut self, step: &Step<'_>, leg: Leg) {
        if let Some(leg) = self.leg_mut(leg) {
            leg.state = LegState::Gone;
            leg.ended_at.get_or_insert(step.now);
        }
    }

    /// Hangs up what is still up and lets late packets come in.
    pub(super) fn end(&mut self, step: &mut Step<'_>, outcome: &Outcome) {
        self.hang_up_legs(step, outcome);
        self.tell_voice(step, VoiceCommand::Relay { on: false });
        self.linger(step);
        match self.phase {
            Phase::Committing(_) => {}
            // The media will say how much of the confirmation was heard.
            Phase::Confirming(_) if self.playing.is_some() => {
                let leg = self.person();
                self.tell_voice(step, VoiceCommand::StopPlaying { leg });
            }
            _ => {
                self.stop_playing(step);
                self.phase = Phase::Ending;
            }
        }
    }

    fn linger(&mut self, step: &Step<'_>) {
        let linger_until = step.now + self.admitted.rules.limits.linger;
        self.linger_until.get_or_insert(linger_until);
    }

    fn hang_up_legs(&mut self, step: &mut Step<'_>, outcome: &Outcome) {
        let outcome = self.outcome.get_or_insert_with(|| outcome.clone()).clone();
        self.hang_up(step, Leg::A, &outcome);
        self.hang_up(step, Leg::B, &outcome);
    }

    /// BYE, CANCEL or a refusal, whatever ends this leg where it is. Only the leg that came to us
    /// is told the outcome; the other one is the carrier's, whoever the person is.
    pub(super) fn hang_up(&mut self, step: &mut Step<'_>, leg: Leg, outcome: &Outcome) {
        let headers = match leg {
            Leg::A => outcome.bye_headers(self.outcome_header()),
            Leg::B => clearing_headers(),
        };
        let Some(target) = self.leg_mut(leg) else { return };
        if target.state == LegState::Gone {
            return;
        }
        let session = target.session;
        target.state = LegState::Gone;
        target.ended_at.get_or_insert(step.now);
        step.endpoint.bye(step.now, session, headers);
    }

    /// The next moment at which the call has something to do by itself.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let patience = match &self.phase {
            Phase::Committing(pending) => Some(pending.patience_until),
            _ => None,
        };
        let limit = self.is_limited().then_some(self.hang_up_at);
        let gap = self.matcher.as_ref().and_then(Matcher::poll_timeout);
        let ledger = self.ledger_until.filter(|_| !self.unacknowledged.is_empty());
        [patience, limit, gap, self.linger_until, ledger].into_iter().flatten().min()
    }

    /// Whether the longest call's end would end anything: some leg is there, and no opt-out is on
    /// its way to the disk, which is waited for.
    fn is_limited(&self) -> bool {
        !self.is_gone() && !matches!(self.phase, Phase::Committing(_))
    }

    /// Whether no leg is there any more.
    fn is_gone(&self) -> bool {
        [Leg::A, Leg::B]
            .into_iter()
            .all(|leg| self.leg(leg).is_none_or(|leg| leg.state == LegState::Gone))
    }

    /// Does what is due at `step.now`.
    pub(super) fn handle_timeout(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(matcher) = &mut self.matcher {
            matcher.handle_timeout(now);
        }
        self.take_verdicts(step);
        if self.is_limited() && self.hang_up_at <= now {
            self.disposition.get_or_insert(Disposition::Answered);
            self.end(step, &Outcome::Ended("call-max"));
        }
        self.lose_patience(step);
        if is_due(self.linger_until) {
            self.linger_until = None;
            self.settle_typed(step);
            if matches!(self.phase, Phase::Ending) {
                // The person left while something was typed, and it was no code.
                self.hang_up_legs(step, &Outcome::Ended("hung-up"));
            }
            self.close_voice(step);
            let commit_max = self.admitted.rules.limits.commit_max;
            self.ledger_until = Some(now + LEDGER_WAIT_MAX.max(commit_max * 2));
        }
        if is_due(self.ledger_until) {
            self.ledger_until = None;
        }
    }

    /// Tells the media to close, once.
    pub(super) fn close_voice(&mut self, step: &mut Step<'_>) {
        if self.media == Media::Open {
            self.tell_voice(step, VoiceCommand::Close);
            self.media = Media::Closing;
        }
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_done(&self) -> bool {
        let is_told = self.unacknowledged.is_empty() || self.ledger_until.is_none();
        self.is_gone()
            && matches!(self.media, Media::Unopened | Media::Closed)
            && self.linger_until.is_none()
            && is_told
    }
}
