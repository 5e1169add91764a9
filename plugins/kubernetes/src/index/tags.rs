//! From a hash to slot numbers: what finds a service, an endpoint or an address by its name.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A multimap from 64-bit hashes to slot numbers.
///
/// Only half of the hash is kept: whoever finds a slot compares the name with the value there. There is one writer; readers never
/// wait, and touch nothing that others write.
///
/// Tags stand in buckets, each a line of the CPU's cache: a look-up costs one read from memory. What finds its bucket full goes on
/// to another one, and the full bucket counts it, so that a look-up knows where to end and no tag has to move when another goes
/// (N. Bronson, X. Shi, "Open-sourcing F14", 2019). When there are too few buckets their number doubles, by a chunk behind those
/// that there are: half of the tags move there. Until all have, they stand in both places.
pub struct Tags {
    /// The first has [`FIRST`] buckets, each other one as many as all before it.
    chunks: [OnceLock<Box<[Bucket]>>; CHUNKS],
    /// The number of buckets, a power of two, less one: the bits of a hash that say where its tags are.
    mask: AtomicUsize,
    /// How many tags there are.
    len: AtomicUsize,
}

#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    /// The upper half of a hash and a slot number plus 1; 0 where there is none.
    tags: [AtomicU64; 7],
    /// How many tags found this bucket full and stand further on.
    passed: AtomicU64,
}

impl Tags {
    pub fn new() -> Self {
        Tags {
            chunks: [const { OnceLock::new() }; CHUNKS],
            mask: AtomicUsize::new(FIRST - 1),
            len: AtomicUsize::new(0),
        }
    }

    /// Calls `look` with each slot under `hash` until it returns something, and returns that. While the number of buckets doubles, it may
    /// be called with a slot again.
    #[inline]
    pub fn find<R>(&self, hash: u64, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let mut mask = self.mask.load(Ordering::Acquire);
        loop {
            for bucket in self.walk(mask, hash) {
                for tag in &bucket.tags {
                    let tag = tag.load(Ordering::Acquire);
                    if tag >> 32 == hash >> 32
                        && let Some(slot) = (tag as u32).checked_sub(1)
                        && let Some(found) = look(slot)
                    {
                        return Some(found);
                    }
                }
                if bucket.passed.load(Ordering::Acquire) == 0 {
                    break;
                }
            }
            // Perhaps it has moved meanwhile.
            let now = self.mask.load(Ordering::Acquire);
            if now == mask {
                return None;
            }
            mask = now;
        }
    }

    /// Adds `slot` under `hash`, once.
    pub fn insert(&self, hash: u64, slot: u32) {
        if self.find(hash, |s| (s == slot).then_some(())).is_some() {
            return;
        }
        let (len, mask) = (self.len.load(Ordering::Relaxed), self.mask.load(Ordering::Relaxed));
        if len == 0 {
            self.chunks[0].get_or_init(|| buckets(FIRST));
        } else if len >= (mask + 1) * FULL {
            self.double(mask);
        }
        self.put(self.mask.load(Ordering::Relaxed), tag(hash, slot));
        self.len.store(len + 1, Ordering::Relaxed);
    }

    /// Removes `slot` from under `hash`, if it is there.
    pub fn remove(&self, hash: u64, slot: u32) {
        if self.take(self.mask.load(Ordering::Relaxed), tag(hash, slot)) {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a tag into the first bucket of its walk that has room. There is one: long before all are full their number doubles.
    fn put(&self, mask: usize, tag: u64) {
        for bucket in self.walk(mask, tag) {
            if let Some(free) = bucket.tags.iter().find(|tag| tag.load(Ordering::Relaxed) == 0) {
                return free.store(tag, Ordering::Release);
            }
            bucket.passed.fetch_add(1, Ordering::Release);
        }
    }

    /// Takes a tag out; returns whether it was there.
    fn take(&self, mask: usize, tag: u64) -> bool {
        let place = |bucket: &Bucket| bucket.tags.iter().position(|t| t.load(Ordering::Relaxed) == tag);
        let found =
            self.walk(mask, tag).enumerate().find_map(|(passed, bucket)| Some((passed, bucket, place(bucket)?)));
        let Some((passed, bucket, at)) = found else { return false };
        bucket.tags[at].store(0, Ordering::Release);
        for bucket in self.walk(mask, tag).take(passed) {
            bucket.passed.fetch_sub(1, Ordering::Release);
        }
        true
    }

    /// Doubles the number of buckets.
    fn double(&self, mask: usize) {
        let (Some(chunk), size) = (self.chunks.get(place(mask + 1).0), mask + 1) else { return };
        chunk.get_or_init(|| buckets(size));
        let all = (0..size).filter_map(|number| self.bucket(number)).flat_map(|bucket| &bucket.tags);
        let tags = all.map(|tag| tag.load(Ordering::Relaxed));
        let moving: Vec<u64> = tags.filter(|&tag| tag != 0 && home(tag) & size != 0).collect();
        let doubled = mask << 1 | 1;
        moving.iter().for_each(|&tag| self.put(doubled, tag));
        // From now on they are found in their new places.
        self.mask.store(doubled, Ordering::Release);
        for &tag in &moving {
            self.take(mask, tag);
        }
    }

    /// The buckets in the order in which a tag looks for room; `hash` is its hash or the tag itself, which has that half of the hash.
    /// The order stays the same while the number of buckets doubles, as far as it goes.
    fn walk(&self, mask: usize, hash: u64) -> impl Iterator<Item = &Bucket> {
        (0..mask + 1).map_while(move |step| self.bucket(home(hash) & mask ^ step))
    }

    fn bucket(&self, number: usize) -> Option<&Bucket> {
        let (chunk, offset) = place(number);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

/// The half of a hash, or of a tag, that says where a tag stands.
fn home(hash: u64) -> usize {
    (hash >> 32) as usize
}

fn tag(hash: u64, slot: u32) -> u64 {
    hash >> 32 << 32 | u64::from(slot + 1)
}

fn buckets(count: usize) -> Box<[Bucket]> {
    (0..count).map(|_| Bucket::default()).collect()
}

/// Chunk and offset of a bucket.
fn place(number: usize) -> (usize, usize) {
    match number.checked_ilog2().and_then(|log| log.checked_sub(FIRST.ilog2())) {
        None => (0, number),
        Some(chunk) => (chunk as usize + 1, number - (FIRST << chunk)),
    }
}

/// Buckets of the first chunk.
const FIRST: usize = 16;
/// With all of them there is room for more tags than there is memory.
const CHUNKS: usize = 28;
/// So many tags for each bucket are enough. Then one bucket in eight has passed something on.
const FULL: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(tags: &Tags, hash: u64) -> Vec<u32> {
        let mut slots = Vec::new();
        tags.find(hash, |s| {
            slots.push(s);
            None::<()>
        });
        slots
    }

    /// Any hash, another one for each number.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn one_hash_may_have_many_slots() {
        let tags = Tags::new();
        let (a, same_bucket) = (7 << 32, (7 + 16) << 32);
        assert!(all(&tags, a).is_empty());
        for slot in [3, 1, 2, 2] {
            tags.insert(a, slot);
        }
        tags.insert(same_bucket, 9);
        assert_eq!(all(&tags, a), [3, 1, 2]);
        assert_eq!(all(&tags, same_bucket), [9]);
        assert_eq!(tags.find(a, |s| (s > 1).then_some(s)), Some(3));
        tags.remove(a, 3);
        tags.remove(a, 5);
        assert_eq!(all(&tags, a), [1, 2]);
        tags.remove(a, 1);
        tags.remove(a, 2);
        tags.remove(same_bucket, 9);
        assert!(all(&tags, a).is_empty() && all(&tags, same_bucket).is_empty());
    }

    #[test]
    fn what_a_full_bucket_passes_on_is_found() {
        let tags = Tags::new();
        (0..30).for_each(|slot| tags.insert(15 << 32, slot));
        let first = all(&tags, 15 << 32);
        assert_eq!(first, (0..30).collect::<Vec<_>>());
        (0..29).for_each(|slot| tags.remove(15 << 32, slot));
        assert_eq!(all(&tags, 15 << 32), [29]);
        tags.remove(15 << 32, 29);
        let mut all = (0..=tags.mask.load(Ordering::Relaxed)).map(|number| tags.bucket(number).unwrap());
        assert!(all.all(|bucket| bucket.passed.load(Ordering::Relaxed) == 0), "a look-up ends soon again");
    }

    #[test]
    fn buckets_grow_with_what_is_in_them_and_not_with_how_often_it_changes() {
        let tags = Tags::new();
        for n in 0..10_000 {
            tags.insert(hash(n), n as u32);
        }
        let size = || tags.mask.load(Ordering::Relaxed) + 1;
        let before = size();
        assert!((10_000 / FULL..10_000).contains(&before), "{before}");
        for n in 10_000..100_000 {
            tags.remove(hash(n - 10_000), (n - 10_000) as u32);
            tags.insert(hash(n), n as u32);
        }
        assert_eq!(size(), before);
        assert!((90_000..100_000).all(|n| all(&tags, hash(n)) == [n as u32]));
        assert!((0..90_000).all(|n| all(&tags, hash(n)).is_empty()));
    }

    #[test]
    fn every_bucket_has_its_own_place() {
        assert_eq!([0, 15, 16, 31, 32, 63, 64].map(place), [(0, 0), (0, 15), (1, 0), (1, 15), (2, 0), (2, 31), (3, 0)]);
    }

    #[test]
    fn readers_find_what_stays_while_other_things_change() {
        let tags = Tags::new();
        (0..100).for_each(|n| tags.insert(hash(n), n as u32));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                // Each round ends with more than there was before: the number of buckets doubles several times.
                for round in 0..20 {
                    for n in (1..3_000).map(|n| round * 10_000 + 100 + n) {
                        tags.insert(hash(n), n as u32);
                    }
                    for n in (1..2_000).map(|n| round * 10_000 + 100 + n) {
                        tags.remove(hash(n), n as u32);
                    }
                }
            });
            while !writer.is_finished() {
                assert!((0..100).all(|n| tags.find(hash(n), |slot| (slot == n as u32).then_some(())).is_some()));
            }
        });
    }
}
