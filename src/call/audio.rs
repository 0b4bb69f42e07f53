//! The audio around a press, where the configuration wants it kept as evidence.
//!
//! ```text
//!  answered        code pressed        disk answers       so long after the press, or hung up
//!     |- capture ----- keep ----------- the record -------------- clip comes -> kept beside it
//! ```
//!
//! Nobody waits for any of it: the opt-out is durable and told without, and a further fact says
//! what became of the audio, or that there is none.

use super::machine::Call;
use super::machine::Media;
use super::machine::Step;
use super::output::Output;
use super::voice::VoiceCommand;
use crate::media::clip::Clip;
use crate::model::RecordId;
use crate::suppression::Leg;

/// What a call knows of its evidence.
#[derive(Debug, Default)]
pub(super) struct Audio {
    /// The media was given memory for it.
    is_captured: bool,
    /// Opt-outs whose audio is still out: as many as there are codes pressed within the time
    /// after a press, a few at most.
    wanted: Vec<Wanted>,
}

/// The audio of one opt-out.
#[derive(Debug)]
struct Wanted {
    token: u64,
    /// Its record, once that is durable.
    record: Option<RecordId>,
    heard: Heard,
}

/// What came of the audio.
#[derive(Debug)]
enum Heard {
    /// The media will say.
    Waiting,
    /// It is here.
    Here(Box<Clip>),
    /// It will not come.
    Never,
}

impl Call {
    /// Has the person's audio captured from now on, where it is wanted.
    pub(super) fn capture_audio(&mut self, step: &mut Step<'_>, leg: Leg) {
        let Some(span) = self.admitted.rules.audio.filter(|_| leg == self.person()) else { return };
        if self.media == Media::Open && !std::mem::replace(&mut self.audio.is_captured, true) {
            let clip = Box::new(Clip::new(span.before, span.after));
            self.tell_voice(step, VoiceCommand::Capture { leg, clip });
        }
    }

    /// The opt-out that goes by `token` was just pressed.
    pub(super) fn want_audio(&mut self, step: &mut Step<'_>, token: u64) {
        if self.admitted.rules.audio.is_none() {
            return;
        }
        let is_captured = self.audio.is_captured && self.media == Media::Open;
        let heard = if is_captured { Heard::Waiting } else { Heard::Never };
        self.audio.wanted.push(Wanted { token, record: None, heard });
        self.tell_voice(step, VoiceCommand::Keep { leg: self.person() });
    }

    /// The ledger answered: what has no record has no audio either.
    pub(super) fn audio_recorded(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        record: Option<RecordId>,
    ) {
        let wanted = &mut self.audio.wanted;
        wanted.retain(|wanted| wanted.token != token || record.is_some());
        if let Some(wanted) = wanted.iter_mut().find(|wanted| wanted.token == token) {
            wanted.record = record;
        }
        self.hand_audio_over(step);
    }

    /// The audio around a press is whole; the next press gets memory of its own.
    pub(super) fn audio_kept(&mut self, step: &mut Step<'_>, leg: Leg, clip: Box<Clip>) {
        let waiting = self.audio.wanted.iter_mut();
        for wanted in waiting.filter(|wanted| matches!(wanted.heard, Heard::Waiting)) {
            wanted.heard = Heard::Here(clip.clone());
        }
        self.audio.is_captured = false;
        if self.is_up(leg) {
            self.capture_audio(step, leg);
        }
        self.hand_audio_over(step);
    }

    /// The media is gone: what has not come does not come.
    pub(super) fn audio_lost(&mut self, step: &mut Step<'_>) {
        for wanted in &mut self.audio.wanted {
            if matches!(wanted.heard, Heard::Waiting) {
                wanted.heard = Heard::Never;
            }
        }
        self.hand_audio_over(step);
    }

    fn hand_audio_over(&mut self, step: &mut Step<'_>) {
        let is_ready =
            |wanted: &Wanted| wanted.record.is_some() && !matches!(wanted.heard, Heard::Waiting);
        let (ready, wanted) =
            std::mem::take(&mut self.audio.wanted).into_iter().partition(is_ready);
        self.audio.wanted = wanted;
        let ready: Vec<Wanted> = ready;
        for Wanted { record, heard, .. } in ready {
            let clip = match heard {
                Heard::Here(clip) => Some(clip),
                Heard::Waiting | Heard::Never => None,
            };
            if let Some(record) = record {
                step.out.push_back(Output::KeepAudio { record, clip });
            }
        }
    }
}
