//! A ledger in memory, with a disk that outlives the engine and a temper of its own.

use std::time::Duration;
use std::time::Instant;

use bajavoz::model::RecordId;
use bajavoz::model::WriterId;
use bajavoz::suppression::Fact;
use bajavoz::suppression::OptOut;

use super::dice::Dice;

/// How reliable the ledger of a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    /// Durable within 0.1 to 30 ms.
    Healthy,
    /// Every third fact fails, some of them after they reached the disk; some come late.
    Moody,
    /// Nothing is ever durable.
    Failing,
    /// Nothing is ever answered.
    Mute,
}

impl Temper {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        match dice.below(20) {
            0 => Self::Failing,
            1 => Self::Mute,
            2..5 => Self::Moody,
            _ => Self::Healthy,
        }
    }
}

/// What becomes of one submission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// When it is on the disk.
    pub(super) written_after: Option<Duration>,
    /// When it is answered, and whether with success.
    pub(super) answered_after: Option<(Duration, bool)>,
}

/// A fact on the disk.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) record: RecordId,
    pub(super) fact: Fact,
    pub(super) at: Instant,
}

/// The disk, and who writes on it.
pub(super) struct Ledger {
    temper: Temper,
    writer: WriterId,
    seq: u64,
    pub(super) disk: Vec<Kept>,
}

impl Ledger {
    pub(super) fn new(temper: Temper) -> Self {
        Self { temper, writer: WriterId(1), seq: 0, disk: Vec::new() }
    }

    /// The engine starts anew: another stream of facts on the same disk.
    pub(super) fn restart(&mut self) {
        self.writer = WriterId(self.writer.0 + 1);
        self.seq = 0;
    }

    /// Takes a fact: its name, and what will become of it.
    pub(super) fn submit(&mut self, dice: &mut Dice) -> (RecordId, Fate) {
        self.seq += 1;
        let record = RecordId { writer: self.writer, seq: self.seq };
        let quick = Duration::from_micros(100 + dice.below(29_900));
        let fine = Fate {
            written_after: Some(quick),
            answered_after: Some((quick + dice.millis(0, 1), true)),
        };
        let failed = Fate { written_after: None, answered_after: Some((quick, false)) };
        let fate = match self.temper {
            Temper::Healthy => fine,
            Temper::Failing => failed,
            Temper::Mute => Fate { written_after: None, answered_after: None },
            Temper::Moody => match dice.below(6) {
                0 => failed,
                1 => Fate { written_after: Some(quick), ..failed },
                2 => {
                    let late = dice.millis(1500, 4000);
                    Fate { written_after: Some(late), answered_after: Some((late, true)) }
                }
                _ => fine,
            },
        };
        (record, fate)
    }

    /// The opt-outs on the disk.
    pub(super) fn opt_outs(&self) -> impl Iterator<Item = (&Kept, &OptOut)> {
        self.disk.iter().filter_map(|kept| match &kept.fact {
            Fact::OptOut(opt_out) => Some((kept, &**opt_out)),
            _ => None,
        })
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.temper == Temper::Healthy
    }
}
