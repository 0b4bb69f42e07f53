//! Imports' segments in the shared database: in pieces, for the nodes that lack them.
//!
//! A segment is put there before the record that names it, so that whoever reads the record finds
//! it; and it is named by its content, so that whoever fetches it knows that all of it is right.

use std::fs;
use std::fs::File;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

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

/// Puts the segment of `part` into the database, unless it is there; one that was begun is gone on
/// with.
pub(super) fn publish(
    backend: &mut dyn Backend,
    segments: &Segments,
    part: &Part,
) -> Result<(), StoreError> {
    let name = part.segment.to_string();
    let mut there = 0;
    let count = "SELECT COUNT(*) FROM segment_chunk WHERE sha256 = $1";
    each(backend, count, &[name.as_str().into()], |row| {
        there = row.unsigned(0)?;
        Ok(())
    })?;
    let path = segments.path(part);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        // Another node's import of the same file has put it there.
        Err(_missing) if there > 0 => return Ok(()),
        Err(error) => return Err(segments.failed(part, error.into())),
    };
    for ordinal in 0_u64.. {
        let mut octets = Vec::with_capacity(CHUNK_LEN);
        let mut piece = Read::by_ref(&mut file).take(CHUNK_LEN as u64);
        piece.read_to_end(&mut octets).map_err(StoreError::io("read", &path))?;
        if octets.is_empty() {
            break;
        }
        if ordinal >= there {
            let row = vec![name.as_str().into(), ordinal.into(), octets.into()];
            backend.change(&[Change::Insert(&SEGMENT_CHUNK, vec![row])])?;
        }
    }
    Ok(())
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
