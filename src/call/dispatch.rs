//! What reaches a call from outside, sorted to the step that answers it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::gate::Admitted;
use super::machine::Call;
use super::machine::CallLeg;
use super::machine::LegState;
use super::machine::Media;
use super::machine::Phase;
use super::machine::Step;
use super::outcome::Outcome;
use super::output::Measure;
use super::output::Output;
use super::rules::Trunk;
use super::voice::OpenedVoice;
use super::voice::VoiceCommand;
use super::voice::VoiceEvent;
use super::voice::VoiceId;
use crate::campaign::Mode;
use crate::dtmf::info::InfoError;
use crate::dtmf::read_info;
use crate::model::CallId;
use crate::record::Disposition;
use crate::sdp::LocalMedia;
use crate::sip::Body;
use crate::sip::Event;
use crate::sip::Headers;
use crate::sip::OwnedMessage;
use crate::sip::SessionId;
use crate::sip::TransactionId;
use crate::suppression::Leg;

impl Call {
    /// A call that was admitted and now waits for its RTP ports.
    pub(super) fn new(
        now: Instant,
        id: CallId,
        voice: VoiceId,
        session: SessionId,
        source: SocketAddr,
        admitted: Admitted,
        trunk: Option<Arc<Trunk>>,
    ) -> Self {
        let call_max = admitted.campaign.call_max.min(admitted.rules.limits.call_max);
        let matcher = admitted.rules.matcher(&admitted.campaign.name);
        let a = CallLeg {
            session,
            state: LegState::Early,
            local: LocalMedia::new(SocketAddr::new(source.ip(), 0), 0),
            negotiated: None,
            offering: false,
            answer: None,
            signalling: source.ip(),
            sip_call_id: admitted.sip_call_id.clone(),
            answered_at: None,
            ended_at: None,
        };
        let span = tracing::info_span!(
            "call", call = %id, dialer = %admitted.dialer.name,
            campaign = %admitted.campaign.name, number = %admitted.number
        );
        Self {
            id,
            span,
            call_max,
            voice,
            trunk,
            a,
            b: None,
            phase: Phase::Opening,
            matcher,
            asking: false,
            early_keys: std::collections::VecDeque::new(),
            evidence: std::collections::VecDeque::new(),
            audio: Default::default(),
            playing: None,
            rounds: 0,
            keys_count: 0,
            unacknowledged: Vec::new(),
            given_up: None,
            heeded: false,
            leaving: false,
            held_keys: 0,
            started_at: now,
            // Set anew at the answer, from which the longest call counts.
            hang_up_at: now + call_max + admitted.campaign.ring_max,
            noted_ringing: false,
            armed_at: None,
            linger_until: None,
            ledger_until: None,
            disposition: None,
            outcome: None,
            sip_status: None,
            sip_reason: None,
            media: Media::Unopened,
            report: None,
            admitted,
        }
    }

    /// The ports are open: answer, or ask the carrier.
    pub(super) fn voice_opened(&mut self, step: &mut Step<'_>, opened: Option<OpenedVoice>) {
        let Some(opened) = opened else {
            return self.refuse_a(step, 503, "No Media Ports", "ports", Disposition::Refused);
        };
        self.media = Media::Open;
        if self.a.state == LegState::Gone {
            return self.close_voice(step); // Cancelled while the ports were opened.
        }
        let [a, b] =
            opened.addresses.map(|address| LocalMedia::new(address, step.tokens.next_u64() >> 2));
        self.a.local = a;
        match self.admitted.campaign.mode {
            Mode::Ivr => self.answer_ivr(step),
            Mode::Bridge => self.dial_trunk(step, b),
        }
    }

    /// The media side has something to say.
    pub(super) fn voice_event(&mut self, step: &mut Step<'_>, event: VoiceEvent) {
        match event {
            VoiceEvent::Key { leg, press } => self.key(step, leg, press),
            VoiceEvent::Kept { leg, clip } => self.audio_kept(step, leg, clip),
            VoiceEvent::Played { leg, played } => self.played(step, leg, &played),
            VoiceEvent::Silent { leg } => self.media_timeout(step, leg),
            VoiceEvent::Closed { report } => {
                let is_asked_for = self.media == Media::Closing;
                self.report = Some(report);
                self.media = Media::Closed;
                self.audio_lost(step);
                self.confirmation_lost(step);
                if !is_asked_for {
                    self.disposition.get_or_insert(Disposition::Failed);
                    self.end(step, &Outcome::Ended("media-lost"));
                }
            }
        }
    }

    fn media_timeout(&mut self, step: &mut Step<'_>, leg: Leg) {
        if self.is_up(leg) && matches!(self.phase, Phase::Up) {
            self.disposition.get_or_insert(Disposition::Answered);
            self.end(step, &Outcome::Ended("media-timeout"));
        }
    }

    /// The engine is going down, or was told to end this call.
    pub(super) fn hang_up_by_us(&mut self, step: &mut Step<'_>) {
        self.settle_typed(step);
        self.leaving = true; // No code lets the call go on from here.
        if matches!(self.phase, Phase::Opening | Phase::Ringing | Phase::Up) {
            self.disposition.get_or_insert(Disposition::Answered);
            self.end(step, &Outcome::Ended("shutdown"));
        }
    }

    /// The engine stops at once, and nobody will be there for what is still awaited: every leg is
    /// hung up now. An opt-out whose record has not come back is told as one that is not recorded.
    pub(super) fn leave_now(&mut self, step: &mut Step<'_>) {
        self.hang_up_by_us(step);
        if let Phase::Committing(pending) = self.phase {
            self.heeded = true;
            self.given_up = Some(pending);
            self.disposition = Some(Disposition::NotRecorded);
            self.outcome = Some(Outcome::NotRecorded { digits: pending.digits });
            self.phase = Phase::Ending;
            step.out.push_back(Output::Measure(Measure::NotRecorded));
        }
        self.end(step, &Outcome::Ended("shutdown"));
    }

    /// The SIP session of `leg` has something to say.
    pub(super) fn sip_event(&mut self, step: &mut Step<'_>, leg: Leg, event: Event) {
        match event {
            Event::Invited { .. } => {} // The table begins calls; this session has begun.
            Event::Cancelled { .. } => self.cancelled(step),
            Event::Acknowledged { body, .. } => self.acknowledged(step, leg, body.as_deref()),
            Event::Progress { response, .. } => self.progress(step, &response),
            Event::Answered { response, .. } => self.answered(step, &response),
            Event::Refused { status, response, .. } => {
                self.refused(step, status, response.as_ref())
            }
            Event::Info { transaction, request, .. } => self.info(step, leg, transaction, &request),
            Event::LateInfo { request, .. } => {
                // It was answered already, and there is nobody to pass it on to.
                self.hear_info(step, leg, &request);
            }
            Event::Reoffered { transaction, request, .. } => {
                self.reoffered(step, leg, transaction, &request);
            }
            Event::HungUp { .. } => self.hung_up(step, leg),
            Event::Ended { .. } => self.session_ended(step, leg),
        }
    }

    fn cancelled(&mut self, step: &mut Step<'_>) {
        self.leg_gone(step, Leg::A);
        self.sip_status.get_or_insert(487);
        self.disposition.get_or_insert(Disposition::Cancelled);
        self.end(step, &Outcome::Ended("cancelled"));
    }

    /// A key, or something else, by INFO; the other leg is told either way.
    fn info(
        &self,
        step: &mut Step<'_>,
        leg: Leg,
        transaction: TransactionId,
        request: &OwnedMessage,
    ) {
        let status = self.hear_info(step, leg, request);
        if status == 200 {
            self.pass_info(step, leg, request);
        }
        step.endpoint.respond(step.now, transaction, status, Headers::new(), None);
    }

    /// The key in an INFO joins those heard in the media, so that one press by two methods stays
    /// one key. Returns the status that such an INFO gets.
    fn hear_info(&self, step: &mut Step<'_>, leg: Leg, request: &OwnedMessage) -> u16 {
        let message = request.view();
        let content_type = message.header(crate::sip::HeaderName::ContentType).unwrap_or_default();
        match read_info(content_type, message.body()) {
            Ok(key) => {
                let (digit, duration_ms) = (key.digit, key.duration_ms);
                self.tell_voice(step, VoiceCommand::Info { leg, digit, duration_ms });
                200
            }
            Err(InfoError::ContentType) => 415,
            Err(_) => 400,
        }
    }

    fn pass_info(&self, step: &mut Step<'_>, from: Leg, request: &OwnedMessage) {
        let other = from.other();
        if let Some(target) = self.leg(other)
            && target.state == LegState::Up
        {
            let message = request.view();
            let content_type =
                message.header(crate::sip::HeaderName::ContentType).unwrap_or_default();
            let content_type = String::from_utf8_lossy(content_type).into_owned();
            let body = Body { content_type, bytes: message.body().to_vec() };
            step.endpoint.info(step.now, target.session, body);
        }
    }
}
