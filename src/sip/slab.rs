//! A table whose keys outlive its values safely: an index with a generation, packed beside the
//! shard into the 64 bits of a `SessionId` or `TransactionId`.
//!
//! ```text
//!  63     56 55                    32 31                             0
//! +---------+------------------------+--------------------------------+
//! |  shard  |       generation       |             index              |
//! +---------+------------------------+--------------------------------+
//! ```
//!
//! A key of a value that is gone finds nothing, even when the index has a new tenant. Values are
//! boxed, so that a burst leaves behind 16 bytes a slot and not its largest machine.

/// A table of `T` under packed keys.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    shard: u8,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<Box<T>>,
}

/// Generations count from 1 to this and begin again; a stale key would have to survive sixteen
/// million tenants of one slot, while timers hold keys for minutes.
const GENERATION_MAX: u32 = (1 << 24) - 1;

impl<T> Slab<T> {
    /// An empty table whose keys carry `shard`.
    pub(crate) const fn new(shard: u8) -> Self {
        Self { shard, slots: Vec::new(), free: Vec::new() }
    }

    /// The key that the next [`Self::insert`] returns, for values that must know their own.
    pub(crate) fn next_key(&self) -> u64 {
        let index = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(index as usize).map_or(1, |slot| slot.generation);
        self.pack(index, generation)
    }

    /// Stores `value` and returns its key.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        let key = self.next_key();
        let index = key as u32 as usize;
        match self.slots.get_mut(index) {
            Some(slot) => {
                self.free.pop();
                slot.value = Some(Box::new(value));
            }
            None => self.slots.push(Slot { generation: 1, value: Some(Box::new(value)) }),
        }
        key
    }

    /// The value of `key`.
    pub(crate) fn find(&self, key: u64) -> Option<&T> {
        let slot = self.slots.get(key as u32 as usize)?;
        (self.pack(key as u32, slot.generation) == key).then_some(slot.value.as_deref()?)
    }

    /// The value of `key`, to be changed.
    pub(crate) fn find_mut(&mut self, key: u64) -> Option<&mut T> {
        let shard = self.shard;
        let slot = self.slots.get_mut(key as u32 as usize)?;
        if pack(shard, key as u32, slot.generation) != key {
            return None;
        }
        slot.value.as_deref_mut()
    }

    /// The present tenant of the slot `index`, with its key: for names on the wire that carry
    /// the index beside a secret of their own.
    pub(crate) fn find_at(&self, index: u32) -> Option<(u64, &T)> {
        let slot = self.slots.get(index as usize)?;
        Some((self.pack(index, slot.generation), slot.value.as_deref()?))
    }

    /// Takes the value of `key` out.
    pub(crate) fn remove(&mut self, key: u64) -> Option<Box<T>> {
        self.find(key)?;
        let slot = self.slots.get_mut(key as u32 as usize)?;
        let value = slot.value.take()?;
        slot.generation = if slot.generation == GENERATION_MAX { 1 } else { slot.generation + 1 };
        self.free.push(key as u32);
        Some(value)
    }

    /// How many values there are.
    pub(crate) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    const fn pack(&self, index: u32, generation: u32) -> u64 {
        pack(self.shard, index, generation)
    }
}

const fn pack(shard: u8, index: u32, generation: u32) -> u64 {
    (shard as u64) << 56 | (generation as u64) << 32 | index as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_own_value_and_no_later_tenant() {
        let mut slab = Slab::new(7);
        assert_eq!(slab.next_key(), 7 << 56 | 1 << 32);
        let first = slab.insert("first");
        assert_eq!(slab.remove(first).as_deref(), Some(&"first"));
        let second = slab.insert("second");
        assert_eq!(first as u32, second as u32, "the slot is used again");
        assert_eq!((slab.find(first), slab.find(second)), (None, Some(&"second")));
        assert_eq!(slab.find_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.find(second ^ 1 << 56), slab.len()), (None, 1), "another shard's key");
        assert_eq!(slab.find_at(0), Some((second, &"second")));
        assert_eq!(slab.find_at(1), None);
    }

    #[test]
    fn generations_begin_again_after_their_last() {
        let mut slab = Slab::new(0);
        let key = slab.insert(1);
        slab.slots[0].generation = GENERATION_MAX;
        assert_eq!(slab.find(key), None);
        let last = slab.find_at(0).map(|(key, _)| key).unwrap();
        slab.remove(last);
        assert_eq!(slab.insert(2), 1 << 32);
    }
}
