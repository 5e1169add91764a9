//! The entries: two tables, answers and denials, each bounded in entries and in octets.
//!
//! A table is spread over shards, each behind a lock of its own that a look-up holds for some nanoseconds and shares with other
//! look-ups. That makes room for all workers' answers once, in place of once per worker.

use api::reply::{Kind, Stored};
use api::wire::flag;
use api::{Class, Query, RecordType};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Lifecycle, Weighter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

/// Octets that an entry may have for each place of the capacity that it takes.
const OCTETS_PER_PLACE: usize = 512;
/// The smallest capacity of a table: with less, the shards would hold nothing (CoreDNS: 256 shards of at least 4).
const MIN_CAPACITY: usize = 1024;

/// Both tables.
pub struct Store {
    success: Table,
    denial: Table,
}

type Table = Cache<Key, Arc<Entry>, Weight, std::hash::RandomState, Evictions>;

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Answers.
    Success,
    /// Denials and failures.
    Denial,
}

/// A reply that is kept.
pub struct Entry {
    /// The reply.
    pub reply: Stored,
    /// What its TTLs were at first, in seconds.
    pub ttl: u32,
    /// When it was received.
    pub since: Instant,
}

impl Entry {
    /// The seconds that it may still be used; `None` where it has expired.
    pub fn seconds_left(&self, now: Instant) -> Option<u32> {
        let age = now.saturating_duration_since(self.since).as_secs();
        self.ttl.checked_sub(u32::try_from(age).ok()?).filter(|left| *left > 0)
    }
}

impl Side {
    /// Where a reply of this kind belongs.
    pub fn of(kind: Kind) -> Side {
        match kind {
            Kind::NameError | Kind::NoData | Kind::ServerError => Side::Denial,
            _ => Side::Success,
        }
    }
}

impl Store {
    /// Empty tables for so many answers and denials.
    pub fn new(success: usize, denial: usize) -> Store {
        Store { success: table(success), denial: table(denial) }
    }

    /// What is known for a query, expired or not: denials before answers.
    pub fn find(&self, q: &Query) -> Option<(Side, Arc<Entry>)> {
        let key = KeyRef::of(q);
        let fresh = |entry: &Arc<Entry>| entry.seconds_left(q.received).is_some();
        let denial = self.denial.get(&key).filter(fresh).map(|entry| (Side::Denial, entry));
        denial.or_else(|| Some((Side::Success, self.success.get(&key)?)))
    }

    /// Keeps an entry; returns how many others had to go for it.
    pub fn insert(&self, q: &Query, side: Side, entry: Entry) -> u64 {
        let mut evicted = 0;
        self.table(side).insert_with_lifecycle(KeyRef::of(q).into(), Arc::new(entry), &mut evicted);
        evicted
    }

    /// How many entries there are.
    pub fn len(&self, side: Side) -> usize {
        self.table(side).len()
    }

    fn table(&self, side: Side) -> &Table {
        match side {
            Side::Success => &self.success,
            Side::Denial => &self.denial,
        }
    }
}

fn table(capacity: usize) -> Table {
    let capacity = capacity.max(MIN_CAPACITY);
    Cache::with(capacity, capacity as u64, Weight, std::hash::RandomState::new(), Evictions)
}

/// What shares an answer: everything of a query that answers depend on.
#[derive(PartialEq, Eq, Clone)]
struct Key {
    name: Box<[u8]>,
    rest: Rest,
}

/// A [`Key`] that is looked for.
struct KeyRef<'a> {
    name: &'a [u8],
    rest: Rest,
}

/// Type, class, DO, CD.
type Rest = (RecordType, Class, bool, bool);

impl<'a> KeyRef<'a> {
    fn of(q: &'a Query) -> KeyRef<'a> {
        let checking_disabled = q.flags() & flag::CD != 0;
        KeyRef { name: q.name().as_bytes(), rest: (q.rtype(), q.question.class, q.dnssec_ok(), checking_disabled) }
    }
}

impl From<KeyRef<'_>> for Key {
    fn from(key: KeyRef<'_>) -> Key {
        Key { name: key.name.into(), rest: key.rest }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef { name: &self.name, rest: self.rest }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.name);
        let (rtype, class, dnssec_ok, checking_disabled) = self.rest;
        let flags = u64::from(dnssec_ok) << 1 | u64::from(checking_disabled);
        state.write_u64(u64::from(rtype.0) << 32 | u64::from(class.0) << 8 | flags);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.name == *key.name && self.rest == key.rest
    }
}

/// How many places of the capacity an entry takes.
#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Entry>> for Weight {
    fn weight(&self, key: &Key, entry: &Arc<Entry>) -> u64 {
        let octets = size_of::<Key>() + key.name.len() + size_of::<Entry>() + entry.reply.size();
        octets.div_ceil(OCTETS_PER_PLACE) as u64
    }
}

/// Counts the entries that an insertion drives out.
#[derive(Clone)]
struct Evictions;

impl Lifecycle<Key, Arc<Entry>> for Evictions {
    type RequestState = u64;

    fn on_evict(&self, evicted: &mut u64, _key: Key, _entry: Arc<Entry>) {
        *evicted += 1;
    }
}
