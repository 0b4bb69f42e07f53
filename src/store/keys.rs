//! The keys of numbers: a file of slots, each a random key that one number takes.
//!
//! ```text
//! +--------------------------------------+--------+--------+-----
//! | header 4 KiB: magic, tag key, CRC-32 | slot 0 | slot 1 | ...    32 octets each
//! |   at 64: signing key, CRC-32         |        |        |
//! |   at 128: how numbers are kept, CRC  |        |        |
//! |   at 160: the first free slot, CRC   |        |        |
//! |   at 168: what it was left for, CRC  |        |        |
//! +--------------------------------------+--------+--------+-----
//! ```
//!
//! Slots are filled with random octets and made durable thousands at a time, *before* any number
//! takes one. So a record that names a slot needs no second sync of its own, and a key is
//! destroyed by writing zeros over its slot. Which number has which slot stands in the records
//! under a keyed hash, never here. A slot of zeros is destroyed and is not given out again.
//!
//! Where numbers are kept as they are, a number must outlive the evidence that was sealed with it:
//! there its slot says the number instead of the key. So whoever reads a record of it finds what
//! refuses it, in whatever order, and nothing else.
//!
//! ```text
//! key       32 octets at random
//! destroyed 32 zeros
//! kept      "bajavoz number\0\x01" | number, 8 octets | CRC-32 | 4 zeros
//! ```
//!
//! The signing key is the Ed25519 seed under which the store's checkpoints are signed: drawn with
//! the file, or once for a file that was made before there was one. How numbers are kept is said
//! when the file is made and never again; where nothing is said they are kept as they are.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::model::Number;
use crate::model::WriterId;
use crate::suppression::NumberStorage;
use crate::suppression::StorageMark;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::NumberKey;
use crate::suppression::proof::Signer;
use crate::suppression::proof::TagKey;

use super::journal::sync_dir;
use super::random;

const MAGIC: [u8; 8] = *b"bajakey\x01";
const HEADER_LEN: u64 = 4096;
const SLOT_LEN: u64 = 32;
/// Where the signing key stands, with its CRC-32 behind it.
const SIGNING_AT: usize = 64;
const SIGNING_LEN: usize = 36;
/// Where it says how numbers are kept: one octet, a fingerprint of 16, and their CRC-32.
const MARK_AT: usize = 128;
const MARK_LEN: usize = 21;
/// In the first of these octets: as keyed hashes.
const MARK_KEYED: u8 = 1;
/// Where it says which slot is the first that may be given out, with its CRC-32 behind it.
const FREE_AT: usize = 160;
const FREE_LEN: usize = 8;
/// Where it says which records, missing in the journal, slots were last left free for, with its CRC-32
/// behind it.
const LACKING_AT: usize = FREE_AT + FREE_LEN;
const LACKING_LEN: usize = 8;
/// Slots made at a time: one sync for as many numbers.
const CHUNK_SLOTS: u32 = 4096;
/// What a slot begins with that says a number. No key does, but for one of 2^128.
const KEPT: [u8; 16] = *b"bajavoz number\0\x01";

/// A stream with records that the journal lacks: whose, its last record in the journal, and the last
/// that a shared database knows.
pub(super) type Lack = (WriterId, u64, u64);

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A key.
    Key([u8; SLOT_LEN as usize]),
    /// Whose key it was, and no more.
    Kept(Number),
    /// Nothing: it was destroyed.
    Destroyed,
}

/// The key file, with the numbers that already have a key.
#[derive(Debug)]
pub(super) struct KeyFile {
    file: File,
    tag_key: TagKey,
    numbers: NumberStorage,
    slots: HashMap<KeyTag, u32>,
    /// The first slot that no number has taken.
    next_slot: u32,
    /// What slots were last left free for; zero where that was nothing that can be named.
    lacking: u32,
    /// Slots that are filled and durable.
    slots_len: u32,
}

impl KeyFile {
    /// Opens the file at `path` for sealing numbers that are kept as `numbers`, and makes it when
    /// it is missing and `may_create`.
    pub(super) fn open(path: &Path, may_create: bool, numbers: NumberStorage) -> io::Result<Self> {
        if may_create && !path.exists() {
            create(path, numbers.mark())?;
        }
        let file = Self::from_file(OpenOptions::new().read(true).write(true).open(path)?)?;
        Ok(Self { numbers, ..file })
    }

    /// Opens the file at `path` for reading records alone: nothing is written to it.
    pub(super) fn open_read_only(path: &Path) -> io::Result<Self> {
        Self::from_file(File::open(path)?)
    }

    fn from_file(file: File) -> io::Result<Self> {
        let mut header = [0; 44];
        file.read_exact_at(&mut header, 0)?;
        let tag_key = read_header(&header).ok_or(io::ErrorKind::InvalidData)?;
        let slots_len = file.metadata()?.len().saturating_sub(HEADER_LEN) / SLOT_LEN;
        let slots_len = u32::try_from(slots_len).unwrap_or(u32::MAX);
        let numbers = NumberStorage::default();
        let mut free = [0; FREE_LEN];
        file.read_exact_at(&mut free, FREE_AT as u64)?;
        let next_slot = read_word(&free).ok_or(io::ErrorKind::InvalidData)?;
        let mut lacking = [0; LACKING_LEN];
        file.read_exact_at(&mut lacking, LACKING_AT as u64)?;
        let lacking = read_word(&lacking).ok_or(io::ErrorKind::InvalidData)?;
        let slots = HashMap::new();
        Ok(Self { file, tag_key, numbers, slots, next_slot, lacking, slots_len })
    }

    /// Makes the newest slots durable: the process that filled them may have ended before the disk
    /// had answered, and a key that only readers are shown takes its number's records with it in a
    /// power cut. They are written once more before the sync, as [`super::journal::Stream::secure`]
    /// says why.
    pub(super) fn secure(&self) -> io::Result<()> {
        let newest = self.slots_len.min(CHUNK_SLOTS);
        let at = HEADER_LEN + u64::from(self.slots_len - newest) * SLOT_LEN;
        let mut slots = vec![0; (u64::from(newest) * SLOT_LEN) as usize];
        self.file.read_exact_at(&mut slots, at)?;
        self.file.write_all_at(&slots, at)?;
        self.file.sync_all()
    }

    /// How the numbers of this store are kept.
    pub(super) fn mark(&self) -> io::Result<StorageMark> {
        let mut stored = [0; MARK_LEN];
        self.file.read_exact_at(&mut stored, MARK_AT as u64)?;
        read_mark(&stored).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Learns from a stored record that `tag` has taken `slot`. Slots are given out ascending, so
    /// that of several a number has the last.
    pub(super) fn learn(&mut self, tag: KeyTag, slot: u32) {
        let known = self.slots.entry(tag).or_insert(slot);
        *known = slot.max(*known);
        self.next_slot = self.next_slot.max(slot.saturating_add(1));
    }

    /// What is in `slot`.
    pub(super) fn slot(&self, slot: u32) -> io::Result<Slot> {
        let mut octets = [0; SLOT_LEN as usize];
        self.file.read_exact_at(&mut octets, HEADER_LEN + u64::from(slot) * SLOT_LEN)?;
        Ok(match kept_in(&octets) {
            _ if octets.iter().all(|&octet| octet == 0) => Slot::Destroyed,
            Some(number) => Slot::Kept(number),
            None => Slot::Key(octets),
        })
    }

    /// The key in `slot`; `None` once destroyed.
    pub(super) fn key_in(&self, slot: u32) -> io::Result<Option<[u8; 32]>> {
        Ok(match self.slot(slot)? {
            Slot::Key(key) => Some(key),
            Slot::Kept(_) | Slot::Destroyed => None,
        })
    }

    /// Whether a record that says `tag` of its key is of `number`, as that is kept.
    pub(super) fn is_of(&self, tag: KeyTag, number: Number) -> bool {
        self.tag_key.tag(number) == tag
    }

    /// Adds to the copy at `to` the slots that the file at `from` has got since, and its header. What has
    /// been destroyed meanwhile stays in the copy as it was: records that say so may not be in what else
    /// is copied.
    pub(super) fn complete_copy(from: &Path, to: &Path) -> io::Result<()> {
        let mut from = File::open(from)?;
        let mut to = OpenOptions::new().write(true).open(to)?;
        let mut header = vec![0; HEADER_LEN as usize];
        from.read_exact_at(&mut header, 0)?;
        to.write_all_at(&header, 0)?;
        // Slots that were only half there are taken whole.
        let slots_len = to.metadata()?.len().saturating_sub(HEADER_LEN) / SLOT_LEN;
        let copied = HEADER_LEN + slots_len * SLOT_LEN;
        from.seek(io::SeekFrom::Start(copied))?;
        to.seek(io::SeekFrom::Start(copied))?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    }

    /// Gives the keys in `slots` to no record any more: the next one of their numbers gets another.
    pub(super) fn retire(&mut self, slots: &[u32]) {
        let slots: HashSet<u32> = slots.iter().copied().collect();
        self.slots.retain(|_tag, slot| !slots.contains(slot));
    }

    /// The key of `number`, durable before it is returned; the number takes a slot when it has
    /// none, or when its former key was destroyed.
    pub(super) fn key_of(&mut self, number: Number) -> io::Result<NumberKey> {
        let stored = self.numbers.stored(number);
        let tag = self.tag_key.tag(stored);
        let keyed = Some(stored).filter(|stored| stored.is_keyed());
        if let Some(&slot) = self.slots.get(&tag) {
            match self.key_in(slot) {
                Ok(Some(key)) => return Ok(NumberKey { tag, slot, keyed, key }),
                Ok(None) => {}
                // Else one bad sector would keep everybody's opt-outs off the record.
                Err(error) => {
                    tracing::error!(slot, %error, "a number's key cannot be read; it gets another");
                }
            }
        }
        loop {
            while self.next_slot >= self.slots_len {
                self.extend()?;
            }
            let slot = self.next_slot;
            self.next_slot += 1;
            if let Some(key) = self.key_in(slot)? {
                self.slots.insert(tag, slot);
                return Ok(NumberKey { tag, slot, keyed, key });
            }
        }
    }

    /// Destroys the keys in `slots` of the file at `path`, of which `number` is kept where there is
    /// one: durable when this returns. Whoever has the file open finds them gone.
    pub(super) fn destroy(path: &Path, slots: &[u32], number: Option<Number>) -> io::Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(path)?;
        let left = number.map_or([0; SLOT_LEN as usize], kept);
        for slot in slots {
            let at = HEADER_LEN + u64::from(*slot) * SLOT_LEN;
            file.write_all_at(&left, at)?;
        }
        file.sync_all()
    }

    /// Gives out none of the slots that are filled by now, save to the numbers that have one: this file
    /// is a copy, and of records that came after it was made nobody knows here which they took. Two
    /// numbers with one key would be erased together.
    pub(super) fn leave_free_slots(&mut self) -> io::Result<()> {
        self.leave_free_slots_for(0)
    }

    /// The same, once for each set of records that `lacks` lists: of streams whose journal is shorter
    /// here than what a shared database knows, with both ends. They stay so for good, and a folder that
    /// is set back another time lacks others.
    pub(super) fn leave_slots_of(&mut self, lacks: &[Lack]) -> io::Result<()> {
        let mut lacks = lacks.to_vec();
        lacks.sort_unstable();
        let mut hasher = crc32fast::Hasher::new();
        for (writer, journal, database) in &lacks {
            for word in [writer.0, *journal, *database] {
                hasher.update(&word.to_be_bytes());
            }
        }
        // Zero is what is said of no record.
        let lacking = hasher.finalize().max(1);
        if lacks.is_empty() || lacking == self.lacking {
            return Ok(());
        }
        self.leave_free_slots_for(lacking)
    }

    fn leave_free_slots_for(&mut self, lacking: u32) -> io::Result<()> {
        self.next_slot = self.next_slot.max(self.slots_len);
        self.lacking = lacking;
        let words = [written_word(self.next_slot), written_word(lacking)];
        self.file.write_all_at(words.as_flattened(), FREE_AT as u64)?;
        self.file.sync_all()
    }

    /// The key under which checkpoints are signed; drawn and made durable when there is none.
    pub(super) fn signer(&self) -> io::Result<Signer> {
        if let Some(signer) = self.signer_there()? {
            return Ok(signer);
        }
        let drawn = draw_signing_key()?;
        self.file.write_all_at(&drawn, SIGNING_AT as u64)?;
        self.file.sync_all()?;
        self.signer_there()?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The same, where there is one; nothing is written.
    pub(super) fn signer_there(&self) -> io::Result<Option<Signer>> {
        let mut stored = [0; SIGNING_LEN];
        self.file.read_exact_at(&mut stored, SIGNING_AT as u64)?;
        if stored == [0; SIGNING_LEN] {
            return Ok(None);
        }
        read_signing_key(&stored).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Makes sure that the next number finds a key: for whoever wants to know whether the disk is
    /// back.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        while self.next_slot >= self.slots_len {
            self.extend()?;
        }
        self.key_in(self.next_slot).map(drop)
    }

    fn extend(&mut self) -> io::Result<()> {
        let slots_len =
            self.slots_len.checked_add(CHUNK_SLOTS).ok_or(io::ErrorKind::StorageFull)?;
        let at = HEADER_LEN + u64::from(self.slots_len) * SLOT_LEN;
        self.file.write_all_at(&random_chunk()?, at)?;
        self.file.sync_all()?;
        self.slots_len = slots_len;
        Ok(())
    }
}

/// A slot that says `number`.
fn kept(number: Number) -> [u8; SLOT_LEN as usize] {
    let mut slot = [0; SLOT_LEN as usize];
    slot[..16].copy_from_slice(&KEPT);
    slot[16..24].copy_from_slice(&number.digits().to_be_bytes());
    let crc = crc32fast::hash(&slot[..24]);
    slot[24..28].copy_from_slice(&crc.to_be_bytes());
    slot
}

/// The number in a slot that says one, and is whole.
fn kept_in(slot: &[u8; SLOT_LEN as usize]) -> Option<Number> {
    let number = slot.strip_prefix(&KEPT)?.first_chunk().copied().map(u64::from_be_bytes)?;
    Number::from_key(number).filter(|number| kept(*number) == *slot)
}

fn create(path: &Path, mark: StorageMark) -> io::Result<()> {
    let mut header = MAGIC.to_vec();
    let mut tag_key = [0; 32];
    random::fill(&mut tag_key)?;
    header.extend_from_slice(&tag_key);
    header.extend_from_slice(&crc32fast::hash(&header).to_be_bytes());
    header.resize(SIGNING_AT, 0);
    header.extend_from_slice(&draw_signing_key()?);
    header.resize(MARK_AT, 0);
    header.extend_from_slice(&written_mark(mark));
    header.resize(HEADER_LEN as usize, 0);
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(&header)?;
    file.write_all(&random_chunk()?)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn read_header(header: &[u8; 44]) -> Option<TagKey> {
    let (covered, crc) = header.split_last_chunk::<4>()?;
    let (magic, tag_key) = covered.split_first_chunk::<8>()?;
    let is_whole = *magic == MAGIC && crc32fast::hash(covered) == u32::from_be_bytes(*crc);
    is_whole.then(|| tag_key.try_into().ok().map(TagKey))?
}

fn draw_signing_key() -> io::Result<[u8; SIGNING_LEN]> {
    let mut seed = [0; 32];
    random::fill(&mut seed)?;
    let mut stored = [0; SIGNING_LEN];
    stored[..32].copy_from_slice(&seed);
    stored[32..].copy_from_slice(&crc32fast::hash(&seed).to_be_bytes());
    Ok(stored)
}

fn read_signing_key(stored: &[u8; SIGNING_LEN]) -> Option<Signer> {
    let (seed, crc) = stored.split_last_chunk::<4>()?;
    let is_whole = crc32fast::hash(seed) == u32::from_be_bytes(*crc);
    is_whole.then(|| seed.try_into().ok().map(Signer::new))?
}

fn written_mark(mark: StorageMark) -> [u8; MARK_LEN] {
    let mut stored = [0; MARK_LEN];
    if let StorageMark::Keyed(fingerprint) = mark {
        stored[0] = MARK_KEYED;
        stored[1..17].copy_from_slice(&fingerprint);
        let crc = crc32fast::hash(&stored[..17]);
        stored[17..].copy_from_slice(&crc.to_be_bytes());
    }
    stored
}

/// Files of before there was a choice have zeros there.
fn read_mark(stored: &[u8; MARK_LEN]) -> Option<StorageMark> {
    let (said, crc) = stored.split_last_chunk::<4>()?;
    let (kind, fingerprint) = said.split_first()?;
    match *kind {
        0 if *stored == [0; MARK_LEN] => Some(StorageMark::Plain),
        MARK_KEYED if crc32fast::hash(said) == u32::from_be_bytes(*crc) => {
            fingerprint.try_into().ok().map(StorageMark::Keyed)
        }
        _ => None,
    }
}

/// A word of the header with its CRC-32; zero as zeros alone.
fn written_word(word: u32) -> [u8; FREE_LEN] {
    let mut stored = [0; FREE_LEN];
    if word == 0 {
        return stored;
    }
    stored[..4].copy_from_slice(&word.to_be_bytes());
    let crc = crc32fast::hash(&stored[..4]);
    stored[4..].copy_from_slice(&crc.to_be_bytes());
    stored
}

/// The reverse of [`written_word`].
fn read_word(stored: &[u8; FREE_LEN]) -> Option<u32> {
    let (word, crc) = stored.split_first_chunk::<4>()?;
    let is_whole = *stored == [0; FREE_LEN] || crc == crc32fast::hash(word).to_be_bytes();
    is_whole.then_some(u32::from_be_bytes(*word))
}

fn random_chunk() -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; (u64::from(CHUNK_SLOTS) * SLOT_LEN) as usize];
    random::fill(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppression::NumberSecret;

    fn number(digits: u64) -> Number {
        Number::from_e164_digits(digits).expect("the test's numbers are E.164")
    }

    /// Whose key was in `slot`, where that was kept of it, for a record that says `tag` of it.
    fn kept_in(keys: &KeyFile, tag: KeyTag, slot: u32) -> Option<Number> {
        match keys.slot(slot).unwrap() {
            Slot::Kept(number) if keys.is_of(tag, number) => Some(number),
            Slot::Kept(_) | Slot::Key(_) | Slot::Destroyed => None,
        }
    }

    #[test]
    fn a_number_keeps_its_key_and_a_destroyed_one_is_not_given_out_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut keys = KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        let first = keys.key_of(number(1)).unwrap();
        let second = keys.key_of(number(2)).unwrap();
        assert_eq!((first.slot, second.slot), (0, 1));
        assert_eq!(keys.key_of(number(1)).unwrap().key, first.key);

        keys.file.write_all_at(&[0; 32], HEADER_LEN).unwrap();
        assert_eq!(keys.key_in(0).unwrap(), None);
        let mut keys = KeyFile::open(&path, false, NumberStorage::Plain).unwrap();
        keys.learn(first.tag, 0);
        assert_eq!(keys.key_of(number(1)).unwrap().slot, 1, "a fresh slot after the destroyed");
        let mut keys = KeyFile::open(&path, false, NumberStorage::Plain).unwrap();
        assert_eq!(keys.key_of(number(3)).unwrap().slot, 1, "zeros are skipped");
    }

    #[test]
    fn of_a_key_that_is_destroyed_the_number_may_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut keys = KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        let [first, second] = [1, 2].map(|n| keys.key_of(number(n)).unwrap());
        KeyFile::destroy(&path, &[first.slot], Some(number(1))).unwrap();
        assert_eq!(keys.slot(first.slot).unwrap(), Slot::Kept(number(1)));
        assert_eq!(keys.slot(second.slot).unwrap(), Slot::Key(second.key));
        assert_eq!(keys.key_in(first.slot).unwrap(), None);
        assert_eq!(kept_in(&keys, first.tag, first.slot), Some(number(1)));
        assert_eq!(kept_in(&keys, second.tag, first.slot), None, "of another's record");
        assert_eq!(kept_in(&keys, second.tag, second.slot), None, "it is a key");
        assert_eq!(keys.key_of(number(1)).unwrap().slot, 2, "opting out again takes another");
        keys.retire(&[second.slot]);
        assert_eq!(keys.key_of(number(2)).unwrap().slot, 3, "one that is given out no more");
        KeyFile::destroy(&path, &[second.slot], None).unwrap();
        assert_eq!(keys.slot(second.slot).unwrap(), Slot::Destroyed);
        // A write that was cut short is no number, and is done again as any key is destroyed.
        let mut cut = kept(number(1));
        cut[20] ^= 1;
        keys.file.write_all_at(&cut, HEADER_LEN).unwrap();
        assert_eq!(keys.slot(first.slot).unwrap(), Slot::Key(cut));
    }

    #[test]
    fn the_signing_key_is_drawn_once_and_a_damaged_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let keys = KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&keys.file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let key = keys.signer().unwrap().public();
        assert_eq!(
            KeyFile::open(&path, false, NumberStorage::Plain).unwrap().signer().unwrap().public(),
            key
        );

        keys.file.write_all_at(&[0; SIGNING_LEN], SIGNING_AT as u64).unwrap();
        assert!(keys.signer_there().unwrap().is_none(), "a file of before");
        let other = keys.signer().unwrap().public();
        assert_ne!(other, key);
        assert_eq!(
            KeyFile::open(&path, false, NumberStorage::Plain).unwrap().signer().unwrap().public(),
            other
        );

        keys.file.write_all_at(b"x", SIGNING_AT as u64 + 3).unwrap();
        assert_eq!(keys.signer().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn how_numbers_are_kept_is_said_once_and_what_is_damaged_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let keyed = NumberStorage::Keyed(NumberSecret::new(&[7; 32]));
        let path = dir.path().join("keys");
        let mut keys = KeyFile::open(&path, true, keyed.clone()).unwrap();
        assert_eq!(keys.mark().unwrap(), keyed.mark());
        let key = keys.key_of(number(1)).unwrap();
        assert_eq!(key.keyed, Some(keyed.stored(number(1))));
        let again = keys.key_of(keyed.stored(number(1))).unwrap();
        assert_eq!(
            (again.tag, again.slot),
            (key.tag, key.slot),
            "the same, asked for as it is kept"
        );
        let keys = KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        assert_eq!(keys.mark().unwrap(), keyed.mark(), "whatever is asked for later");
        for at in [0, 5, 20] {
            let mut octet = [0];
            keys.file.read_exact_at(&mut octet, (MARK_AT + at) as u64).unwrap();
            keys.file.write_all_at(&[octet[0] ^ 1], (MARK_AT + at) as u64).unwrap();
            assert_eq!(keys.mark().unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}");
            keys.file.write_all_at(&octet, (MARK_AT + at) as u64).unwrap();
        }
        keys.file.write_all_at(&[0; MARK_LEN], MARK_AT as u64).unwrap();
        assert_eq!(keys.mark().unwrap(), StorageMark::Plain, "a file of before");
    }

    #[test]
    fn a_copy_gives_out_no_slot_that_records_behind_it_may_have_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let open = || KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        let mut keys = open();
        let first = keys.key_of(number(1)).unwrap();
        keys.leave_free_slots().unwrap();
        assert_eq!(keys.key_of(number(2)).unwrap().slot, CHUNK_SLOTS);
        assert_eq!(keys.key_of(number(1)).unwrap().key, first.key, "who had one keeps it");
        let mut keys = open();
        assert_eq!(keys.key_of(number(3)).unwrap().slot, CHUNK_SLOTS, "at the next start too");
        keys.leave_free_slots().unwrap();
        assert_eq!(open().key_of(number(4)).unwrap().slot, 2 * CHUNK_SLOTS, "a copy of a copy");
        keys.file.write_all_at(b"x", FREE_AT as u64 + 2).unwrap();
        let damaged = KeyFile::open(&path, true, NumberStorage::Plain);
        assert_eq!(damaged.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn slots_are_left_for_lacking_records_once_and_for_others_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let open = || KeyFile::open(&path, true, NumberStorage::Plain).unwrap();
        let next = |lacks: &[Lack], n: u64| {
            let mut keys = open();
            keys.leave_slots_of(lacks).unwrap();
            keys.key_of(number(n)).unwrap().slot
        };
        let (one, other) = ((WriterId(1), 5, 9), (WriterId(2), 0, 3));
        assert_eq!(next(&[], 1), 0, "nothing is lacking");
        assert_eq!(next(&[one], 1), CHUNK_SLOTS);
        assert_eq!(next(&[one], 2), CHUNK_SLOTS, "as it was left then");
        assert_eq!(next(&[one, other], 3), 2 * CHUNK_SLOTS);
        assert_eq!(next(&[other, one], 4), 2 * CHUNK_SLOTS, "in whatever order");
        open().leave_free_slots().unwrap();
        assert_eq!(
            next(&[one, other], 5),
            3 * CHUNK_SLOTS,
            "a copy begins behind all that is filled"
        );
        let keys = open();
        keys.file.write_all_at(b"x", LACKING_AT as u64 + 1).unwrap();
        let damaged = KeyFile::open(&path, true, NumberStorage::Plain);
        assert_eq!(damaged.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_file_grows_when_its_slots_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = KeyFile::open(&dir.path().join("keys"), true, NumberStorage::Plain).unwrap();
        keys.learn(KeyTag([1; 16]), CHUNK_SLOTS - 1);
        let key = keys.key_of(number(1)).unwrap();
        assert_eq!((key.slot, keys.slots_len), (CHUNK_SLOTS, 2 * CHUNK_SLOTS));
    }

    #[test]
    fn a_slot_that_cannot_be_read_takes_nobody_elses_opt_outs_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = KeyFile::open(&dir.path().join("keys"), true, NumberStorage::Plain).unwrap();
        let tag = keys.tag_key.tag(number(1));
        // Records name a slot far beyond the file: it is a copy from before them.
        keys.learn(tag, 3 * CHUNK_SLOTS);
        assert!(keys.key_in(3 * CHUNK_SLOTS).is_err());
        let other = keys.key_of(number(1)).unwrap();
        assert_eq!((other.slot, keys.slots_len), (3 * CHUNK_SLOTS + 1, 4 * CHUNK_SLOTS));
        assert_eq!(keys.key_of(number(1)).unwrap().key, other.key);
    }

    #[test]
    fn a_missing_or_damaged_file_is_an_error_where_it_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        assert_eq!(
            KeyFile::open(&path, false, NumberStorage::Plain).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        drop(KeyFile::open(&path, true, NumberStorage::Plain).unwrap());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"x", 20).unwrap();
        assert_eq!(
            KeyFile::open(&path, true, NumberStorage::Plain).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
