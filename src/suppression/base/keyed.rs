//! Keyed numbers in a base: hashes, which no bitmap makes small.
//!
//! ```text
//! number, 62 bits:  | bucket, 22, 14 or 6 bits | rest, 40, 48 or 56 bits |
//!
//! ends    where each bucket ends                                4 B a bucket
//! rests   what is left of each number, sorted in its bucket     5, 6 or 7 B a number
//! codes   which set of layers each number is in                 0 B where it is one set for all,
//!                                                               else 1, 2 or 4 B a number
//! ```
//!
//! Every bit of a number is there, so that the answer is exact. Hashes are spread evenly: all but
//! the bits that say the bucket are random, and the buckets are as many as make the whole smallest.

use std::collections::HashMap;

use crate::model::Number;

use super::columns::LayoutError;

/// Bits of a number that are in its hash.
const BITS: u32 = Number::KEYED_BITS;

/// Widest code, in octets.
const CODE_LEN_MAX: usize = 4;

/// Keyed numbers of a base, as they stand in memory and in a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyed {
    /// Where each bucket ends, counted in numbers; no bucket where there are no numbers.
    pub(super) ends: Vec<u32>,
    /// What is left of each number, most significant octet first.
    pub(super) rests: Vec<u8>,
    /// The places of sets in `sets`, the lowest octet first; empty where there is one set.
    pub(super) codes: Vec<u8>,
    /// The sets of layers.
    pub(super) sets: Vec<u32>,
}

/// Octets of a rest where there are so many buckets.
const fn rest_len(buckets: usize) -> usize {
    (BITS - buckets.ilog2()).div_ceil(8) as usize
}

/// Buckets where rests have `rest_len` octets.
const fn buckets(rest_len: usize) -> usize {
    1 << (BITS as usize - 8 * rest_len)
}

/// Octets of a code where there are so many sets.
const fn code_len(sets: usize) -> usize {
    match sets {
        0..=1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => CODE_LEN_MAX,
    }
}

const fn misfit() -> LayoutError {
    LayoutError { part: "keyed numbers" }
}

impl Keyed {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.ends.last().copied().map_or(0, u64::from)
    }

    /// The place of the number of the 62 bits `hash`, if it is there.
    pub(super) fn rank(&self, hash: u64) -> Option<usize> {
        if self.ends.is_empty() {
            return None;
        }
        let rest_len = rest_len(self.ends.len());
        let bucket = (hash >> (8 * rest_len)) as usize;
        let from = bucket.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let to = self.ends[bucket] as usize;
        let wanted = &hash.to_be_bytes()[8 - rest_len..];
        let rest = |place: usize| &self.rests[place * rest_len..][..rest_len];
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low + (high - low) / 2;
            match rest(middle).cmp(wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The set of the number at `place`.
    pub(super) fn set(&self, place: usize) -> u32 {
        let len = code_len(self.sets.len());
        let mut octets = [0; CODE_LEN_MAX];
        octets[..len].copy_from_slice(&self.codes[place * len..][..len]);
        self.sets[u32::from_le_bytes(octets) as usize]
    }

    /// Whether all of it fits together, so that no look-up leads out of bounds.
    pub(super) fn check(&self, sets: usize) -> Result<(), LayoutError> {
        let len = self.len() as usize;
        let is_made = self.ends.is_empty() && self.rests.is_empty() && self.codes.is_empty();
        if is_made && self.sets.is_empty() {
            return Ok(());
        }
        let is_width = |rest_len: &usize| buckets(*rest_len) == self.ends.len();
        let rest_len = (5..=7).find(is_width).ok_or(misfit())?;
        let code_len = code_len(self.sets.len());
        let is_whole = self.ends.is_sorted()
            && len > 0
            && !self.sets.is_empty()
            && self.rests.len() == len * rest_len
            && self.codes.len() == len * code_len
            && self.sets.iter().all(|&set| set != 0 && (set as usize) < sets);
        let is_code = |code: &[u8]| {
            let mut octets = [0; CODE_LEN_MAX];
            octets[..code.len()].copy_from_slice(code);
            (u32::from_le_bytes(octets) as usize) < self.sets.len()
        };
        let are_codes = code_len == 0 || self.codes.chunks_exact(code_len).all(is_code);
        if is_whole && are_codes { Ok(()) } else { Err(misfit()) }
    }

    pub(super) fn bytes(&self) -> usize {
        4 * self.ends.capacity()
            + self.rests.capacity()
            + self.codes.capacity()
            + 4 * self.sets.capacity()
    }
}

/// Appends keyed numbers as they come, ascending.
#[derive(Debug, Default)]
pub(super) struct KeyedWriter {
    /// Of the smallest rest: numbers in each bucket.
    counts: Vec<u32>,
    rests: Vec<u8>,
    codes: Vec<u8>,
    code_len: usize,
    sets: Vec<u32>,
    places: HashMap<u32, u32>,
    len: u32,
}

/// Octets of a rest while numbers are appended: the fewest, with the most buckets.
const WRITTEN_LEN: usize = 5;

impl KeyedWriter {
    /// The next number, by its hash, and its set of layers.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] beyond 2^32 numbers.
    pub(super) fn push(&mut self, hash: u64, set: u32) -> Result<(), LayoutError> {
        if self.counts.is_empty() {
            self.counts.resize(buckets(WRITTEN_LEN), 0);
        }
        self.counts[(hash >> (8 * WRITTEN_LEN)) as usize] += 1;
        self.rests.extend_from_slice(&hash.to_be_bytes()[8 - WRITTEN_LEN..]);
        let next = self.sets.len() as u32;
        let code = *self.places.entry(set).or_insert(next);
        if code == next {
            self.sets.push(set);
            self.widen(code_len(self.sets.len()));
        }
        self.codes.extend_from_slice(&code.to_le_bytes()[..self.code_len]);
        self.len = self.len.checked_add(1).ok_or(misfit())?;
        Ok(())
    }

    /// Writes the codes so far with `len` octets each.
    fn widen(&mut self, len: usize) {
        let before = std::mem::replace(&mut self.code_len, len);
        if before == len {
            return;
        }
        let mut wide = vec![0; self.len as usize * len];
        if before > 0 {
            for (wide, code) in wide.chunks_exact_mut(len).zip(self.codes.chunks_exact(before)) {
                wide[..before].copy_from_slice(code);
            }
        }
        self.codes = wide;
    }

    /// All of them, in as many buckets as make the whole smallest.
    pub(super) fn finish(mut self) -> Keyed {
        if self.len == 0 {
            return Keyed::default();
        }
        let size = |rest_len: &usize| 4 * buckets(*rest_len) + self.len as usize * rest_len;
        let rest_len = (WRITTEN_LEN..=7).min_by_key(size).unwrap_or(WRITTEN_LEN);
        let mut ends = vec![0; buckets(rest_len)];
        let wider = rest_len - WRITTEN_LEN;
        let mut rests =
            Vec::with_capacity(if wider == 0 { 0 } else { self.len as usize * rest_len });
        let mut at = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if wider > 0 {
                let front = &(bucket as u64).to_be_bytes()[8 - wider..];
                let behind = &self.rests[at as usize * WRITTEN_LEN..];
                for rest in behind.chunks_exact(WRITTEN_LEN).take(count as usize) {
                    rests.extend_from_slice(front);
                    rests.extend_from_slice(rest);
                }
            }
            at += count;
            ends[bucket >> (8 * wider)] = at;
        }
        if wider == 0 {
            rests = std::mem::take(&mut self.rests);
        }
        rests.shrink_to_fit();
        self.codes.shrink_to_fit();
        self.sets.shrink_to_fit();
        Keyed { ends, rests, codes: self.codes, sets: self.sets }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use super::*;
    use crate::model::RecordId;
    use crate::model::WriterId;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;
    use crate::suppression::base::Base;
    use crate::suppression::base::Layer;
    use crate::suppression::base::Source;

    fn layer(place: usize) -> Layer {
        Layer {
            list: format!("list-{place}").as_str().into(),
            account: None,
            campaign: None,
            topic: None,
            record: RecordId { writer: WriterId(1), seq: place as u64 + 1 },
            segment: [place as u8; 32],
        }
    }

    fn base(layers: &[Vec<Number>]) -> Base {
        let sources = layers.iter().enumerate().map(|(place, numbers)| Source {
            layer: layer(place),
            numbers: numbers.iter().copied().map(Ok::<_, Infallible>),
        });
        Base::build(sources).expect("the layers are sorted")
    }

    /// Some of `all` in each of so many layers, and of numbers that are not hashed too.
    fn layers(random: &mut TokenSource, all: &[Number], count: usize) -> Vec<Vec<Number>> {
        let plain = (1..50).filter_map(|n| Number::from_e164_digits(34_600_000_000 + 7 * n));
        let all: Vec<Number> = plain.chain(all.iter().copied()).collect();
        let some = |_| {
            let share = 1 + random.next_u64() % 4;
            let mut some: Vec<Number> =
                all.iter().filter(|_| random.next_u64().is_multiple_of(share)).copied().collect();
            some.sort_unstable();
            some
        };
        (0..count).map(some).collect()
    }

    #[test]
    fn keyed_numbers_are_found_with_their_layers_and_no_others() {
        for seed in 0..12 {
            let mut random = TokenSource::new(Seed(seed, 11));
            let (count, len) = match seed {
                0 => (1, 1),
                1 => (1, 70_000),
                2 => (20, 3_000),
                _ => (1 + seed as usize, 200 * seed as usize),
            };
            let mut all: Vec<Number> = (0..len).map(|_| Number::keyed(random.next_u64())).collect();
            all.extend([Number::keyed(0), Number::keyed(u64::MAX)]);
            let layers = layers(&mut random, &all, count);
            let base = base(&layers);
            let mut map: BTreeMap<Number, BTreeSet<u16>> = BTreeMap::new();
            for (place, numbers) in layers.iter().enumerate() {
                for number in numbers {
                    map.entry(*number).or_default().insert(place as u16);
                }
            }
            assert_eq!(base.len(), map.len() as u64, "seed {seed}");
            let beside = all.iter().map(|number| Number::keyed(number.digits() ^ 1));
            let far = (0..1000).map(|_| Number::keyed(random.next_u64()));
            for number in all.iter().copied().chain(beside).chain(far) {
                let want: Vec<u16> = map.get(&number).into_iter().flatten().copied().collect();
                let set = base.find(number);
                let found = set.map(|set| base.layers_of(set).to_vec()).unwrap_or_default();
                assert_eq!(found, want, "seed {seed}: {}", number.reveal());
                assert_eq!(base.contains(number), set.is_some());
            }
            let mut octets = Vec::new();
            base.write(&[], &mut octets).expect("memory takes it");
            let (read, _cursor) = Base::read(&mut &*octets, octets.len() as u64).expect("a base");
            let mut again = Vec::new();
            read.write(&[], &mut again).expect("memory takes it");
            assert_eq!(again, octets, "seed {seed}: what is read is what was written");
        }
    }

    #[test]
    fn so_many_buckets_as_make_it_smallest() {
        for (len, want) in [(1_000, 7.7), (100_000, 6.7), (1_000_000, 6.1)] {
            let mut random = TokenSource::new(Seed(len, 3));
            let mut all: Vec<Number> = (0..len).map(|_| Number::keyed(random.next_u64())).collect();
            all.sort_unstable();
            let base = base(&[all]);
            let bytes = base.bytes() as f64 / base.len() as f64;
            assert!(bytes < want, "{len} numbers: {bytes:.2} B a number, at most {want}");
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let mut writer = KeyedWriter::default();
        for (hash, set) in [(5, 1), (9, 2), (1 << 60, 1)] {
            writer.push(hash, set).expect("there is room");
        }
        let whole = writer.finish();
        assert_eq!(whole.check(3), Ok(()));
        assert_eq!(Keyed::default().check(0), Ok(()));
        type Change = fn(&mut Keyed);
        let cases: [(&str, Change); 7] = [
            ("a bucket too few", |keyed| keyed.ends.truncate(keyed.ends.len() - 1)),
            ("buckets that do not ascend", |keyed| keyed.ends[0] = 4),
            ("a rest too short", |keyed| keyed.rests.truncate(keyed.rests.len() - 1)),
            ("a code too many", |keyed| keyed.codes.push(0)),
            ("a code of no set", |keyed| keyed.codes[0] = 2),
            ("a set that is not there", |keyed| keyed.sets[0] = 3),
            ("the empty set", |keyed| keyed.sets[0] = 0),
        ];
        for (name, change) in cases {
            let mut keyed = whole.clone();
            change(&mut keyed);
            assert_eq!(keyed.check(3), Err(misfit()), "{name}");
        }
    }
}
