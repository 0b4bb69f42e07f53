//! Reads a journal folder back, and decides what a broken end means.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::WriterId;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

use super::JournalError;
use super::batch::ALIGN;
use super::batch::Batch;
use super::batch::HEADER_LEN;
use super::batch::SegmentHeader;

const SUFFIX: &str = ".journal";

/// A segment's file name: the writer and the first record in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// Whose stream.
    pub writer: WriterId,
    /// Its first record.
    pub first_seq: u64,
}

impl SegmentName {
    /// The name in the folder; names sort by writer, then by place.
    pub fn file_name(self) -> String {
        format!("{}-{:020}{SUFFIX}", self.writer, self.first_seq)
    }

    fn parse(name: &str) -> Option<Self> {
        let (writer, first_seq) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let parsed = Self {
            writer: WriterId(u64::from_str_radix(writer, 16).ok()?),
            first_seq: first_seq.parse().ok()?,
        };
        (parsed.file_name() == name).then_some(parsed)
    }
}

/// One writer's segments, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Whose.
    pub writer: WriterId,
    dir: PathBuf,
    segments: Vec<SegmentName>,
}

/// Where a stream ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEnd {
    /// The last record; 0 when there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// The last segment and the octets of it that are in use.
    pub segment: SegmentName,
    /// See there.
    pub used_len: u64,
    /// How many of them the last batch takes; 0 when there is none.
    pub last_batch_len: usize,
    /// The write that was cut short behind the end, where there is one.
    pub torn: Option<Torn>,
}

/// A write that was cut short: nothing in it was ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// The segment's file name.
    pub segment: String,
    /// Where it begins.
    pub offset: u64,
}

/// The streams in the folder `dir`, by writer. Files that are no segments are left alone.
///
/// # Errors
///
/// [`JournalError::Io`] when the folder cannot be read.
pub fn streams(dir: &Path) -> Result<Vec<Stream>, JournalError> {
    let fail = |source| JournalError::Io { doing: "list", path: dir.to_owned(), source };
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        segments.extend(name.to_str().and_then(SegmentName::parse));
    }
    segments.sort_unstable();
    let of_writer = segments.chunk_by(|a, b| a.writer == b.writer);
    let streams = of_writer.filter_map(|segments| {
        let writer = segments.first()?.writer;
        Some(Stream { writer, dir: dir.to_owned(), segments: segments.to_vec() })
    });
    Ok(streams.collect())
}

impl Stream {
    /// Hands every record behind `after` to `visit`, in order, and says where the stream ends.
    ///
    /// Segments that hold nothing behind `after` are not read, save the last.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] and [`JournalError::Gap`] when records that had been
    /// acknowledged are not whole; records before the place have been visited then.
    pub fn read<E: From<JournalError>>(
        &self,
        after: u64,
        mut visit: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<JournalEnd, E> {
        let mut segments = self.segments.iter().peekable();
        let mut due = None;
        loop {
            let Some(&segment) = segments.next() else {
                let nothing = SegmentName { writer: self.writer, first_seq: 1 };
                return Err(self.damaged(nothing, 0, "it is not there").into());
            };
            if segments.peek().is_some_and(|next| next.first_seq <= after + 1) {
                continue;
            }
            let is_last = segments.peek().is_none();
            let end = self.read_segment(segment, due, is_last, &mut |record| {
                if record.id.seq > after { visit(record) } else { Ok(()) }
            })?;
            if is_last {
                return Ok(end);
            }
            due = Some((end.seq + 1, end.hash));
        }
    }

    /// Where the stream ends; reads its last segment only.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn end(&self) -> Result<JournalEnd, JournalError> {
        self.read(u64::MAX - 1, |_record| Ok(()))
    }

    /// Makes the last batch durable, which its process may have written without an answer from
    /// the disk: so whoever learns of it from here never knows more than the journal after a
    /// power cut.
    ///
    /// It is written once more before the sync. When a sync fails the system may drop the
    /// changes and still show them to readers; a further sync alone would then keep nothing.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub fn secure(&self, end: &JournalEnd) -> Result<(), JournalError> {
        let path = self.dir.join(end.segment.file_name());
        let again = |path: &Path| {
            let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
            let mut batch = vec![0; end.last_batch_len];
            let at = end.used_len - batch.len() as u64;
            file.read_exact_at(&mut batch, at)?;
            file.write_all_at(&batch, at)?;
            file.sync_all()
        };
        again(&path).map_err(|source| JournalError::Io { doing: "sync", path, source })
    }

    /// Copies the stream up to `end` into the folder `dir`, durable but for the folder's entries;
    /// a stream without records is left out. Its writer may be at work on what is behind the end.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub fn copy_to(&self, end: &JournalEnd, dir: &Path) -> Result<(), JournalError> {
        for segment in self.segments.iter().filter(|segment| segment.first_seq <= end.seq) {
            let name = segment.file_name();
            let path = self.dir.join(&name);
            let copied = fs::read(&path).and_then(|mut bytes| {
                if *segment == end.segment {
                    bytes.truncate(usize::try_from(end.used_len).unwrap_or(usize::MAX));
                }
                let mut file = fs::File::create_new(dir.join(&name))?;
                file.write_all(&bytes)?;
                file.sync_all()
            });
            copied.map_err(|source| JournalError::Io { doing: "copy", path, source })?;
        }
        Ok(())
    }

    /// Settles the end of a stream whose writer is gone: what is behind it is cut off, and a
    /// segment without any record goes.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub fn close(&self, end: &JournalEnd) -> Result<(), JournalError> {
        let path = self.dir.join(end.segment.file_name());
        let fail = |source| JournalError::Io { doing: "close", path: path.clone(), source };
        if end.seq == 0 && end.torn.is_none() {
            return fs::remove_file(&path).map_err(fail);
        }
        let file = fs::OpenOptions::new().write(true).open(&path).map_err(fail)?;
        if file.metadata().map_err(fail)?.len() != end.used_len {
            file.set_len(end.used_len).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        Ok(())
    }

    pub(super) fn segments(&self) -> &[SegmentName] {
        &self.segments
    }

    pub(super) fn path_of(&self, segment: SegmentName) -> PathBuf {
        self.dir.join(segment.file_name())
    }

    fn read_segment<E: From<JournalError>>(
        &self,
        segment: SegmentName,
        due: Option<(u64, Hash)>,
        is_last: bool,
        visit: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<JournalEnd, E> {
        let path = self.dir.join(segment.file_name());
        let bytes =
            fs::read(&path).map_err(|source| JournalError::Io { doing: "read", path, source })?;
        let header = SegmentHeader::read(&bytes)
            .filter(|header| header.writer == self.writer && header.first_seq == segment.first_seq)
            .ok_or_else(|| self.damaged(segment, 0, "its header does not check out"))?;
        let (seq, hash) = due.unwrap_or((header.first_seq, header.prev_hash));
        if seq != header.first_seq {
            let segment = segment.file_name();
            let found = header.first_seq;
            return Err(JournalError::Gap { segment, expected: seq, found }.into());
        }
        if hash != header.prev_hash {
            return Err(self.damaged(segment, 0, "it does not continue the one before").into());
        }
        let mut end = JournalEnd {
            seq: seq - 1,
            hash,
            segment,
            used_len: HEADER_LEN as u64,
            last_batch_len: 0,
            torn: None,
        };
        let mut left = bytes.get(HEADER_LEN..).unwrap_or_default();
        while let Some(batch) = Batch::read(left) {
            self.read_batch(&batch, &mut end, visit)?;
            left = left.get(batch.len..).unwrap_or_default();
        }
        Ok(self.judge_end(left, is_last, end)?)
    }

    fn read_batch<E: From<JournalError>>(
        &self,
        batch: &Batch<'_>,
        end: &mut JournalEnd,
        visit: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let damaged = |what| self.damaged(end.segment, end.used_len, what);
        if batch.first_seq != end.seq + 1 {
            return Err(damaged("its records are not the next ones").into());
        }
        let mut count = 0;
        let (mut seq, mut hash) = (end.seq, end.hash);
        for bytes in batch.records() {
            let record = Record::parse(bytes).map_err(|_error| damaged("a record is malformed"))?;
            let is_next = record.id.writer == self.writer && record.id.seq == seq + 1;
            if !is_next || record.prev_hash != hash {
                return Err(damaged("a record does not continue the chain").into());
            }
            (seq, hash) = (record.id.seq, record.hash());
            count += 1;
            visit(record)?;
        }
        if count != batch.count {
            return Err(damaged("it holds another number of records than it says").into());
        }
        (end.seq, end.hash) = (seq, hash);
        end.used_len += batch.len as u64;
        end.last_batch_len = batch.len;
        Ok(())
    }

    /// What is left behind the last whole batch: zeros, a cut write, or damage.
    fn judge_end(
        &self,
        left: &[u8],
        is_last: bool,
        mut end: JournalEnd,
    ) -> Result<JournalEnd, JournalError> {
        if left.iter().all(|&octet| octet == 0) {
            return Ok(end);
        }
        let is_followed = left
            .chunks(ALIGN)
            .enumerate()
            .skip(1)
            .filter_map(|(index, _chunk)| Batch::read(left.get(index * ALIGN..)?))
            .any(|batch| batch.first_seq > end.seq);
        if is_followed || !is_last {
            return Err(self.damaged(end.segment, end.used_len, "a batch does not check out"));
        }
        end.torn = Some(Torn { segment: end.segment.file_name(), offset: end.used_len });
        Ok(end)
    }

    fn damaged(&self, segment: SegmentName, offset: u64, what: &'static str) -> JournalError {
        JournalError::Damaged { segment: segment.file_name(), offset, what }
    }
}
