//! From a hash to slot numbers: what finds a service, an endpoint or an address by its name.

use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// A multimap from 64-bit hashes to slot numbers, 8 bytes an entry.
///
/// Only the hash is kept: whoever finds a slot compares the name with the value there. Readers never wait; a change
/// copies and publishes the one shard that it concerns.
pub struct Tags {
    shards: Box<[ArcSwapOption<Box<[Tag]>>]>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tag {
    hash: u32,
    slot: u32,
}

impl Tags {
    pub fn new() -> Self {
        Tags { shards: (0..SHARDS).map(|_| ArcSwapOption::const_empty()).collect() }
    }

    /// Calls `look` with each slot under `hash` until it returns something, and returns that.
    pub fn find<R>(&self, hash: u64, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let shard = self.shard(hash).load();
        let tags = shard.as_ref()?;
        let hash = upper(hash);
        let first = tags.partition_point(|t| t.hash < hash);
        tags[first..].iter().take_while(|t| t.hash == hash).find_map(|t| look(t.slot))
    }

    /// Adds `slot` under `hash`, once.
    pub fn insert(&self, hash: u64, slot: u32) {
        let shard = self.shard(hash);
        let old = shard.load();
        let tags: &[Tag] = old.as_ref().map_or(&[], |tags| tags);
        let tag = Tag { hash: upper(hash), slot };
        if let Err(at) = tags.binary_search(&tag) {
            let mut new = Vec::with_capacity(tags.len() + 1);
            new.extend_from_slice(&tags[..at]);
            new.push(tag);
            new.extend_from_slice(&tags[at..]);
            shard.store(Some(Arc::new(new.into())));
        }
    }

    /// Removes `slot` from under `hash`, if it is there.
    pub fn remove(&self, hash: u64, slot: u32) {
        let shard = self.shard(hash);
        let old = shard.load();
        let Some(tags) = old.as_ref() else { return };
        if let Ok(at) = tags.binary_search(&Tag { hash: upper(hash), slot }) {
            let left = [&tags[..at], &tags[at + 1..]].concat();
            shard.store((!left.is_empty()).then(|| Arc::new(left.into())));
        }
    }

    fn shard(&self, hash: u64) -> &ArcSwapOption<Box<[Tag]>> {
        &self.shards[hash as usize % SHARDS]
    }
}

fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// With 100,000 entries a shard is 800 octets: few to search, few to copy.
const SHARDS: usize = 1024;

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

    #[test]
    fn one_hash_may_have_many_slots() {
        let tags = Tags::new();
        let (a, same_shard) = (7 << 32, 8 << 32);
        for slot in [3, 1, 2, 2] {
            tags.insert(a, slot);
        }
        tags.insert(same_shard, 9);
        assert_eq!(all(&tags, a), [1, 2, 3]);
        assert_eq!(all(&tags, same_shard), [9]);
        assert_eq!(tags.find(a, |s| (s > 1).then_some(s)), Some(2));
        tags.remove(a, 2);
        tags.remove(a, 5);
        assert_eq!(all(&tags, a), [1, 3]);
        tags.remove(a, 1);
        tags.remove(a, 3);
        tags.remove(same_shard, 9);
        assert!(all(&tags, a).is_empty());
    }
}
