//! Imports' segments in the shared database: in pieces, for the nodes that lack them.
//!
//! A segment is put there before the record that names it is made, by whoever imports, so that
//! whoever reads the record finds it; and it is named by its content, so that whoever fetches it
//! knows that all of it is right. What a server has lost since, or a node could not hand over, the
//! nodes put there again (`publish`), while facts go on.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::suppression::import::Import;
use crate::suppression::import::Part;
use crate::suppression::segment::SegmentError;
use crate::suppression::segment::SegmentReader;

use super::StoreError;
use super::archive::create_private;
use super::backend::Backend;
use super::backend::Change;
use super::backend::each;
use super::database::tables::SEGMENT_CHUNK;
use super::journal::sync_dir;
use super::random;
use super::segments::Segments;

/// Octets in one piece, save the last: few round trips, and no more memory than a group of facts.
const CHUNK_LEN: usize = 1024 * 1024;

/// Hears of octets that were put into the database, and says whether to go on.
pub(super) type Step<'a> = &'a mut dyn FnMut(u64) -> bool;

/// Puts into the database what it lacks of the segment of `part`, piece by piece, until `step` has
/// enough. Where nothing is lacking that is known by one question.
///
/// # Errors
///
/// [`StoreError::Segment`] for one that is neither there nor here, and for one of which pieces are
/// lacking there and which is damaged here: a wrong piece would stand there for ever.
pub(super) fn publish(
    backend: &mut dyn Backend,
    segments: &Segments,
    part: &Part,
    step: Step<'_>,
) -> Result<(), StoreError> {
    let name = part.segment.to_string();
    let mut there = BTreeSet::new();
    let sql = "SELECT ordinal FROM segment_chunk WHERE sha256 = $1 ORDER BY ordinal";
    each(backend, sql, &[name.as_str().into()], |row| {
        there.insert(row.unsigned(0)?);
        Ok(())
    })?;
    let path = segments.path(part);
    let len = match path.metadata() {
        Ok(metadata) => metadata.len(),
        // Another node's import of the same file has put it there, or is about to.
        Err(_missing) if !there.is_empty() => return Ok(()),
        Err(error) => return Err(segments.failed(part, error.into())),
    };
    let pieces = 0..len.div_ceil(CHUNK_LEN as u64);
    let lacking: Vec<u64> = pieces.filter(|ordinal| !there.contains(ordinal)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    segments.check_whole(part)?;
    let file = File::open(&path).map_err(|error| segments.failed(part, error.into()))?;
    for ordinal in lacking {
        let from = ordinal * CHUNK_LEN as u64;
        let mut octets = vec![0; CHUNK_LEN.min(usize::try_from(len - from).unwrap_or(CHUNK_LEN))];
        file.read_exact_at(&mut octets, from).map_err(StoreError::io("read", &path))?;
        let count = octets.len() as u64;
        let row = vec![name.as_str().into(), ordinal.into(), octets.into()];
        backend.change(&[Change::Insert(&SEGMENT_CHUNK, vec![row])])?;
        if !step(count) {
            break;
        }
    }
    Ok(())
}

/// As [`publish`], for every import that the database knows and whose segments are here, until
/// `step` has enough. A segment that is not, or is damaged, is told and passed over.
pub(super) fn publish_all(
    backend: &mut dyn Backend,
    segments: &Segments,
    step: Step<'_>,
) -> Result<(), StoreError> {
    for import in imports(backend)? {
        for (part, _content) in import.parts() {
            match publish(backend, segments, part, step) {
                Err(StoreError::Segment { path, source }) => {
                    let (path, error) = (path.display(), &source as &dyn std::error::Error);
                    tracing::warn!(%path, error, "no other node can get this segment from here");
                }
                done => done?,
            }
            if !step(0) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Every import that the database knows.
pub(super) fn imports(backend: &mut dyn Backend) -> Result<Vec<Import>, StoreError> {
    let mut imports = Vec::new();
    each(backend, "SELECT body FROM imports", &[], |row| {
        let import = serde_json::from_str(row.text(0)?);
        imports.push(import.map_err(|source| StoreError::Row { source })?);
        Ok(())
    })?;
    Ok(imports)
}

/// Fetches the segment of `part` from the database where the folder lacks it.
pub(super) fn fetch(
    backend: &mut dyn Backend,
    segments: &Segments,
    part: &Part,
) -> Result<(), StoreError> {
    let path = segments.path(part);
    if path.exists() {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(&path);
    create_private(dir).map_err(StoreError::io("create", dir))?;
    let attempt = random::writer().map_err(StoreError::io("draw", "a name"))?;
    let unfinished = dir.join(format!("{attempt}.fetching"));
    let fetched = write_pieces(backend, &unfinished, part).and_then(|()| {
        let file = File::open(&unfinished).map_err(StoreError::io("open", &unfinished))?;
        let reader = SegmentReader::open(BufReader::new(file), part.segment);
        let verified = reader.and_then(SegmentReader::verify);
        verified.map_err(|error: SegmentError| segments.failed(part, error))?;
        fs::rename(&unfinished, &path).map_err(StoreError::io("name", &path))?;
        sync_dir(dir).map_err(StoreError::io("sync", dir))
    });
    if fetched.is_err() {
        // Its name says that it is of no use.
        let _ = fs::remove_file(&unfinished);
    }
    fetched
}

fn write_pieces(
    backend: &mut dyn Backend,
    unfinished: &std::path::Path,
    part: &Part,
) -> Result<(), StoreError> {
    let name = part.segment.to_string();
    let sql = "SELECT octets FROM segment_chunk WHERE sha256 = $1 AND ordinal = $2";
    let mut file = File::create_new(unfinished).map_err(StoreError::io("create", unfinished))?;
    for ordinal in 0_u64.. {
        let mut is_there = false;
        each(backend, sql, &[name.as_str().into(), ordinal.into()], |row| {
            is_there = true;
            file.write_all(row.octets(0)?).map_err(StoreError::io("write", unfinished))
        })?;
        if !is_there {
            break;
        }
    }
    file.sync_all().map_err(StoreError::io("sync", unfinished))
}
