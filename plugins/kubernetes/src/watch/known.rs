//! What the API server has told of: each object's name and version as fingerprints, to compare with what it tells when it is asked.

use std::hash::{BuildHasher, Hash};

/// What is known of one kind, up to now.
pub struct Record {
    hasher: foldhash::fast::RandomState,
    known: Known,
    /// The objects of a list that is not complete yet.
    listing: Option<Known>,
    /// What changed since a comparison began, while one is under way.
    touched: Option<Vec<u64>>,
    lists: u64,
    changes: u64,
    /// Up to where everything has been told; `None` when the kind must be listed.
    version: Option<String>,
}

impl Default for Record {
    fn default() -> Self {
        let hasher = foldhash::fast::RandomState::default();
        Record { hasher, known: Known::default(), listing: None, touched: None, lists: 0, changes: 0, version: None }
    }
}

impl Record {
    /// An object exists, at this version.
    pub fn put(&mut self, namespace: &str, name: &str, version: &str) {
        let key = self.key(namespace, name);
        let version = self.fingerprint(version);
        self.touch(key);
        self.listing.as_mut().unwrap_or(&mut self.known).put(key, version);
    }

    /// An object is gone.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        let key = self.key(namespace, name);
        self.touch(key);
        self.listing.as_mut().unwrap_or(&mut self.known).remove(key);
    }

    /// Nothing is certain any more: the kind is to be listed.
    pub fn doubt(&mut self) {
        (self.version, self.touched) = (None, None);
    }

    /// A list begins, anew if one was under way.
    pub fn begin_list(&mut self) {
        self.listing = Some(Known::default());
    }

    /// The list is complete, at this version: nothing else exists.
    pub fn end_list(&mut self, version: String) {
        self.known = self.listing.take().unwrap_or_default();
        self.lists += 1;
        self.version = Some(version);
    }

    /// Up to where everything has been told.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Everything has been told up to `version`.
    pub fn set_version(&mut self, version: String) {
        self.version = Some(version);
    }

    /// How many objects exist.
    pub fn len(&self) -> usize {
        self.known.len
    }

    /// How many changes there were so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many lists have been completed, if none is needed now.
    pub fn following(&self) -> Option<u64> {
        self.version.is_some().then_some(self.lists)
    }

    /// A comparison with another list begins.
    pub fn begin_comparison(&mut self) -> Comparison {
        self.touched = Some(Vec::new());
        Comparison { other: Known::default() }
    }

    /// Notes an object of the other list.
    pub fn compare(&self, comparison: &mut Comparison, namespace: &str, name: &str, version: &str) {
        comparison.other.put(self.key(namespace, name), self.fingerprint(version));
    }

    /// How many objects are not as the other list has them, but for those that have changed meanwhile; `None` where too many have.
    pub fn end_comparison(&mut self, comparison: &Comparison) -> Option<usize> {
        let mut touched = self.touched.take()?;
        touched.sort_unstable();
        let untouched = |key: &u64| touched.binary_search(key).is_err();
        let (ours, theirs) = (&self.known, &comparison.other);
        let missing_or_other = theirs.entries().filter(|&(key, version)| ours.get(key) != Some(version));
        let too_many = ours.entries().filter(|&(key, _)| theirs.get(key).is_none());
        Some(missing_or_other.chain(too_many).filter(|(key, _)| untouched(key)).count())
    }

    fn touch(&mut self, key: u64) {
        self.changes += 1;
        if let Some(touched) = &mut self.touched {
            touched.push(key);
            if touched.len() > MOST_TOUCHED {
                self.touched = None;
            }
        }
    }

    fn key(&self, namespace: &str, name: &str) -> u64 {
        // 0 marks a place that is free.
        self.hash((namespace, name)).max(1)
    }

    fn fingerprint(&self, version: &str) -> u32 {
        self.hash(version) as u32
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// Another list than the one that is followed.
pub struct Comparison {
    other: Known,
}

/// A map from hashes of names to fingerprints of versions, 12 octets a place.
#[derive(Default)]
struct Known {
    keys: Vec<u64>,
    versions: Vec<u32>,
    len: usize,
}

impl Known {
    fn get(&self, key: u64) -> Option<u32> {
        self.find(key).ok().map(|at| self.versions[at])
    }

    fn put(&mut self, key: u64, version: u32) {
        if (self.len + 1) * 5 > self.keys.len() * 4 {
            self.grow();
        }
        match self.find(key) {
            Ok(at) => self.versions[at] = version,
            Err(at) => {
                (self.keys[at], self.versions[at]) = (key, version);
                self.len += 1;
            }
        }
    }

    /// Takes a key out, and moves those behind it to where they are found.
    fn remove(&mut self, key: u64) {
        let Ok(mut gap) = self.find(key) else { return };
        self.len -= 1;
        let mut at = gap;
        loop {
            at = self.after(at);
            let moved = self.keys[at];
            if moved == 0 {
                break;
            }
            // What belongs between the gap and its place stays.
            let (home, size) = (self.home(moved), self.keys.len());
            if (at + size - home) % size >= (at + size - gap) % size {
                (self.keys[gap], self.versions[gap]) = (moved, self.versions[at]);
                gap = at;
            }
        }
        self.keys[gap] = 0;
    }

    fn entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.keys.iter().zip(&self.versions).filter(|(key, _)| **key != 0).map(|(key, version)| (*key, *version))
    }

    /// The place of a key, or the free one where it belongs. One place in five is free; with none at all it is place 0.
    fn find(&self, key: u64) -> Result<usize, usize> {
        if self.keys.is_empty() {
            return Err(0);
        }
        let mut at = self.home(key);
        loop {
            match self.keys[at] {
                0 => return Err(at),
                found if found == key => return Ok(at),
                _ => at = self.after(at),
            }
        }
    }

    fn grow(&mut self) {
        let size = self.keys.len() + self.keys.len() / 2 + 16;
        let old = std::mem::replace(self, Known { keys: vec![0; size], versions: vec![0; size], len: 0 });
        for (key, version) in old.entries() {
            self.put(key, version);
        }
    }

    fn home(&self, key: u64) -> usize {
        ((u128::from(key) * self.keys.len() as u128) >> 64) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.keys.len() { 0 } else { at + 1 }
    }
}

/// So many changes during a comparison make it worthless.
const MOST_TOUCHED: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_is_a_map() {
        let (mut known, mut model) = (Known::default(), HashMap::new());
        let mut random = 1u64;
        for step in 0..20_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few keys, most of them with the same home.
            let key = ((random >> 60) << 60) | ((random >> 33) % 30 + 1);
            if step % 3 == 0 {
                known.remove(key);
                model.remove(&key);
            } else {
                known.put(key, step);
                model.insert(key, step);
            }
            assert_eq!(known.len, model.len());
        }
        assert!(model.iter().all(|(key, version)| known.get(*key) == Some(*version)));
        assert_eq!(known.entries().count(), model.len());
    }

    fn record(objects: &[(&str, &str)]) -> Record {
        let mut record = Record::default();
        record.begin_list();
        objects.iter().for_each(|(name, version)| record.put("d", name, version));
        assert_eq!((record.len(), record.following()), (0, None));
        record.end_list("9".into());
        record
    }

    #[test]
    fn lists_are_compared_with_what_is_known() {
        for (other, differences) in [
            (&[("a", "1"), ("b", "2"), ("c", "3")][..], 0),
            (&[("a", "1"), ("b", "2")], 1),
            (&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")], 1),
            (&[("a", "9"), ("b", "8"), ("d", "3")], 4),
        ] {
            let mut record = record(&[("a", "1"), ("b", "2"), ("c", "3")]);
            let mut comparison = record.begin_comparison();
            other.iter().for_each(|(name, version)| record.compare(&mut comparison, "d", name, version));
            assert_eq!(record.end_comparison(&comparison), Some(differences), "{other:?}");
            assert_eq!(record.following(), Some(1));
        }
    }

    #[test]
    fn what_changes_during_a_comparison_does_not_count() {
        let mut record = record(&[("a", "1"), ("b", "2")]);
        let mut comparison = record.begin_comparison();
        record.compare(&mut comparison, "d", "a", "1");
        record.compare(&mut comparison, "d", "b", "2");
        record.put("d", "a", "5");
        record.remove("d", "b");
        record.put("d", "c", "6");
        assert_eq!(record.end_comparison(&comparison), Some(0));
        assert_eq!(record.len(), 2);
        let comparison = record.begin_comparison();
        (0..=MOST_TOUCHED).for_each(|_| record.put("d", "a", "7"));
        assert_eq!(record.end_comparison(&comparison), None);
    }
}
