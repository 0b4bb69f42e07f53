//! Imports' segments in the shared database: in pieces, for the nodes that lack them.
//!
//! A segment is put there before the record that names it is made, by whoever imports, so that
//! whoever reads the record finds it; and it is named by its content, so that whoever fetches it
//! knows that all of it is right. What a server has lost since, or a node could not hand over, the
//! nodes put there again (`publish`), while facts go on.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::model::ListName;
use crate::suppression::import::Import;
use crate::suppression::import::Part;
use crate::suppression::segment::Content;
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
use super::segments::segments_dir;

/// Octets in one piece, save the last: few round trips, and no more memory than a group of facts.
const CHUNK_LEN: usize = 1024 * 1024;

/// Pieces of a segment that are fetched at most, since whoever can write to the database says how
/// many there are. Our choice: 4 GiB, of numbers as far apart as can be nearly 500 million.
const PIECES_MAX: u64 = if cfg!(test) { 3 } else { 4096 };

/// How the file is called that a segment is fetched into, behind a name that is drawn.
const UNFINISHED: &str = "fetching";

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

/// Fetches the segment of `part`, which `list` has as its `content`, from the database where the
/// folder lacks it.
///
/// # Errors
///
/// [`StoreError::Segment`] for one that is not there whole, or is another than it is said to be; and
/// those of the database and the disk.
pub(super) fn fetch(
    backend: &mut dyn Backend,
    segments: &Segments,
    list: &ListName,
    part: &Part,
    content: Content,
) -> Result<(), StoreError> {
    let path = segments.path(part);
    if path.exists() {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(&path);
    create_private(dir).map_err(StoreError::io("create", dir))?;
    let attempt = random::writer().map_err(StoreError::io("draw", "a name"))?;
    let unfinished = dir.join(format!("{attempt}.{UNFINISHED}"));
    let fetched = write_pieces(backend, segments, &unfinished, part).and_then(|()| {
        let file = File::open(&unfinished).map_err(StoreError::io("open", &unfinished))?;
        let reader = SegmentReader::open(BufReader::new(file), part.segment);
        let verified = reader.and_then(SegmentReader::verify);
        let header = verified.map_err(|error| segments.failed(part, error))?;
        segments.check_header(&header, list, part, content)?;
        fs::rename(&unfinished, &path).map_err(StoreError::io("name", &path))?;
        sync_dir(dir).map_err(StoreError::io("sync", dir))
    });
    if fetched.is_err() {
        // Its name says that it is of no use, and the next start removes it.
        let _ = fs::remove_file(&unfinished);
    }
    fetched
}

fn write_pieces(
    backend: &mut dyn Backend,
    segments: &Segments,
    unfinished: &Path,
    part: &Part,
) -> Result<(), StoreError> {
    let name = part.segment.to_string();
    let sql = "SELECT octets FROM segment_chunk WHERE sha256 = $1 AND ordinal = $2";
    let mut file = File::create_new(unfinished).map_err(StoreError::io("create", unfinished))?;
    for ordinal in 0_u64.. {
        let mut is_there = false;
        each(backend, sql, &[name.as_str().into(), ordinal.into()], |row| {
            let octets = row.octets(0)?;
            if ordinal >= PIECES_MAX || octets.len() > CHUNK_LEN {
                let offset = ordinal * CHUNK_LEN as u64;
                return Err(segments.failed(part, SegmentError::Trailing { offset }));
            }
            is_there = true;
            file.write_all(octets).map_err(StoreError::io("write", unfinished))
        })?;
        if !is_there {
            break;
        }
    }
    file.sync_all().map_err(StoreError::io("sync", unfinished))
}

/// Removes what a process that was ended has left of segments that it was fetching into the store in
/// the folder `dir`. Whoever fetches holds the store, so that nobody does when it is opened.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(segments_dir(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Number;
    use crate::store::sqlite::Sqlite;
    use crate::suppression::segment::SegmentHeader;
    use crate::suppression::segment::SegmentName;
    use crate::suppression::segment::SegmentWriter;

    /// A database and a store's folder.
    fn node(dir: &Path) -> (Sqlite, Segments) {
        (Sqlite::open(&dir.join("database")).unwrap(), Segments::of(dir))
    }

    /// A segment of list `robinson` with the number 5.
    fn segment() -> (Part, Vec<u8>) {
        let header = SegmentHeader {
            content: Content::Listed,
            list: "robinson".into(),
            source: String::new(),
            as_of: None,
            count: 1,
        };
        let mut writer = SegmentWriter::new(Vec::new(), &header).unwrap();
        writer.push(Number::from_e164_digits(5).unwrap()).unwrap();
        let (octets, segment) = writer.finish().unwrap();
        (Part { segment, count: 1 }, octets)
    }

    fn put(database: &mut Sqlite, part: &Part, pieces: impl IntoIterator<Item = Vec<u8>>) {
        let name = part.segment.to_string();
        let row = |(ordinal, octets): (u64, Vec<u8>)| {
            vec![name.as_str().into(), ordinal.into(), octets.into()]
        };
        let rows = (0..).zip(pieces).map(row).collect();
        database.change(&[Change::Insert(&SEGMENT_CHUNK, rows)]).unwrap();
    }

    /// The files of segments in the folder.
    fn files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(segments_dir(dir)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Its name, what is asked for, the pieces that are there, and what is told where it is refused.
    type Case<'a> = (&'a str, Part, Vec<Vec<u8>>, Option<&'a str>);

    #[test]
    fn whatever_stands_in_the_database_no_more_is_fetched_than_a_segment_may_have() {
        let (part, octets) = segment();
        let halves = [octets[..9].to_vec(), octets[9..].to_vec()];
        let long = "the segment goes on behind its last number";
        let other = Part { segment: SegmentName([7; 32]), count: 1 };
        let most = PIECES_MAX as usize;
        #[rustfmt::skip]
        let cases: [Case<'_>; 5] = [
            ("in two pieces",           part,  halves.to_vec(),               None),
            ("as many as may be",       other, vec![vec![0; 1]; most],        Some("cut at octet 3")),
            ("one more",                other, vec![vec![0; 1]; most + 1],    Some(long)),
            ("a piece that is long",    other, vec![vec![0; CHUNK_LEN + 1]],  Some(long)),
            ("not as many numbers",     Part { count: 2, ..part }, halves.to_vec(), Some("it does not hold as many numbers as it is said to")),
        ];
        for (name, part, pieces, refused) in cases {
            let dir = tempfile::tempdir().unwrap();
            let (mut database, segments) = node(dir.path());
            put(&mut database, &part, pieces);
            let list = "robinson".into();
            let fetched = fetch(&mut database, &segments, &list, &part, Content::Listed);
            let told = match fetched {
                Ok(()) => None,
                Err(StoreError::Segment { source, .. }) => Some(source.to_string()),
                Err(error) => panic!("{name}: {error}"),
            };
            assert_eq!(told.is_some(), refused.is_some(), "{name}: {told:?}");
            let (told, refused) = (told.unwrap_or_default(), refused.unwrap_or_default());
            assert!(told.contains(refused), "{name}: {told}");
            assert_eq!(told.contains(long), refused == long, "{name}: {told}");
            let there =
                if told.is_empty() { vec![format!("{}.seg", part.segment)] } else { vec![] };
            assert_eq!(files(dir.path()), there, "{name}: nothing is left over");
        }
    }

    #[test]
    fn what_was_left_of_a_fetch_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        sweep(dir.path()).expect("no folder is nothing left");
        let segments = segments_dir(dir.path());
        fs::create_dir(&segments).unwrap();
        for name in ["0.fetching", "77.fetching", "ab.seg", "unfinished"] {
            fs::write(segments.join(name), name).unwrap();
        }
        sweep(dir.path()).unwrap();
        let mut left = files(dir.path());
        left.sort();
        assert_eq!(left, ["ab.seg", "unfinished"]);
    }
}
