//! What happens at a match: silence, the index, the disk, and only then a word to the person.
//!
//! ```text
//!  key matched   index refuses        ledger has it durable        prompt ends
//!      |---- same instant ----|------- about a millisecond -------|------------|
//!      audio stops both ways        BYE to the dialer's leg        BYE to the person
//!                                   confirmation starts
//! ```

use super::gate::Admitted;
use super::machine::Call;
use super::machine::LegState;
use super::machine::Pending;
use super::machine::Phase;
use super::machine::Step;
use super::machine::Told;
use super::outcome::Outcome;
use super::output::Measure;
use super::output::Output;
use super::voice::Played;
use super::voice::VoiceCommand;
use crate::campaign::Mode;
use crate::campaign::OnUnconfirmed;
use crate::campaign::PromptName;
use crate::campaign::ResponseCode;
use crate::campaign::Then;
use crate::dtmf::KeyPress;
use crate::dtmf::Method;
use crate::menu::CodeId;
use crate::menu::Verdict;
use crate::model::Digits;
use crate::model::ListName;
use crate::model::RecordId;
use crate::record::Disposition;
use crate::suppression::Confirmation;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::KeyEvidence;
use crate::suppression::KeyMethod;
use crate::suppression::Leg;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Outcome as Telling;

/// What the ledger said of an opt-out.
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    /// The token that came with the submission.
    pub token: u64,
    /// The durable record, or nothing where it could not be made durable.
    pub durable: Option<Durable>,
}

impl Call {
    /// Acts on everything that the matcher has decided.
    pub(super) fn take_verdicts(&mut self, step: &mut Step<'_>) {
        while !self.is_held()
            && let Some(verdict) = self.matcher.as_mut().and_then(|matcher| matcher.poll())
        {
            if !self.is_listening() {
                continue; // An opt-out is already being made.
            }
            self.asking = matches!(verdict, Verdict::Ask { .. });
            match verdict {
                Verdict::Match { code, digits, .. } => {
                    self.opt_out(step, code, digits, Origin::DialledCode);
                }
                Verdict::Unconfirmed { code, digits } => self.unconfirmed(step, code, digits),
                Verdict::Ask { code } => self.ask(step, code),
                Verdict::Silence => self.fell_silent(step),
                Verdict::Reject { .. } => self.rejected(step),
            }
        }
    }

    /// The confirming press never came: the wish was made all the same, unless the campaign says
    /// otherwise.
    fn unconfirmed(&mut self, step: &mut Step<'_>, code: CodeId, digits: Digits) {
        match self.admitted.campaign.on_unconfirmed {
            OnUnconfirmed::Block => self.opt_out(step, code, digits, Origin::DialledUnconfirmed),
            OnUnconfirmed::Ignore => self.resume(step),
        }
    }

    /// Keys that are no code: an IVR waits for the next ones.
    fn rejected(&mut self, step: &mut Step<'_>) {
        step.out.push_back(Output::Measure(Measure::WrongCode));
        self.await_first_key(step.now);
    }

    /// Asks the person to press the code once more.
    fn ask(&mut self, step: &mut Step<'_>, code: CodeId) {
        let Some(ask) = self.code(code).map(|code| code.prompts.ask.clone()) else { return };
        self.tell_voice(step, VoiceCommand::Relay { on: false });
        self.play(step, &[ask]);
    }

    pub(super) fn code(&self, code: CodeId) -> Option<&ResponseCode> {
        self.admitted.campaign.codes.get(usize::from(code.0))
    }

    /// The code was pressed: from this instant the number is refused, and the disk is asked.
    fn opt_out(&mut self, step: &mut Step<'_>, code: CodeId, digits: Digits, origin: Origin) {
        let Some(lists) = self.code(code).map(|code| code.add_to.clone()) else { return };
        let already = self.block(step, &lists);
        self.tell_voice(step, VoiceCommand::Relay { on: false });
        self.stop_playing(step);
        let token = step.tokens.next_u64() >> 1;
        let opt_out = self.describe(step, code, lists, digits, origin);
        step.out
            .push_back(Output::Submit { token, fact: Box::new(Fact::OptOut(Box::new(opt_out))) });
        self.unacknowledged.push(token);
        self.want_audio(step, token);
        let patience_until = step.now + self.admitted.rules.limits.commit_max;
        self.phase =
            Phase::Committing(Pending { token, code, digits, origin, already, patience_until });
    }

    /// Refuses the number from now on; whether it stood on all of `lists` durably before.
    fn block(&self, step: &Step<'_>, lists: &[ListName]) -> bool {
        let Admitted { number, campaign, .. } = &self.admitted;
        let already = step.index.block(*number, lists, &campaign.account, &campaign.name);
        // The configuration check has given every list of a code its place.
        already.unwrap_or_default()
    }

    /// Names the durable record behind the refusal.
    fn settle(&self, step: &Step<'_>, code: CodeId, record: RecordId) {
        let Admitted { number, campaign, .. } = &self.admitted;
        if let Some(code) = self.code(code) {
            let (account, name) = (&campaign.account, &campaign.name);
            // As above; the number stays refused without the record's name, too.
            let _ = step.index.settle(*number, &code.add_to, Some(account), Some(name), record);
            // Of this call's own configuration, which may be one from before a reload.
            if let Some(topic) = &campaign.topic {
                step.index.note_topic(*number, record, topic);
            }
        }
    }

    fn describe(
        &self,
        step: &Step<'_>,
        code: CodeId,
        lists: Vec<ListName>,
        digits: Digits,
        origin: Origin,
    ) -> OptOut {
        let person = self.person();
        let last = self.evidence.back();
        let pressed_at =
            last.map_or_else(|| step.wall_now(), |press| step.wall.wall_at(press.pressed_at));
        let prompt = self.prompt_sha256(code);
        OptOut {
            number: self.admitted.number,
            lists,
            account: Some(self.admitted.campaign.account.clone()),
            campaign: Some(self.admitted.campaign.name.clone()),
            topic: self.admitted.campaign.topic.clone(),
            dialer: Some(self.admitted.dialer.name.clone()),
            trunk: self.trunk.as_ref().map(|trunk| trunk.name.clone()),
            digits,
            method: last.map(|press| key_method(press.method)),
            origin,
            sip_call_id: self.leg(person).map(|leg| leg.sip_call_id.clone()),
            leg: Some(person),
            node: self.admitted.rules.node.clone(),
            call: Some(self.id),
            prompt_sha256: prompt,
            key_events: self.key_evidence(step),
            actor: None,
            reason: None,
            pressed_at,
        }
    }

    fn key_evidence(&self, step: &Step<'_>) -> Vec<KeyEvidence> {
        let describe = |press: &KeyPress| KeyEvidence {
            digit: press.digit,
            method: key_method(press.method),
            at: step.wall.wall_at(press.pressed_at),
            rtp_timestamp: press.evidence.rtp_timestamp,
            rtp_sequence: press.evidence.rtp_sequence,
            duration_ms: press.evidence.duration_ms,
            volume_dbm0: press.evidence.volume_dbm0,
            low_dbm0: press.evidence.low_dbm0,
            high_dbm0: press.evidence.high_dbm0,
            confidence: press.evidence.confidence,
        };
        self.evidence.iter().map(describe).collect()
    }

    /// The prompt that led to the key: the greeting where we played one, else the confirmation.
    fn prompt_sha256(&self, code: CodeId) -> Option<[u8; 32]> {
        let greeting = self.admitted.campaign.greeting.play.first();
        let done = self.code(code).map(|code| &code.prompts.done);
        Some(*self.admitted.rules.prompt(greeting.or(done)?)?.sha256())
    }

    /// The ledger answered.
    pub(super) fn acknowledge(&mut self, step: &mut Step<'_>, ack: &Acknowledgement) {
        self.unacknowledged.retain(|token| *token != ack.token);
        self.audio_recorded(step, ack.token, ack.durable.map(|durable| durable.record));
        if let (Some(pending), Some(durable)) = (self.given_up, ack.durable)
            && pending.token == ack.token
        {
            // Too late to be told to anybody, and in time to be named as the reason.
            self.settle(step, pending.code, durable.record);
            self.measure_commit(step, &pending);
        }
        let Phase::Committing(pending) = self.phase else { return };
        if pending.token != ack.token {
            return;
        }
        match ack.durable {
            Some(durable) => self.recorded(step, pending, durable),
            None => self.not_recorded(step, pending.code, pending.digits),
        }
    }

    fn recorded(&mut self, step: &mut Step<'_>, pending: Pending, durable: Durable) {
        let Pending { code, digits, origin, already, .. } = pending;
        self.settle(step, code, durable.record);
        self.measure_commit(step, &pending);
        tracing::info!(record = %durable.record, %digits, origin = origin.as_str(), "opted out");
        let outcome = Outcome::OptOut { digits, record: durable.record };
        self.disposition = Some(Disposition::OptedOut);
        let said = self.code(code).map(|code| {
            let prompts = &code.prompts;
            if already { prompts.already.clone() } else { prompts.done.clone() }
        });
        self.tell_person(step, code, Some(durable), said, outcome);
    }

    fn not_recorded(&mut self, step: &mut Step<'_>, code: CodeId, digits: Digits) {
        tracing::error!(%digits, "an opt-out could not be made durable in time");
        step.out.push_back(Output::Measure(Measure::NotRecorded));
        let outcome = Outcome::NotRecorded { digits };
        self.disposition = Some(Disposition::NotRecorded);
        let said = self.code(code).map(|code| code.prompts.failed.clone());
        self.tell_person(step, code, None, said, outcome);
    }

    fn measure_commit(&self, step: &mut Step<'_>, pending: &Pending) {
        let lists = self.code(pending.code).map(|code| code.add_to.clone()).unwrap_or_default();
        step.out.push_back(Output::Measure(Measure::Committed {
            pressed_at: self.evidence.back().map_or(step.now, |press| press.pressed_at),
            origin: pending.origin,
            lists,
            campaign: self.admitted.campaign.name.clone(),
            digits: pending.digits,
        }));
    }

    /// The disk took too long: the person is not left in silence, and not told what is not so.
    pub(super) fn lose_patience(&mut self, step: &mut Step<'_>) {
        if let Phase::Committing(pending) = self.phase
            && pending.patience_until <= step.now
        {
            self.given_up = Some(pending);
            self.not_recorded(step, pending.code, pending.digits);
        }
    }

    /// Releases the dialer, and plays to the person what there is to say.
    fn tell_person(
        &mut self,
        step: &mut Step<'_>,
        code: CodeId,
        durable: Option<Durable>,
        said: Option<PromptName>,
        outcome: Outcome,
    ) {
        let dialer_leg = self.person().other();
        if durable.is_none() || !self.goes_on_after(code) {
            self.heeded = true;
            self.hang_up(step, dialer_leg, &outcome);
        }
        self.outcome = Some(outcome);
        self.phase = Phase::Confirming(Told { code, durable });
        match said {
            Some(said) if self.person_is_up() => self.play(step, &[said]),
            _ => self.told(step, None),
        }
    }

    /// Whether the call goes on behind the confirmation: the code says so, and there are still
    /// two to speak with each other.
    fn goes_on_after(&self, code: CodeId) -> bool {
        let is_alone = matches!(self.admitted.campaign.mode, Mode::Bridge)
            && !self.is_up(self.person().other());
        self.code(code).is_some_and(|code| code.then == Then::Continue)
            && !self.leaving
            && self.person_is_up()
            && !is_alone
    }

    /// A prompt on `leg` came to its end, or was cut.
    pub(super) fn played(&mut self, step: &mut Step<'_>, leg: Leg, played: &Played) {
        if leg != self.person() || self.playing != Some(played.token) {
            return;
        }
        self.playing = None;
        match &self.phase {
            Phase::Confirming(_) => self.told(step, Some(played)),
            Phase::Up => self.prompt_ended(step),
            _ => {}
        }
    }

    /// The person was told (or could not be): notes it, then hangs up or goes on.
    fn told(&mut self, step: &mut Step<'_>, played: Option<&Played>) {
        let Phase::Confirming(Told { code, durable }) = self.phase else { return };
        if let Some(durable) = durable {
            self.note_confirmation(step, durable, played);
        }
        self.held_keys = 0;
        if durable.is_some() && self.goes_on_after(code) {
            self.phase = Phase::Up;
            self.resume(step);
        } else {
            let outcome = self.outcome.clone().unwrap_or(Outcome::Ended("done"));
            self.end(step, &outcome);
        }
        self.take_verdicts(step);
    }

    /// The media closed without a word about the prompt that it played.
    pub(super) fn confirmation_lost(&mut self, step: &mut Step<'_>) {
        if self.playing.take().is_some() {
            self.told(step, None);
        }
    }

    /// A further fact: when the confirmation began, and how it ended.
    fn note_confirmation(
        &mut self,
        step: &mut Step<'_>,
        durable: Durable,
        played: Option<&Played>,
    ) {
        let heard = played.filter(|played| played.frames > 0);
        let at =
            heard.map_or_else(|| step.wall_now(), |played| step.wall.wall_at(played.started_at));
        let confirmation = Confirmation {
            record: durable.record,
            durable_at: durable.durable_at,
            // The ledger reads the wall clock itself, and two readings differ by microseconds:
            // what came after the disk's answer is never dated before it.
            at: at.max(durable.durable_at),
            outcome: match heard {
                Some(played) if played.whole => Telling::Played,
                Some(_) => Telling::CutShort,
                None => Telling::NotPlayed,
            },
        };
        let token = step.tokens.next_u64() >> 1;
        self.unacknowledged.push(token);
        step.out.push_back(Output::Submit { token, fact: Box::new(Fact::Confirmed(confirmation)) });
    }

    /// After `continue`: the call goes on as it was before the code.
    fn resume(&mut self, step: &mut Step<'_>) {
        match self.admitted.campaign.mode {
            Mode::Bridge => self.tell_voice(step, VoiceCommand::Relay { on: true }),
            Mode::Ivr => self.greet(step),
        }
    }

    /// Plays prompts on the person's leg, one after the other.
    pub(super) fn play(&mut self, step: &mut Step<'_>, names: &[PromptName]) {
        let prompts: Vec<_> =
            names.iter().filter_map(|name| self.admitted.rules.prompt(name)).collect();
        let leg = self.person();
        if self.leg(leg).is_none_or(|leg| leg.state == LegState::Gone) {
            return;
        }
        let token = step.tokens.next_u64() >> 1;
        self.playing = Some(token);
        self.tell_voice(step, VoiceCommand::Play { leg, token, prompts });
    }

    pub(super) fn stop_playing(&mut self, step: &mut Step<'_>) {
        if self.playing.take().is_some() {
            self.tell_voice(step, VoiceCommand::StopPlaying { leg: self.person() });
        }
    }
}

fn key_method(method: Method) -> KeyMethod {
    match method {
        Method::Event => KeyMethod::Event,
        Method::Tone => KeyMethod::Tone,
        Method::Info => KeyMethod::Info,
    }
}
