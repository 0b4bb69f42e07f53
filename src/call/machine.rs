//! One call, both legs of it, from admission to its record.
//!
//! ```text
//!            ports        200/ACK or carrier's 200        a code          durable
//!  Opening --------> Ringing ----------------------> Up ---------> Committing -------> Confirming
//!     |                 |                             |                |                   |
//!     +--- refused -----+------ hang-up, limits ------+------ then lingers, then done -----+
//! ```
//!
//! A leg that hung up is `Gone`, while the call lives on: packets on their way still count for
//! [`Limits::linger`](super::rules::Limits), a record may still be on its way to the disk, and the
//! person may still be listening to the confirmation after the dialer left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::audio::Audio;
use super::gate::Admitted;
use super::outcome::Outcome;
use super::output::Output;
use super::rules::Trunk;
use super::voice::VoiceCommand;
use super::voice::VoiceId;
use super::voice::VoiceReport;
use crate::campaign::Mode;
use crate::campaign::Then;
use crate::dtmf::KeyPress;
use crate::menu::CodeId;
use crate::menu::Matcher;
use crate::model::CallId;
use crate::model::Digits;
use crate::model::UnixMicros;
use crate::model::time::WallAnchor;
use crate::model::token::TokenSource;
use crate::record::Disposition;
use crate::sdp::LocalMedia;
use crate::sdp::Negotiated;
use crate::sip::Endpoint;
use crate::sip::SessionId;
use crate::suppression::Durable;
use crate::suppression::Index;
use crate::suppression::Leg;
use crate::suppression::Origin;

/// Most keys whose evidence a call keeps for its record; older ones make room.
const EVIDENCE_KEYS_MAX: usize = 32;

/// Where a leg is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// No final answer yet.
    Early,
    /// 200 sent by us, its ACK still out.
    Answered,
    /// Both sides know that the call is up.
    Up,
    /// Hung up, refused or never there.
    Gone,
}

/// One leg: its SIP session and what was negotiated on it.
#[derive(Debug)]
pub(super) struct CallLeg {
    pub(super) session: SessionId,
    pub(super) state: LegState,
    pub(super) local: LocalMedia,
    pub(super) negotiated: Option<Negotiated>,
    /// Our last 200 made an offer: its ACK brings the answer.
    pub(super) offering: bool,
    /// The answer that this leg's INVITE was given, which no later response may contradict
    /// (RFC 3261 section 13.2.1).
    pub(super) answer: Option<String>,
    pub(super) signalling: std::net::IpAddr,
    pub(super) sip_call_id: String,
    pub(super) answered_at: Option<Instant>,
    pub(super) ended_at: Option<Instant>,
}

/// Where a call's media is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Its ports were asked for.
    Unopened,
    /// It runs.
    Open,
    /// It was told to close, and has yet to report.
    Closing,
    /// It has reported.
    Closed,
}

/// Where the call is; see the drawing above.
#[derive(Debug)]
pub(super) enum Phase {
    /// Waits for its RTP ports.
    Opening,
    /// The carrier was asked; the person's phone may ring.
    Ringing,
    /// Up, and listening for a code.
    Up,
    /// A code was pressed; the record is on its way to the disk.
    Committing(Pending),
    /// The record is durable (or could not be made so), and the person is being told.
    Confirming(Told),
    /// Nothing more will be said; late packets and the disk are waited for.
    Ending,
}

/// An opt-out between the match and its durability.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) token: u64,
    pub(super) code: CodeId,
    pub(super) digits: Digits,
    pub(super) origin: Origin,
    /// The number already stood on every list of the code, durably.
    pub(super) already: bool,
    /// When the person has waited long enough for the fallback prompt.
    pub(super) patience_until: Instant,
}

/// A confirmation (or its fallback) that is being played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) code: CodeId,
    pub(super) durable: Option<Durable>,
}

/// The outside of one call's step: the other machines it speaks to, and the moment.
pub(super) struct Step<'a> {
    pub(super) now: Instant,
    pub(super) wall: WallAnchor,
    pub(super) endpoint: &'a mut Endpoint,
    pub(super) index: &'a Index,
    pub(super) tokens: &'a mut TokenSource,
    pub(super) out: &'a mut VecDeque<Output>,
}

impl Step<'_> {
    pub(super) fn wall_now(&self) -> UnixMicros {
        self.wall.wall_at(self.now)
    }
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    /// Everything that is logged of this call stands in it; the number is redacted there.
    pub(super) span: tracing::Span,
    pub(super) voice: VoiceId,
    /// Longest call, from the answer.
    pub(super) call_max: Duration,
    pub(super) admitted: Admitted,
    pub(super) trunk: Option<Arc<Trunk>>,
    pub(super) a: CallLeg,
    pub(super) b: Option<CallLeg>,
    pub(super) phase: Phase,
    pub(super) matcher: Option<Matcher>,
    /// The matcher waits for the confirming press.
    pub(super) asking: bool,
    /// Keys that came before both sides knew that the call was up.
    pub(super) early_keys: VecDeque<KeyPress>,
    /// Keys heard, newest last, as evidence.
    pub(super) evidence: VecDeque<KeyPress>,
    /// The audio around presses, on its way into evidence.
    pub(super) audio: Audio,
    /// Token of the prompt that is playing on the person's leg.
    pub(super) playing: Option<u64>,
    /// How often the greeting has been played.
    pub(super) rounds: u32,
    pub(super) keys_count: u32,
    /// Tokens of the facts handed to the ledger whose answer is still out.
    pub(super) unacknowledged: Vec<u64>,
    /// The token and code of an opt-out whose answer was waited for in vain.
    pub(super) given_up: Option<Pending>,
    /// The call ends on the opt-out that was made: what is pressed from now on adds nothing.
    pub(super) heeded: bool,
    /// The engine is going down.
    pub(super) leaving: bool,
    /// Keys of a further code, pressed while one was being recorded and told.
    pub(super) held_keys: usize,
    pub(super) started_at: Instant,
    pub(super) hang_up_at: Instant,
    /// The table finds this call by its numbers, as one that rings.
    pub(super) noted_ringing: bool,
    /// The deadline under which the table holds this call.
    pub(super) armed_at: Option<Instant>,
    pub(super) linger_until: Option<Instant>,
    /// When a ledger that does not answer holds the call's record no longer.
    pub(super) ledger_until: Option<Instant>,
    pub(super) disposition: Option<Disposition>,
    pub(super) outcome: Option<Outcome>,
    pub(super) sip_status: Option<u16>,
    pub(super) sip_reason: Option<String>,
    pub(super) media: Media,
    pub(super) report: Option<VoiceReport>,
}

impl Call {
    /// The leg on which the person is.
    pub(super) fn person(&self) -> Leg {
        self.admitted.person
    }

    /// The header under which this call's dialer is told the outcome.
    pub(super) fn outcome_header(&self) -> &str {
        &self.admitted.dialer.outcome_header
    }

    pub(super) fn leg(&self, leg: Leg) -> Option<&CallLeg> {
        match leg {
            Leg::A => Some(&self.a),
            Leg::B => self.b.as_ref(),
        }
    }

    pub(super) fn leg_mut(&mut self, leg: Leg) -> Option<&mut CallLeg> {
        match leg {
            Leg::A => Some(&mut self.a),
            Leg::B => self.b.as_mut(),
        }
    }

    /// Whether the carrier was asked and has not answered.
    pub(super) fn is_ringing(&self) -> bool {
        matches!(self.phase, Phase::Ringing)
            && self.b.as_ref().is_some_and(|b| b.state == LegState::Early)
    }

    /// Whether `leg` was answered and not hung up.
    pub(super) fn is_up(&self, leg: Leg) -> bool {
        self.leg(leg).is_some_and(|leg| matches!(leg.state, LegState::Answered | LegState::Up))
    }

    pub(super) fn person_is_up(&self) -> bool {
        self.is_up(self.person())
    }

    /// Whether a code that is pressed now makes an opt-out.
    pub(super) fn is_listening(&self) -> bool {
        match self.phase {
            Phase::Up => true,
            Phase::Ending => !self.heeded,
            _ => false,
        }
    }

    /// Whether an opt-out is being made behind which the call goes on: a further code is heard
    /// meanwhile, and waits.
    pub(super) fn is_held(&self) -> bool {
        let code = match self.phase {
            Phase::Committing(pending) => pending.code,
            Phase::Confirming(told) => told.code,
            _ => return false,
        };
        !self.heeded && self.code(code).is_some_and(|code| code.then == Then::Continue)
    }

    pub(super) fn tell_voice(&self, step: &mut Step<'_>, command: VoiceCommand) {
        if self.media == Media::Open {
            step.out.push_back(Output::Voice { voice: self.voice, command });
        }
    }

    /// The ACK of our 200, or of one to a re-INVITE, came: both sides know that the call is up.
    pub(super) fn acknowledged(&mut self, step: &mut Step<'_>, leg: Leg, body: Option<&[u8]>) {
        let is_first = self.leg(leg).is_some_and(|leg| leg.state == LegState::Answered);
        self.confirm_up(leg);
        if !self.accept_late_answer(step, leg, body) {
            return;
        }
        if leg == self.person() {
            self.take_early_keys(step);
        }
        // The ACK of a re-INVITE is no new beginning.
        let is_ivr = matches!(self.admitted.campaign.mode, Mode::Ivr);
        if is_first && is_ivr && matches!(self.phase, Phase::Up) {
            self.greet(step);
        }
    }

    /// The peer of `leg` has shown that it has our 200.
    pub(super) fn confirm_up(&mut self, leg: Leg) {
        if let Some(leg) = self.leg_mut(leg)
            && leg.state == LegState::Answered
        {
            leg.state = LegState::Up;
        }
    }

    /// A key of the person counts from the moment at which both sides know that the call is up;
    /// one that came between our 200 and its ACK waits for that.
    pub(super) fn take_early_keys(&mut self, step: &mut Step<'_>) {
        while let Some(press) = self.early_keys.pop_front() {
            self.key(step, self.person(), press);
        }
    }

    /// A key was heard on `leg`.
    pub(super) fn key(&mut self, step: &mut Step<'_>, leg: Leg, press: KeyPress) {
        if leg != self.person() {
            return; // The dialer's keys steer its own machines; they opt nobody out.
        }
        if self.leg(leg).is_some_and(|leg| leg.state == LegState::Answered) {
            if self.early_keys.len() < Digits::LEN_MAX {
                self.early_keys.push_back(press);
            }
            return;
        }
        self.keys_count += 1;
        if self.evidence.len() == EVIDENCE_KEYS_MAX {
            self.evidence.pop_front();
        }
        self.evidence.push_back(press);
        if self.is_held() && self.held_keys < Digits::LEN_MAX {
            self.held_keys += 1; // A further code; it is acted on when this one is told.
        } else if !self.is_listening() {
            return; // The opt-out is already being made; a further press adds nothing to it.
        } else if self.playing.is_some()
            && self.matcher.is_some()
            && matches!(self.admitted.campaign.mode, Mode::Ivr)
        {
            self.stop_playing(step);
        }
        if let Some(matcher) = &mut self.matcher {
            matcher.handle_digit(step.now, press.digit);
        }
        self.take_verdicts(step);
    }
}
