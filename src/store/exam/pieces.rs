//! The pieces of imports' segments in a shared database: each whole, and each of an import.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use sha2::Digest;
use sha2::Sha256;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::suppression::import::Import;
use crate::suppression::segment::SegmentName;

use super::StoreFound;
use super::rows::Rows;

/// What is wrong with the pieces of a segment.
pub(super) struct OddPieces {
    /// Its name, as it stands there.
    pub(super) name: String,
    /// The first import that names it, if one does.
    pub(super) import: Option<RecordId>,
    pub(super) found: StoreFound,
}

impl Rows {
    /// What is wrong with segments there: pieces that are missing or not what was put there, and
    /// pieces of what no import names.
    pub(super) fn odd_pieces(&self) -> Result<Vec<OddPieces>, StoreError> {
        let named = self.named_segments()?;
        let mut there = BTreeSet::new();
        self.each("SELECT DISTINCT sha256 FROM segment_chunk", &[], |row| {
            there.insert(row.text(0).unwrap_or_default().to_owned());
            Ok(())
        })?;
        let mut odd = Vec::new();
        for name in there.iter().chain(named.keys().filter(|name| !there.contains(*name))) {
            let import = named.get(name).copied();
            let found = match import {
                None => StoreFound::Stray,
                Some(_) if !there.contains(name) => StoreFound::Missing { found: None },
                Some(_) if self.is_whole(name)? => continue,
                Some(_) => StoreFound::Frame { what: "its content" },
            };
            odd.push(OddPieces { name: name.clone(), import, found });
        }
        Ok(odd)
    }

    /// The segments that imports name, each with the first of them. An import whose row cannot be
    /// read is told as such.
    fn named_segments(&self) -> Result<BTreeMap<String, RecordId>, StoreError> {
        let mut named = BTreeMap::new();
        self.each("SELECT writer_id, writer_seq, body FROM imports", &[], |row| {
            let id = RecordId { writer: WriterId(row.unsigned(0)?), seq: row.unsigned(1)? };
            if let Ok(import) = serde_json::from_str::<Import>(row.text(2)?) {
                for (part, _content) in import.parts() {
                    let first = named.entry(part.segment.to_string()).or_insert(id);
                    *first = id.min(*first);
                }
            }
            Ok(())
        })?;
        Ok(named)
    }

    /// Whether the pieces of the segment `name` are all there, and are what its name says.
    fn is_whole(&self, name: &str) -> Result<bool, StoreError> {
        let (mut hasher, mut due) = (Sha256::new(), 0);
        let mut ordinals = Vec::new();
        let sql = "SELECT ordinal FROM segment_chunk WHERE sha256 = $1 ORDER BY ordinal";
        self.each(sql, &[name.into()], |row| {
            ordinals.push(row.unsigned(0)?);
            Ok(())
        })?;
        // One at a time: a megabyte each.
        let sql = "SELECT octets FROM segment_chunk WHERE sha256 = $1 AND ordinal = $2";
        for &ordinal in &ordinals {
            if ordinal != due {
                return Ok(false);
            }
            due += 1;
            self.each(sql, &[name.into(), ordinal.into()], |row| {
                hasher.update(row.octets(0)?);
                Ok(())
            })?;
        }
        Ok(SegmentName(hasher.finalize().into()).to_string() == name)
    }
}
