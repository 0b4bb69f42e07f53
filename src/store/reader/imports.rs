//! The table of imports.

use std::ops::ControlFlow;

use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::store::chunks::fetch;
use crate::store::imported;
use crate::store::snapshot::Snapshot;
use crate::suppression::Undone;
use crate::suppression::base::Base;
use crate::suppression::export::Entry;
use crate::suppression::export::Filter;
use crate::suppression::export::RangeEntry;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::standing;
use crate::suppression::import::withdrawals;
use crate::suppression::segment::Content;

use super::Reader;
use super::record_id;

impl Reader {
    /// Every import, oldest first; segments of other nodes that this one lacks are fetched.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], [`StoreError::Row`] for a row that is no import, and
    /// [`StoreError::Segment`] for a segment that the shared database does not hold whole.
    pub fn imports(&self) -> Result<Vec<Imported>, StoreError> {
        let sql = "SELECT writer_id, writer_seq, written_us, body FROM imports
                   ORDER BY imported_us, writer_id, writer_seq";
        let mut imports = Vec::new();
        self.each(sql, &[], |row| {
            imports.push(imported(row)?);
            Ok(())
        })?;
        self.fetch_segments(&imports)?;
        Ok(imports)
    }

    /// Hands the numbers of the imports that `filter` asks for to `visit`; see [`Self::export`]. What
    /// is asked about is as it is kept in `filter`, and `dialled`, by which ranges go.
    pub(super) fn export_imports(
        &self,
        filter: &Filter,
        dialled: Option<Number>,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let imports = self.imports()?;
        let (segments, withdrawals) = (self.segments(), withdrawals(&imports));
        for imported in imports.iter().filter(|imported| filter.finds(&imported.import)) {
            let mut undone = self.undone_of(imported.record)?;
            let withdrawal = withdrawals.get(&imported.record);
            let withdrawal = withdrawal.and_then(|by| by.import.undone(by.record));
            let mut hand_on = |number, reversed: Option<Vec<Undone>>| {
                let reversed = reversed.into_iter().flatten().chain(withdrawal.clone()).collect();
                let number_key = self.number_key();
                let entry = Entry { reversed, number_key, ..Entry::of_import(imported, number) };
                if filter.finds_entry(&entry) { visit(entry) } else { ControlFlow::Continue(()) }
            };
            if let Some(number) = filter.number {
                let is_there = imported.import.is_in_range(dialled.unwrap_or(number))
                    || segments.holds(imported, &imports, number)?;
                if is_there && hand_on(number, undone.remove(&number)).is_break() {
                    return Ok(());
                }
                continue;
            }
            for number in segments.remaining(imported, &imports)? {
                let number = number?;
                if hand_on(number, undone.remove(&number)).is_break() {
                    return Ok(());
                }
            }
            // A number of a range is told of by itself where that was reversed for it.
            let mut holes: Vec<_> = undone.into_iter().collect();
            holes.retain(|(number, _reversed)| imported.import.is_in_range(*number));
            holes.sort_unstable_by_key(|(number, _reversed)| *number);
            for (number, reversed) in holes {
                if hand_on(number, Some(reversed)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The entries of `number` by imports of registries whose change lists took it off: they refuse it
    /// no more. They are no part of [`Self::show`], since nobody reversed them: they stand again once
    /// the change list is taken back.
    ///
    /// # Errors
    ///
    /// As [`Self::imports`].
    pub fn taken_off(&self, number: Number) -> Result<Vec<Entry>, StoreError> {
        let (imports, segments, stored) = (self.imports()?, self.segments(), self.stored(number));
        let mut entries = Vec::new();
        for imported in standing(&imports).filter(|it| !it.import.is_in_range(number)) {
            if let Some(by) = segments.taker(imported, &imports, stored)? {
                let number_key = self.number_key();
                entries.push(Entry { number_key, ..Entry::taken_off(imported, by, stored) });
            }
        }
        Ok(entries)
    }

    /// Hands the ranges of the imports that `filter` asks for to `visit`, by the time of the import,
    /// until it breaks, save those that are taken back: each without the numbers for which it was
    /// reversed, in several parts where there are any.
    ///
    /// # Errors
    ///
    /// As [`Self::export`].
    pub fn export_ranges(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(RangeEntry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if !filter.finds_ranges() {
            return Ok(());
        }
        let imports = self.imports()?;
        let has_ranges = |imported: &&Imported| !imported.import.tally.ranges.is_empty();
        let found = standing(&imports).filter(|imported| filter.finds(&imported.import));
        for imported in found.filter(has_ranges) {
            let undone = self.undone_of(imported.record)?.into_iter();
            let is_off = |undone: &Undone| undone.list == imported.import.list;
            let holes = undone.filter(|(_number, undone)| undone.iter().any(is_off));
            let holes: Vec<Number> = holes.map(|(number, _undone)| number).collect();
            for range in &imported.import.tally.ranges {
                for part in range.without(&holes) {
                    if visit(RangeEntry::of_import(imported, part)).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn fetch_segments(&self, imports: &[Imported]) -> Result<(), StoreError> {
        let mut backend = self.backend.borrow_mut();
        if backend.is_shared() {
            for Imported { import, .. } in imports {
                for (part, content) in import.parts() {
                    fetch(backend.as_mut(), &self.segments(), &import.list, part, content)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the segment of `part` whole and checks that it is one of `list` and holds what it
    /// should.
    ///
    /// # Errors
    ///
    /// [`StoreError::Segment`].
    pub fn verify_segment(
        &self,
        part: &Part,
        list: &ListName,
        content: Content,
    ) -> Result<(), StoreError> {
        self.segments().verify(part, list, content)
    }

    /// The base of `imports`, made of their segments; `tell` hears how many of how many of the
    /// numbers that they listed are done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Segment`], and [`StoreError::Imports`] for more than a base holds.
    pub fn build_base(
        &self,
        imports: &[Imported],
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Base, StoreError> {
        imported::build_base(&self.dir, imports, tell)
    }

    /// Whether `base` is that of `imports`, in whatever order they are.
    pub fn is_base_of(&self, base: &Base, imports: &[Imported]) -> bool {
        imported::is_base_of(base, imports)
    }

    /// Keeps `base`, which is that of `imports`, for the next start. One thread at a time may.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]; the next start then makes it of the segments.
    pub fn save_base(&self, base: &Base, imports: &[Imported]) -> Result<(), StoreError> {
        Snapshot::of_store(&self.dir).save(base, &imported::cursor(imports))
    }
}

fn imported(row: Row<'_>) -> Result<Imported, StoreError> {
    Ok(Imported {
        record: record_id(row, 0)?,
        written_at: UnixMicros(row.int(2)?),
        import: serde_json::from_str(row.text(3)?).map_err(|source| StoreError::Row { source })?,
    })
}
