//! Where entries are: sets of a few places each. The hash of a question tells its set, and a part of the hash, its tag, is compared
//! with those of the set before anything else is looked at.
//!
//! The tags are read without a lock: a look-up that finds nothing writes nothing. One that finds an entry holds the lock of its set
//! with other readers for some hundred nanoseconds, while the reply is copied.

use crate::entry::{Entry, Time};
use api::Question;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Places of a set: as many as leave a set one line of the CPU's cache.
const PLACES: usize = 12;
/// Places that a set gets memory for at once: a part of all.
const MORE: usize = 4;
/// Octets that an entry may have for each place of the capacity, on the average.
const OCTETS_PER_PLACE: usize = 512;
/// The smallest capacity of a table: CoreDNS's, which has 256 shards of at least 4.
const MIN_CAPACITY: usize = 1024;

/// A question's place: its hash, and what tells it from others for the same name.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Keyed hash of everything that answers depend on.
    pub hash: u64,
    /// Questions with other bits do not share entries.
    pub bits: u8,
}

/// A bounded number of entries, with a bounded number of octets.
pub struct Table {
    sets: Box<[Set]>,
    len: AtomicUsize,
    octets: AtomicUsize,
    max_octets: usize,
    /// The set that has to give up an entry next when there are too many octets.
    next: AtomicUsize,
}

#[derive(Default)]
#[repr(align(64))]
struct Set {
    tags: Tags,
    entries: RwLock<Vec<Entry>>,
}

/// The tags of a set's entries, in their order, 0 where there is none; four in a word, which are looked at together.
#[derive(Default)]
struct Tags([AtomicU64; PLACES / LANES]);

/// Tags in a word.
const LANES: usize = 4;
/// 1 in each of them.
const ONES: u64 = 0x0001_0001_0001_0001;

impl Table {
    /// An empty table for so many entries.
    pub fn new(capacity: usize) -> Table {
        let capacity = capacity.max(MIN_CAPACITY);
        let sets = (0..capacity.div_ceil(PLACES)).map(|_| Set::default()).collect();
        let max_octets = capacity.saturating_mul(OCTETS_PER_PLACE);
        let (len, octets, next) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        Table { sets, len, octets, max_octets, next }
    }

    /// Entries, expired ones too.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// What `read` makes of the entry for a question; `None` where there is none.
    pub fn read<T>(&self, question: &Question, key: Key, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let set = self.set(key);
        if !set.may_have(key) {
            return None;
        }
        let entries = set.read();
        let at = set.find(&entries, question, key)?;
        entries.get(at).map(read)
    }

    /// Changes the entry for a question, if there is one.
    pub fn change(&self, question: &Question, key: Key, change: impl FnOnce(&mut Entry)) {
        let set = self.set(key);
        let mut entries = set.write();
        if let Some(at) = set.find(&entries, question, key) {
            let before = entries[at].size();
            change(&mut entries[at]);
            self.account(before, entries[at].size());
        }
    }

    /// Puts an entry in, or in place of the one for the same question, which `replace` gets to see. Returns how many others had to
    /// go for it; those go first that are not usable at `now`, up to `stale` seconds after they have expired.
    pub fn insert(
        &self,
        question: &Question,
        key: Key,
        mut entry: Entry,
        (now, stale): (Time, u64),
        replace: impl FnOnce(&mut Entry, Entry),
    ) -> u64 {
        let set = self.set(key);
        let mut entries = set.write();
        let mut evicted = 0;
        let known = if set.may_have(key) { set.find(&entries, question, key) } else { None };
        let at = match known {
            Some(at) => at,
            None if entries.len() < PLACES => {
                self.account(0, entry.size());
                self.len.fetch_add(1, Relaxed);
                set.tags.set(entries.len(), tag(key));
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(MORE);
                }
                entries.push(entry);
                drop(entries);
                return self.shrink();
            }
            None => {
                evicted = 1;
                victim(&entries, key, |e| !e.usable(now, stale))
            }
        };
        set.tags.set(at, tag(key));
        let before = entries[at].size();
        std::mem::swap(&mut entries[at], &mut entry);
        if evicted == 0 {
            replace(&mut entries[at], entry);
        }
        self.account(before, entries[at].size());
        drop(entries);
        evicted + self.shrink()
    }

    /// Takes out the entry for a question.
    pub fn remove(&self, question: &Question, key: Key) {
        let set = self.set(key);
        if !set.may_have(key) {
            return;
        }
        let mut entries = set.write();
        if let Some(at) = set.find(&entries, question, key) {
            self.take(set, &mut entries, at);
        }
    }

    /// Takes out entries until there are not too many octets; returns how many.
    fn shrink(&self) -> u64 {
        let mut evicted = 0;
        while self.octets.load(Relaxed) > self.max_octets && self.len() > 0 {
            let set = &self.sets[self.next.fetch_add(1, Relaxed) % self.sets.len()];
            let mut entries = set.write();
            if !entries.is_empty() {
                let at = victim(&entries, Key { hash: 0, bits: 0 }, |_| false);
                self.take(set, &mut entries, at);
                evicted += 1;
            }
        }
        evicted
    }

    fn take(&self, set: &Set, entries: &mut Vec<Entry>, at: usize) {
        let last = entries.len() - 1;
        set.tags.set(at, set.tags.get(last));
        set.tags.set(last, 0);
        let taken = entries.swap_remove(at);
        self.account(taken.size(), 0);
        self.len.fetch_sub(1, Relaxed);
    }

    fn account(&self, before: usize, after: usize) {
        self.octets.fetch_add(after.wrapping_sub(before), Relaxed);
    }

    fn set(&self, key: Key) -> &Set {
        // The upper half of the hash, spread over all sets; the tag is at the other end.
        &self.sets[(((key.hash >> 32) * self.sets.len() as u64) >> 32) as usize]
    }
}

impl Set {
    fn may_have(&self, key: Key) -> bool {
        self.tags.have(tag(key))
    }

    fn find(&self, entries: &[Entry], question: &Question, key: Key) -> Option<usize> {
        let is_it = |(at, entry): (usize, &Entry)| self.tags.get(at) == tag(key) && entry.is_for(question, key.bits);
        entries.iter().enumerate().position(is_it)
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tags {
    /// Whether one of them is `tag`.
    fn have(&self, tag: u16) -> bool {
        let (all, highest) = (ONES * u64::from(tag), ONES << 15);
        // 0 is the only one of which taking 1 away sets the highest bit that was not set.
        let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & highest != 0;
        self.0.iter().any(|word| has_zero(word.load(Relaxed) ^ all))
    }

    fn get(&self, at: usize) -> u16 {
        (self.0[at / LANES].load(Relaxed) >> shift(at)) as u16
    }

    /// Only under the lock of the set.
    fn set(&self, at: usize, tag: u16) {
        let word = &self.0[at / LANES];
        let others = word.load(Relaxed) & !(0xffff << shift(at));
        word.store(others | u64::from(tag) << shift(at), Relaxed);
    }
}

/// Where the tag at `at` stands in its word.
fn shift(at: usize) -> usize {
    at % LANES * u16::BITS as usize
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Set>() == 64, "a set is one line of the CPU's cache");

/// Never 0.
fn tag(key: Key) -> u16 {
    key.hash as u16 | 1
}

/// The entry that has to go for another one: a dead one, or else the next one that was not used lately, from a place on that the
/// hash of the other one tells.
fn victim(entries: &[Entry], key: Key, dead: impl Fn(&Entry) -> bool) -> usize {
    if let Some(at) = entries.iter().position(dead) {
        return at;
    }
    let first = (key.hash >> 16) as usize % entries.len();
    let mut places = (first..entries.len()).chain(0..first);
    places.find(|&at| !entries[at].take_used()).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_wherever_they_stand() {
        let tags = Tags::default();
        let used = [1, 3, 0x8001, 0x7fff, 0xffff, 0x0101, 5, 7, 9, 11, 13, 15];
        for (at, tag) in used.into_iter().enumerate() {
            assert!(!tags.have(tag), "{tag:x}");
            tags.set(at, tag);
            assert!(used[..=at].iter().all(|tag| tags.have(*tag)));
        }
        assert!((1..=u16::MAX).step_by(2).all(|tag| tags.have(tag) == used.contains(&tag)));
        tags.set(4, 0);
        let got: Vec<u16> = (0..PLACES).map(|at| tags.get(at)).collect();
        assert_eq!((got[4], got[3], got[5], tags.have(0xffff)), (0, 0x7fff, 0x0101, false));
    }
}
