//! The table of imports.

use crate::model::ListName;
use crate::model::UnixMicros;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::store::chunks::fetch;
use crate::store::imported;
use crate::store::snapshot::Snapshot;
use crate::suppression::base::Base;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
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
}

impl Reader {
    fn fetch_segments(&self, imports: &[Imported]) -> Result<(), StoreError> {
        let mut backend = self.backend.borrow_mut();
        if backend.is_shared() {
            for (part, _content) in imports.iter().flat_map(|imported| imported.import.parts()) {
                fetch(backend.as_mut(), &self.segments(), part)?;
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
