//! What is read of a file, on its way to the runs.

use std::io;

use crate::model::Number;
use crate::suppression::NumberStorage;
use crate::suppression::import::Exported;
use crate::suppression::import::Mark;
use crate::suppression::import::Rejected;
use crate::suppression::import::Sink;
use crate::suppression::import::Whom;

use super::Order;
use super::TELL_EVERY;
use super::checked::Watch;
use super::kept::Held;
use super::kept::Kept;
use super::kept::Left;
use super::kept::Progress;
use super::kept::Whole;
use super::places::Places;
use super::rejects::Rejects;
use super::runs::Runs;

/// Takes what is read to the runs.
pub(super) struct Sorter<'a> {
    pub(super) listed: Runs,
    pub(super) taken_off: Runs,
    pub(super) places: Places,
    /// Rows of an export that go on one list, whatever lists they say.
    pub(super) one_list_rows: u64,
    pub(super) rejects: Option<Rejects>,
    is_one_list: bool,
    numbers: &'a NumberStorage,
    kept: &'a mut Option<Kept>,
    text: Watch,
    lines: u64,
    tell: &'a mut dyn FnMut(),
}

impl<'a> Sorter<'a> {
    /// For the file of `order`, of which `left` is what an earlier try left.
    pub(super) fn new(
        order: &'a Order,
        left: Option<Left>,
        rejects: Option<Rejects>,
        kept: &'a mut Option<Kept>,
        text: Watch,
        tell: &'a mut dyn FnMut(),
    ) -> Self {
        let runs = || Runs::new(order.runs_in.clone(), order.run_numbers);
        // Half as many of twice the size.
        let placed_runs = Runs::new(order.runs_in.clone(), order.run_numbers.div_ceil(2));
        let mut sorter = Self {
            listed: runs(),
            taken_off: runs(),
            places: Places::new(placed_runs),
            one_list_rows: 0,
            rejects,
            is_one_list: order.is_one_list,
            numbers: &order.numbers,
            kept,
            text,
            lines: 0,
            tell,
        };
        if let Some(left) = left {
            sorter.one_list_rows = left.state.one_list_rows;
            sorter.places.resume(left.state.placed);
            for (held, run) in left.runs {
                match held {
                    Held::Listed => sorter.listed.add(run),
                    Held::TakenOff => sorter.taken_off.add(run),
                    Held::Placed => sorter.places.add(run),
                }
            }
        }
        sorter
    }

    fn line(&mut self) {
        self.lines += 1;
        if self.lines.is_multiple_of(TELL_EVERY) {
            (self.tell)();
        }
    }

    /// Writes what is in memory to runs, and keeps how far the file is read.
    pub(super) fn keep(&mut self, mark: &Mark, whole: Option<Whole>) -> io::Result<()> {
        if let Some(kept) = self.kept
            && !kept.begin()?
        {
            *self.kept = None;
        }
        self.listed.spill(Held::Listed, self.kept.as_mut())?;
        self.taken_off.spill(Held::TakenOff, self.kept.as_mut())?;
        self.places.spill(self.kept.as_mut())?;
        let Some(kept) = self.kept else { return Ok(()) };
        let rejects = self.rejects.as_mut().map(Rejects::sync).transpose()?;
        kept.keep(Progress {
            mark,
            text: self.text.sum(),
            placed: self.places.placed(),
            one_list_rows: self.one_list_rows,
            rejects,
            whole,
        })
    }

    /// Whether anything is kept of it by now.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.as_ref().is_some_and(Kept::has_runs)
    }
}

impl Sink for Sorter<'_> {
    fn listed(&mut self, number: Number) -> io::Result<()> {
        self.line();
        self.listed.push(self.numbers.stored(number).digits());
        Ok(())
    }

    fn taken_off(&mut self, number: Number) -> io::Result<()> {
        self.line();
        self.taken_off.push(self.numbers.stored(number).digits());
        Ok(())
    }

    fn exported(&mut self, exported: &Exported) -> io::Result<()> {
        self.line();
        match exported.whom {
            _ if !self.is_one_list => self.places.push(exported, self.numbers)?,
            Whom::One(number) if !exported.lists.is_empty() => {
                self.one_list_rows += 1;
                self.listed.push(self.numbers.stored(number).digits());
            }
            // Ranges are in the tally.
            Whom::One(_) | Whom::Range(_) => {}
        }
        Ok(())
    }

    fn rejected(&mut self, rejected: &Rejected<'_>) -> io::Result<()> {
        self.line();
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.write(rejected))
    }

    fn wants_mark(&self) -> bool {
        self.listed.is_full() || self.taken_off.is_full() || self.places.is_full()
    }

    fn marked(&mut self, mark: &Mark) -> io::Result<()> {
        self.keep(mark, None)?;
        (self.tell)();
        Ok(())
    }
}
