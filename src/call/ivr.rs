//! The calls that we answer ourselves: greet, listen, and give up after the silence.

use std::time::Instant;

use super::machine::Call;
use super::machine::LegState;
use super::machine::Phase;
use super::machine::Step;
use super::outcome::Outcome;
use super::voice::VoiceCommand;
use crate::campaign::Mode;
use crate::record::Disposition;
use crate::sip::Body;
use crate::sip::Headers;
use crate::suppression::Leg;

/// The content type of a session description (RFC 8866 section 8.2.1).
pub(super) const SDP: &str = "application/sdp";

impl Call {
    /// Answers the dialer with our own media.
    pub(super) fn answer_ivr(&mut self, step: &mut Step<'_>) {
        self.answer_a(step);
        if matches!(self.phase, Phase::Opening) {
            self.phase = Phase::Up;
        }
    }

    /// Sends the 200 on the dialer's leg, with an answer to its offer or, where it made none,
    /// with an offer of ours.
    pub(super) fn answer_a(&mut self, step: &mut Step<'_>) {
        let sdp = match &self.admitted.offer {
            Some(offer) => match offer.answer(&self.a.local) {
                Ok((negotiated, sdp)) => {
                    self.a.negotiated = Some(negotiated);
                    self.a.local = self.a.local.clone().keeping(&sdp);
                    sdp
                }
                Err(error) => return self.refuse_media(step, &error),
            },
            None => {
                self.a.offering = true;
                crate::sdp::offer(&self.a.local)
            }
        };
        let body = Body { content_type: SDP.to_owned(), bytes: sdp.into_bytes() };
        step.endpoint.answer(step.now, self.a.session, Headers::new(), Some(body));
        self.a.state = LegState::Answered;
        self.a.answered_at = Some(step.now);
        self.hang_up_at = step.now + self.call_max;
        tracing::debug!("answered");
        self.settle_voice(step, Leg::A);
    }

    fn refuse_media(&mut self, step: &mut Step<'_>, error: &crate::sdp::SdpError) {
        let (status, phrase) =
            if error.is_unsupported() { (488, "Not Acceptable Here") } else { (400, "Bad SDP") };
        step.endpoint.reject(step.now, self.a.session, status, phrase, Headers::new());
        self.a.state = LegState::Gone;
        self.a.ended_at = Some(step.now);
        self.sip_status = Some(status);
        self.disposition.get_or_insert(Disposition::Refused);
        self.end(step, &Outcome::Refused("media"));
    }

    /// Tells the media side where a leg's audio comes from and goes to.
    pub(super) fn settle_voice(&mut self, step: &mut Step<'_>, leg: Leg) {
        let Some(target) = self.leg(leg) else { return };
        let Some(negotiated) = target.negotiated.clone() else { return };
        let (signalling, answered) = (target.signalling, target.answered_at.is_some());
        self.tell_voice(step, VoiceCommand::Settle { leg, media: negotiated, signalling });
        if answered {
            self.tell_voice(step, VoiceCommand::Listen { leg });
            self.capture_audio(step, leg);
        }
    }

    /// The answer to an offer that a 200 of ours carried comes in the ACK (RFC 3264, RFC 3261
    /// section 14.2); it moves the media of `leg`. False when the call ended for lack of one.
    ///
    /// An ACK of a re-INVITE that brings none leaves the media as it was: peers that send an empty
    /// re-INVITE to refresh their session are known to forget it, nothing of theirs has changed,
    /// and hanging up would cost a person the call. An answer that is there and cannot be used
    /// (no audio, no codec of ours, unreadable) says that the peer now is somewhere where we are
    /// not, and ends the call, as RFC 3261 section 13.2.2.4 ends it for an offer.
    pub(super) fn accept_late_answer(
        &mut self,
        step: &mut Step<'_>,
        leg: Leg,
        body: Option<&[u8]>,
    ) -> bool {
        let Some(target) = self.leg_mut(leg).filter(|leg| leg.state != LegState::Gone) else {
            return false;
        };
        if !std::mem::take(&mut target.offering) {
            return true;
        }
        let was_heard = target.negotiated.is_some();
        match body.map(|body| crate::sdp::accept(&target.local, body)) {
            Some(Ok(negotiated)) => {
                target.negotiated = Some(negotiated);
                self.settle_voice(step, leg);
                true
            }
            None if was_heard => true,
            None | Some(Err(_)) => {
                let disposition =
                    if was_heard { Disposition::Answered } else { Disposition::Refused };
                self.disposition.get_or_insert(disposition);
                self.end(step, &Outcome::Ended("media"));
                false
            }
        }
    }

    /// Plays the campaign's greeting once more, or says nothing and waits.
    pub(super) fn greet(&mut self, step: &mut Step<'_>) {
        let greeting = self.admitted.campaign.greeting.clone();
        self.rounds += 1;
        if greeting.play.is_empty() {
            self.await_first_key(step.now);
        } else {
            self.play(step, &greeting.play);
        }
    }

    /// A prompt that was no confirmation came to its end.
    pub(super) fn prompt_ended(&mut self, step: &mut Step<'_>) {
        if self.asking {
            return; // The matcher waits for the confirming press.
        }
        match self.admitted.campaign.mode {
            Mode::Ivr if self.matcher.is_none() => self.fell_silent(step),
            Mode::Ivr => self.await_first_key(step.now),
            Mode::Bridge => self.tell_voice(step, VoiceCommand::Relay { on: true }),
        }
    }

    /// An IVR gives the person so long for the first key; a bridged call waits for ever.
    pub(super) fn await_first_key(&mut self, now: Instant) {
        if let (Mode::Ivr, Some(matcher)) = (self.admitted.campaign.mode, &mut self.matcher) {
            matcher.start(now);
        }
    }

    /// Nobody pressed anything: the greeting once more, or the end.
    pub(super) fn fell_silent(&mut self, step: &mut Step<'_>) {
        if !matches!((self.admitted.campaign.mode, &self.phase), (Mode::Ivr, Phase::Up)) {
            return;
        }
        let greeting = &self.admitted.campaign.greeting;
        if self.rounds < greeting.rounds && !greeting.play.is_empty() {
            return self.greet(step);
        }
        self.disposition.get_or_insert(Disposition::Answered);
        self.end(step, &Outcome::Ended("no-key"));
    }
}
