//! A journal read back from every state that a crash or a bad disk can leave it in.
//!
//! A good journal of several segments is written once; then the files are cut, torn, zeroed and
//! flipped at every place that matters, and read again. What must hold: a cut at the end loses
//! nothing that a whole batch holds and invents nothing; damage anywhere else is named.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;

use super::batch::HEADER_LEN;
use super::*;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::suppression::Fact;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::proof::Entropy;
use crate::suppression::proof::Hash;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::NumberKey;
use crate::suppression::proof::Place;
use crate::suppression::proof::Record;

const WRITER: WriterId = WriterId(42);
const SEGMENT_LEN: u64 = 8 * 1024;

/// Where a batch stands: segment file, start and end in it, first and last record.
#[derive(Clone, Debug)]
struct Written {
    segment: String,
    start: usize,
    end: usize,
    last_seq: u64,
}

struct Good {
    dir: TempDir,
    batches: Vec<Written>,
}

fn record(seq: u64, prev_hash: Hash) -> Record {
    let optout = OptOut::new(
        Number::from_e164_digits(34_600_000_000 + seq).expect("the number is E.164"),
        vec!["global".into()],
        Origin::ManualCli,
        "n".into(),
        UnixMicros(seq.cast_signed()),
    );
    let place =
        Place { id: RecordId { writer: WRITER, seq }, prev_hash, written_at: UnixMicros(1) };
    let key = NumberKey { tag: KeyTag([1; 16]), slot: 0, keyed: None, key: [3; 32] };
    let entropy = Entropy::new([seq as u8; Entropy::LEN]);
    Record::seal(&Fact::OptOut(Box::new(optout)), place, Some(&key), &entropy)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Writes batches of the given sizes.
fn good(sizes: &[u64]) -> Good {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let disk = RealDisk::new(dir.path().to_owned(), SEGMENT_LEN);
    let mut journal =
        Journal::create(Box::new(disk), SEGMENT_LEN, WRITER).expect("a journal begins");
    let (mut seq, mut hash) = (0, Hash::NONE);
    let mut batches = Vec::new();
    for &size in sizes {
        let before = hash;
        for _ in 0..size {
            let record = record(seq + 1, hash);
            let mut stored = Vec::new();
            record.write(&mut stored);
            assert!(journal.push(&stored), "the test's batches fit a segment");
            (seq, hash) = (record.id.seq, record.hash());
        }
        let len = journal.batch_len();
        journal.commit(before).expect("the disk takes it");
        let (segment, used_len) = journal.place();
        let end = used_len as usize;
        batches.push(Written {
            segment: segment.file_name(),
            start: end - len,
            end,
            last_seq: seq,
        });
    }
    Good { dir, batches }
}

/// The records in `dir`, checked to be 1, 2, 3 .. without a hole, and how the stream ends.
fn read(dir: &Path) -> Result<(u64, Option<Torn>), JournalError> {
    let mut count = 0;
    let streams = streams(dir)?;
    let end = streams[0].read(0, |record| {
        count += 1;
        assert_eq!(record.id, RecordId { writer: WRITER, seq: count });
        Ok::<_, JournalError>(())
    })?;
    assert_eq!(end.seq, count);
    Ok((count, end.torn))
}

/// Zeros at the end of a batch; the last octet of a record's seal may be one of them by chance,
/// which the fixed keys and salts of these tests rule out.
fn padding(batch: &[u8]) -> usize {
    batch.iter().rev().take_while(|&&octet| octet == 0).count()
}

impl Good {
    fn last_segment(&self) -> (String, Vec<u8>) {
        let segment = self.batches.last().expect("there are batches").segment.clone();
        let bytes = fs::read(self.dir.path().join(&segment)).expect("the segment is there");
        (segment, bytes)
    }

    /// Reads the journal with its last segment replaced by `image`.
    fn read_with(&self, segment: &str, image: &[u8]) -> Result<(u64, Option<Torn>), JournalError> {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).open(self.dir.path().join(segment));
        let file = file.expect("the segment is there");
        file.write_all_at(image, 0).expect("the image can be written");
        file.set_len(image.len() as u64).expect("the image can be cut");
        read(self.dir.path())
    }
}

#[test]
fn a_whole_journal_is_read_whole_and_in_part() {
    let good = good(&[1, 3, 2, 1, 5, 1, 1, 4, 2, 6, 1]);
    let total = good.batches.last().unwrap().last_seq;
    let segments: std::collections::BTreeSet<_> =
        good.batches.iter().map(|batch| &batch.segment).collect();
    assert!(segments.len() >= 3, "several segments are wanted, found {}", segments.len());
    assert_eq!(read(good.dir.path()).unwrap(), (total, None));
    for after in 0..=total {
        let mut seen = Vec::new();
        let stream = &streams(good.dir.path()).unwrap()[0];
        let end = stream
            .read(after, |record| {
                seen.push(record.id.seq);
                Ok::<_, JournalError>(())
            })
            .unwrap();
        assert_eq!(seen, (after + 1..=total).collect::<Vec<_>>(), "after {after}");
        assert_eq!(end.seq, total);
    }
}

#[test]
fn a_segment_cut_anywhere_loses_only_the_batch_that_was_cut() {
    let good = good(&[2, 1, 3, 1]);
    let (segment, bytes) = good.last_segment();
    let first = good.batches.iter().position(|batch| batch.segment == segment).unwrap();
    let before = if first == 0 { 0 } else { good.batches[first - 1].last_seq };
    let garbage: Vec<u8> = (0..bytes.len()).map(|n| (n * 31 + 7) as u8 | 1).collect();
    let in_segment = &good.batches[first..];
    let end = good.batches.last().unwrap().end;
    for cut in HEADER_LEN..=end + 1 {
        let head = &bytes[..cut];
        let zeros = vec![0; bytes.len() - cut];
        let sector = &garbage[cut..cut.next_multiple_of(512)];
        let images = [
            ("shortened", head.to_vec()),
            ("zeroed", [head, &zeros].concat()),
            ("overwritten", [head, &garbage[cut..]].concat()),
            ("overwritten up to a sector", [head, sector, &[0; 64]].concat()),
        ];
        for (name, image) in images {
            let (count, torn) = good.read_with(&segment, &image).unwrap();
            // Cut inside its padding, a batch is still whole: so whole batches are told by the
            // octets that carry something.
            let whole = in_segment.iter().take_while(|batch| {
                let carried = batch.start..batch.end - padding(&bytes[batch.start..batch.end]);
                image.get(carried.clone()) == bytes.get(carried)
            });
            let last = whole.last();
            assert_eq!(count, last.map_or(before, |batch| batch.last_seq), "{name} at {cut}");
            let rest = image.get(last.map_or(HEADER_LEN, |batch| batch.end)..);
            let is_dirty = rest.unwrap_or_default().iter().any(|&octet| octet != 0);
            assert_eq!(torn.is_some(), is_dirty, "{name} at {cut}");
        }
    }
}

#[test]
fn a_batch_of_which_only_some_sectors_arrived_is_not_there_at_all() {
    let good = good(&[1, 9]);
    let (segment, bytes) = good.last_segment();
    let [first, last] = &good.batches[..] else { panic!("two batches") };
    assert_eq!(first.segment, last.segment);
    let sectors: Vec<usize> = (last.start / 512..=(last.end - 1) / 512).collect();
    assert!(sectors.len() > 5, "the batch spans sectors");
    for arrived in 0..(1_u32 << sectors.len()) - 1 {
        let mut image = bytes.clone();
        for (bit, sector) in sectors.iter().enumerate() {
            if arrived & (1 << bit) == 0 {
                let lost = (sector * 512).max(last.start)..((sector + 1) * 512).min(last.end);
                image[lost].fill(0);
            }
        }
        // The last sector may hold nothing but padding.
        let is_whole = image == bytes;
        let (count, _torn) = good.read_with(&segment, &image).unwrap();
        assert_eq!(count, if is_whole { last.last_seq } else { first.last_seq }, "{arrived:b}");
    }
}

#[test]
fn a_flipped_octet_is_named_unless_it_looks_like_the_last_write() {
    let good = good(&[2, 1, 2, 1]);
    let (segment, bytes) = good.last_segment();
    let last = good.batches.last().unwrap().clone();
    let in_segment: Vec<_> = good.batches.iter().filter(|b| b.segment == segment).collect();
    for at in 0..last.end {
        let mut image = bytes.clone();
        image[at] ^= 0x10;
        let result = good.read_with(&segment, &image);
        let batch = in_segment.iter().find(|batch| (batch.start..batch.end).contains(&at));
        match (result, batch) {
            (Err(JournalError::Damaged { segment: found, offset, .. }), Some(batch)) => {
                assert!(batch.last_seq < last.last_seq, "octet {at}");
                assert_eq!((found, offset), (segment.clone(), batch.start as u64), "octet {at}");
            }
            (Err(JournalError::Damaged { offset: 0, .. }), None) => assert!(at < 60, "octet {at}"),
            (Ok((count, torn)), Some(batch)) if batch.last_seq == last.last_seq => {
                let is_padding = torn.is_none();
                let before = in_segment[in_segment.len() - 2].last_seq;
                assert_eq!(count, if is_padding { last.last_seq } else { before }, "octet {at}");
            }
            // Padding and the unused part of the header carry nothing.
            (Ok((count, None)), _) => assert_eq!(count, last.last_seq, "octet {at}"),
            (other, _) => panic!("octet {at}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_or_missing_segment_before_the_last_is_named() {
    let sizes = [4; 12];
    let good = good(&sizes);
    let names: Vec<String> = {
        let mut names: Vec<_> = good.batches.iter().map(|batch| batch.segment.clone()).collect();
        names.dedup();
        names
    };
    assert!(names.len() >= 3);
    let path = good.dir.path().join(&names[0]);
    let bytes = fs::read(&path).unwrap();
    let last_in_first = good.batches.iter().rev().find(|batch| batch.segment == names[0]).unwrap();

    let mut image = bytes.clone();
    image[last_in_first.start + 40] ^= 1;
    let error = good.read_with(&names[0], &image).unwrap_err();
    let JournalError::Damaged { segment, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((segment, *offset), (&names[0], last_in_first.start as u64), "no torn end here");

    let cut = good.read_with(&names[0], &bytes[..last_in_first.start]).unwrap_err();
    assert!(matches!(cut, JournalError::Gap { .. }), "a cut segment leaves a gap: {cut}");
    fs::write(&path, &bytes).unwrap();

    fs::remove_file(good.dir.path().join(&names[1])).unwrap();
    let gap = read(good.dir.path()).unwrap_err();
    assert!(matches!(&gap, JournalError::Gap { segment, .. } if *segment == names[2]), "{gap}");
}

#[test]
fn mutated_segments_never_panic_and_never_invent() {
    let good = good(&[1, 2, 1, 1]);
    let total = good.batches.last().unwrap().last_seq;
    let (segment, bytes) = good.last_segment();
    let seed = Seed(2, 9);
    let mut tokens = TokenSource::new(seed);
    for round in 0..3_000 {
        let mut image = bytes.clone();
        for _ in 0..=tokens.next_u64() % 3 {
            let at = HEADER_LEN + (tokens.next_u64() as usize) % (image.len() - HEADER_LEN);
            image[at] = tokens.next_u64() as u8;
        }
        image.truncate(image.len() - (tokens.next_u64() as usize) % 512);
        if let Ok((count, _torn)) = good.read_with(&segment, &image) {
            assert!(count <= total, "round {round}, {seed:?}");
        }
    }
}

#[test]
fn files_that_are_no_segments_are_left_alone() {
    let good = good(&[1]);
    for name in [
        "spare",
        "spare.new",
        "x.journal",
        "0-1.journal",
        "000000000000002A-00000000000000000001.journal",
    ] {
        fs::write(good.dir.path().join(name), b"x").unwrap();
    }
    assert_eq!(streams(good.dir.path()).unwrap().len(), 1);
    assert_eq!(read(good.dir.path()).unwrap(), (1, None));
}
