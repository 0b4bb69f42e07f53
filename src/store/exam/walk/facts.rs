//! The records of one stream in the database, a page at a time.

use std::collections::VecDeque;

use crate::model::WriterId;
use crate::store::exam::Exam;
use crate::store::exam::rows::Rows;

/// The records of a stream in the database, a page ahead.
pub(super) struct Facts<'a> {
    rows: Option<&'a Rows>,
    writer: WriterId,
    ahead: VecDeque<(u64, Vec<u8>)>,
    /// The place of the last that was read.
    after: Option<i64>,
    is_over: bool,
}

impl<'a> Facts<'a> {
    /// From its first on.
    pub(super) fn of(rows: Option<&'a Rows>, writer: WriterId) -> Self {
        Self { rows, writer, ahead: VecDeque::new(), after: None, is_over: false }
    }

    /// The next record, if it stands before `end`.
    pub(super) fn take(&mut self, exam: &mut Exam, end: u64) -> Option<(u64, Vec<u8>)> {
        self.look(exam);
        let is_before = self.ahead.front().is_some_and(|(seq, _stored)| *seq < end);
        if is_before { self.ahead.pop_front() } else { None }
    }

    /// Reads on where nothing is left.
    fn look(&mut self, exam: &mut Exam) {
        let Some(rows) = self.rows.filter(|_rows| self.ahead.is_empty() && !self.is_over) else {
            return;
        };
        let (mut last, before) = (None, self.after);
        let ahead = &mut self.ahead;
        let read = rows.facts(self.writer, self.after, |seq, stored| {
            last = Some(seq);
            ahead.push_back((seq.cast_unsigned(), stored));
        });
        // Rows out of their order, which a damaged file may have, would be read for ever.
        self.is_over = exam.ask(read).is_none() || last <= before;
        self.after = last;
    }
}
