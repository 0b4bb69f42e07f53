//! Prompts, frame by frame: one frame for each 20 ms slot that the driver gives.
//!
//! The player counts frames and knows no time. A slot that comes late sends one frame, not two:
//! the prompt ends later, and no listener's jitter buffer sees a burst.

use std::sync::Arc;

use super::g711;
use super::g711::FRAME_SAMPLES;
use super::prompt::Prompt;
use crate::model::Codec;

/// Most prompts in one list. Our choice: a greeting, an offer, a code and a farewell, doubled.
pub const CLIPS_MAX: usize = 8;

/// What a player gives when it has nothing to play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// No packet: the receiver makes its own comfort noise.
    #[default]
    Nothing,
    /// Frames of silence, which keep address translators and media timeouts of others open.
    Silence,
}

/// Where a player stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The prompt within the list, from 0; the list's length once all are through.
    pub clip: usize,
    /// Frames of that prompt that have been given.
    pub frame: usize,
}

/// One frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// 160 octets in the player's codec.
    pub octets: &'a [u8],
    /// First frame of a list of prompts: the packet's marker.
    pub begins: bool,
}

/// Plays lists of prompts on one leg.
#[derive(Clone, Debug)]
pub struct Player {
    codec: Codec,
    idle: Idle,
    clips: Vec<Arc<[u8]>>,
    position: Position,
    /// Lists that had more than [`CLIPS_MAX`] prompts; the rest of them was left out.
    clips_refused: u64,
}

impl Player {
    /// A player for a leg that speaks `codec`, with nothing to play.
    pub fn new(codec: Codec, idle: Idle) -> Self {
        Self {
            codec,
            idle,
            clips: Vec::with_capacity(CLIPS_MAX),
            position: Position { clip: 0, frame: 0 },
            clips_refused: 0,
        }
    }

    /// Plays `prompts` one after the other from the next slot on, in place of what was playing.
    ///
    /// Prompts beyond [`CLIPS_MAX`] are left out and counted. Does not allocate.
    pub fn start<'p>(&mut self, prompts: impl IntoIterator<Item = &'p Prompt>) {
        self.stop();
        for prompt in prompts {
            if self.clips.len() == CLIPS_MAX {
                self.clips_refused += 1;
                continue;
            }
            self.clips.push(Arc::clone(prompt.octets(self.codec)));
        }
    }

    /// Plays nothing any more, from the next slot on.
    pub fn stop(&mut self) {
        self.clips.clear();
        self.position = Position { clip: 0, frame: 0 };
    }

    /// The frame for one slot; `None` when nothing is to be sent.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        static SILENCE: [[u8; FRAME_SAMPLES]; 2] = [
            [g711::silence(Codec::Pcmu); FRAME_SAMPLES],
            [g711::silence(Codec::Pcma); FRAME_SAMPLES],
        ];
        let begins = self.position == Position { clip: 0, frame: 0 };
        let Some(clip) = self.clips.get(self.position.clip) else {
            let [pcmu, pcma] = &SILENCE;
            let silence = match self.codec {
                Codec::Pcmu => pcmu,
                Codec::Pcma => pcma,
            };
            return (self.idle == Idle::Silence)
                .then_some(Frame { octets: silence, begins: false });
        };
        let from = self.position.frame * FRAME_SAMPLES;
        // A prompt is a whole number of frames, one at least; see `Prompt::from_wav`.
        let octets = clip.get(from..from + FRAME_SAMPLES)?;
        self.position.frame += 1;
        if from + FRAME_SAMPLES >= clip.len() {
            self.position = Position { clip: self.position.clip + 1, frame: 0 };
        }
        Some(Frame { octets, begins })
    }

    /// Whether a list is being played; false from the slot after its last frame on.
    pub fn is_playing(&self) -> bool {
        self.position.clip < self.clips.len()
    }

    /// Whether the list was played to its end, and neither stopped nor replaced.
    pub fn is_finished(&self) -> bool {
        !self.clips.is_empty() && !self.is_playing()
    }

    /// Where in its list the player stands.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The codec of the frames.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Prompts that were left out because a list was longer than [`CLIPS_MAX`].
    pub const fn clips_refused(&self) -> u64 {
        self.clips_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::prompt::tests::prompt_of;

    /// Plays slot by slot; `-` is a slot without a packet, a digit the frame of that prompt, `!`
    /// stands before the frame with the marker, `s` is silence.
    fn play(player: &mut Player, slots: usize) -> String {
        let silence = g711::silence(player.codec());
        let mut heard = String::new();
        for _ in 0..slots {
            let Some(frame) = player.next_frame() else {
                heard.push('-');
                continue;
            };
            assert_eq!(frame.octets.len(), FRAME_SAMPLES);
            if frame.begins {
                heard.push('!');
            }
            // Prompts are constant: sample value 1000 times their number.
            let number = (1..=9).find(|&n| frame.octets[0] == g711::encode(Codec::Pcmu, n * 1000));
            match number {
                Some(number) => heard.push_str(&number.to_string()),
                None => {
                    assert!(frame.octets.iter().all(|&octet| octet == silence));
                    heard.push('s');
                }
            }
        }
        heard
    }

    #[test]
    fn lists_are_played_frame_by_frame() {
        // Prompts as `number x frames`.
        type Row = (&'static str, &'static [(i16, usize)], &'static str);
        let cases: [Row; 4] = [
            ("nothing to play", &[], "------"),
            ("one prompt", &[(1, 2)], "!11----"),
            ("three prompts", &[(1, 1), (2, 2), (3, 1)], "!1223--"),
            ("a prompt of one frame", &[(4, 1)], "!4-----"),
        ];
        for (name, prompts, want) in cases {
            let prompts: Vec<Prompt> = prompts
                .iter()
                .map(|&(number, frames)| prompt_of(number * 1000, frames * 160))
                .collect();
            let mut player = Player::new(Codec::Pcmu, Idle::Nothing);
            player.start(&prompts);
            assert_eq!(play(&mut player, 6), want, "{name}");
            assert_eq!((player.is_playing(), player.is_finished()), (false, !prompts.is_empty()));
        }
    }

    #[test]
    fn stopping_and_starting_take_effect_at_the_next_slot() {
        let (one, two) = (prompt_of(1000, 480), prompt_of(2000, 160));
        let mut player = Player::new(Codec::Pcmu, Idle::Nothing);
        player.start([&one]);
        assert_eq!(play(&mut player, 2), "!11");
        assert_eq!(player.position(), Position { clip: 0, frame: 2 });
        player.start([&two, &one]);
        assert_eq!(play(&mut player, 2), "!21", "the new list begins anew, with a marker");
        player.stop();
        assert_eq!(play(&mut player, 2), "--");
        assert!(!player.is_playing() && !player.is_finished(), "stopped is not finished");
    }

    #[test]
    fn silence_fills_the_slots_when_asked_for() {
        for codec in Codec::ALL {
            let mut player = Player::new(codec, Idle::Silence);
            assert_eq!(play(&mut player, 2), "ss");
            assert!(!player.is_playing());
        }
    }

    #[test]
    fn a_list_has_a_longest_length() {
        let prompt = prompt_of(1000, 160);
        let mut player = Player::new(Codec::Pcmu, Idle::Nothing);
        player.start(vec![&prompt; CLIPS_MAX]);
        assert_eq!(player.clips_refused(), 0);
        player.start(vec![&prompt; CLIPS_MAX + 1]);
        assert_eq!(player.clips_refused(), 1);
        assert_eq!(play(&mut player, 10), "!11111111--");
    }
}
