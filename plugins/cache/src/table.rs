//! Where entries are: sets of a few places each. The hash of a question tells its set, and a part of the hash, its tag, is compared
//! with those of the set before anything else is looked at.
//!
//! A look-up takes no lock and counts no reference: it says in memory of its thread only that it reads what is at a place, for some
//! hundred nanoseconds, while the reply is copied. Who takes an entry out while somebody reads it leaves it to that one (`arc-swap`).

use crate::entry::{Entry, Kept, Time};
use api::Question;
use arc_swap::ArcSwapAny;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places of a set: as many as leave a set two lines of the CPU's cache.
const PLACES: usize = 12;
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
    /// Until when all entries of a set may be used at least, set by set; looked at by who has the lock of the set.
    usable_until: Box<[AtomicU64]>,
    max_octets: usize,
    held: Held,
}

/// What a table has; on a line of the CPU's cache of its own, for whoever puts something in writes it, and who looks something up only reads.
#[derive(Default)]
#[repr(align(64))]
struct Held {
    len: AtomicUsize,
    octets: AtomicUsize,
    /// The set that has to give up an entry next when there are too many octets.
    next: AtomicUsize,
}

#[derive(Default)]
#[repr(align(64))]
struct Set {
    tags: Tags,
    /// One changes tags and places at a time. Whoever reads sees an entry, at the latest, where its tag is.
    changes: Mutex<()>,
    places: [ArcSwapAny<Option<Kept>>; PLACES],
}

/// The tags of a set's entries, by their places, 0 where there is none; four in a word, which are looked at together. In the highest bit
/// of each is a mark: the entry was used since it was last passed over when one had to go. So nobody looks for that at entries.
#[derive(Default)]
struct Tags([AtomicU64; WORDS]);

/// Words of tags: as many tags, one of each, stand behind one another.
const WORDS: usize = PLACES / (u64::BITS / u16::BITS) as usize;
/// Bits of a tag, and the number of the highest one.
const BITS: usize = u16::BITS as usize;
const HIGHEST: usize = BITS - 1;
/// 1 in each tag of a word; the mark in one, and in each.
const ONES: u64 = 0x0001_0001_0001_0001;
const MARK: u16 = 1 << HIGHEST;
const MARKS: u64 = ONES << HIGHEST;

impl Table {
    /// An empty table for so many entries.
    pub fn new(capacity: usize) -> Table {
        let capacity = capacity.max(MIN_CAPACITY);
        let sets: Box<[Set]> = (0..capacity.div_ceil(PLACES)).map(|_| Set::default()).collect();
        let usable_until = sets.iter().map(|_| AtomicU64::new(Time::MAX)).collect();
        let max_octets = capacity.saturating_mul(OCTETS_PER_PLACE);
        Table { sets, usable_until, max_octets, held: Held::default() }
    }

    /// Entries, expired ones too.
    pub fn len(&self) -> usize {
        self.held.len.load(Relaxed)
    }

    /// What `read` makes of the entry for a question, which is used so; `None` where there is none.
    pub fn read<T>(&self, question: &Question, key: Key, read: impl FnOnce(Entry<'_>) -> T) -> Option<T> {
        let set = self.set(key);
        for at in set.tags.places(tag(key)) {
            let kept = set.places[at].load();
            if let Some(entry) = kept.as_ref().map(Entry::of).filter(|entry| entry.is_for(question, key.bits)) {
                set.tags.mark(at);
                return Some(read(entry));
            }
        }
        None
    }

    /// Puts an entry in, or in place of the one for the same question, which `make` gets to see. Returns how many others had to
    /// go for it; those go first that are not usable at `now`, up to `stale` seconds after they have expired.
    pub fn insert(
        &self,
        question: &Question,
        key: Key,
        make: impl FnOnce(Option<Entry<'_>>) -> Kept,
        (now, stale): (Time, u64),
    ) -> u64 {
        let number = self.number(key);
        let (set, usable_until) = (&self.sets[number], &self.usable_until[number]);
        let changes = set.change();
        let known = set.find(question, key);
        let free = || set.tags.places(0).next();
        let (at, evicted) = match known.or_else(free) {
            Some(at) => (at, 0),
            None => (set.expired(usable_until, now, stale).unwrap_or_else(|| set.victim(key)), 1),
        };
        let entry = match known {
            Some(at) => make(set.places[at].load().as_ref().map(Entry::of)),
            None => make(None),
        };
        let size = Entry::of(&entry).size();
        let soonest = usable_until.load(Relaxed).min(Entry::of(&entry).usable_until(stale));
        usable_until.store(soonest, Relaxed); // nobody else does: the set is locked
        let before = set.places[at].swap(Some(entry));
        set.tags.set(at, tag(key));
        self.account(before.as_ref().map_or(0, |before| Entry::of(before).size()), size);
        if before.is_none() {
            self.held.len.fetch_add(1, Relaxed);
        }
        drop(changes);
        evicted + self.shrink()
    }

    /// Takes out the entry for a question.
    pub fn remove(&self, question: &Question, key: Key) {
        let set = self.set(key);
        if set.tags.places(tag(key)).next().is_none() {
            return;
        }
        let _changes = set.change();
        if let Some(at) = set.find(question, key) {
            self.take(set, at);
        }
    }

    /// Takes out entries until there are not too many octets; returns how many.
    fn shrink(&self) -> u64 {
        let mut evicted = 0;
        while self.held.octets.load(Relaxed) > self.max_octets && self.len() > 0 {
            let set = &self.sets[self.held.next.fetch_add(1, Relaxed) % self.sets.len()];
            let _changes = set.change();
            if !set.is_empty() {
                self.take(set, set.victim(Key { hash: 0, bits: 0 }));
                evicted += 1;
            }
        }
        evicted
    }

    /// Takes out the entry at a place, where there is one.
    fn take(&self, set: &Set, at: usize) {
        set.tags.set(at, 0);
        if let Some(taken) = set.places[at].swap(None) {
            self.account(Entry::of(&taken).size(), 0);
            self.held.len.fetch_sub(1, Relaxed);
        }
    }

    fn account(&self, before: usize, after: usize) {
        self.held.octets.fetch_add(after.wrapping_sub(before), Relaxed);
    }

    fn set(&self, key: Key) -> &Set {
        &self.sets[self.number(key)]
    }

    /// The number of a question's set.
    fn number(&self, key: Key) -> usize {
        // The upper half of the hash, spread over all sets; the tag is at the other end.
        (((key.hash >> 32) * self.sets.len() as u64) >> 32) as usize
    }
}

impl Set {
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the entry at a place is such a one.
    fn is(&self, at: usize, such: impl FnOnce(Entry<'_>) -> bool) -> bool {
        self.places[at].load().as_ref().map(Entry::of).is_some_and(such)
    }

    fn is_empty(&self) -> bool {
        (0..PLACES).all(|at| self.tags.get(at) == 0)
    }

    /// Where the entry for a question is.
    fn find(&self, question: &Question, key: Key) -> Option<usize> {
        self.tags.places(tag(key)).find(|&at| self.is(at, |entry| entry.is_for(question, key.bits)))
    }

    /// The place of the entry that is of no use since the longest time; `None` where all may be used at `now`, up to `stale` seconds
    /// after they have expired. As a rule `usable_until`, which is that of the set, tells that without a look at them.
    fn expired(&self, usable_until: &AtomicU64, now: Time, stale: u64) -> Option<usize> {
        if now < usable_until.load(Relaxed) {
            return None;
        }
        let until = |at: usize| Some((Entry::of(self.places[at].load().as_ref()?).usable_until(stale), at));
        let (soonest, at) = (0..PLACES).filter_map(until).min()?;
        usable_until.store(soonest, Relaxed);
        (soonest <= now).then_some(at)
    }

    /// The place whose entry has to go for another one: the next one that was not used lately, from a place on that the hash of the other
    /// one tells.
    fn victim(&self, key: Key) -> usize {
        let first = (key.hash >> 16) as usize % PLACES;
        let places = || (first..PLACES).chain(0..first).filter(|&at| self.tags.get(at) != 0);
        let unused = places().find(|&at| !self.tags.take_mark(at));
        unused.or_else(|| places().next()).unwrap_or(first)
    }
}

impl Tags {
    /// The places where `tag` is.
    fn places(&self, tag: u16) -> impl Iterator<Item = usize> {
        let all = ONES * u64::from(tag);
        let mut found = 0;
        for (number, word) in self.0.iter().enumerate() {
            // 0 is the only one that has no mark left when 1 is taken away; the bit moves to the word's number.
            let others = (word.load(Acquire) ^ all | MARKS) - ONES;
            found |= (!others & MARKS) >> (HIGHEST - number);
        }
        std::iter::from_fn(move || {
            let bit = (found != 0).then_some(found.trailing_zeros() as usize)?;
            found &= found - 1;
            Some(bit / BITS * WORDS + bit % BITS)
        })
    }

    fn get(&self, at: usize) -> u16 {
        (self.0[at % WORDS].load(Relaxed) >> shift(at)) as u16 & !MARK
    }

    /// Only by who has the lock of the set; there is no mark then.
    fn set(&self, at: usize, tag: u16) {
        let with = |word| word & !(0xffff << shift(at)) | u64::from(tag) << shift(at);
        let word = &self.0[at % WORDS];
        let mut before = word.load(Relaxed);
        while let Err(now) = word.compare_exchange_weak(before, with(before), Release, Relaxed) {
            before = now; // somebody has marked an entry
        }
    }

    /// Marks the entry at a place as used; writes only where that is not known yet.
    fn mark(&self, at: usize) {
        let (word, mark) = (&self.0[at % WORDS], u64::from(MARK) << shift(at));
        if word.load(Relaxed) & mark == 0 {
            word.fetch_or(mark, Relaxed);
        }
    }

    /// Whether the entry at a place was used since this was last asked.
    fn take_mark(&self, at: usize) -> bool {
        let (word, mark) = (&self.0[at % WORDS], u64::from(MARK) << shift(at));
        word.load(Relaxed) & mark != 0 && word.fetch_and(!mark, Relaxed) & mark != 0
    }
}

/// Where the tag at `at` stands in its word.
fn shift(at: usize) -> usize {
    at / WORDS * BITS
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Set>() == 128, "a set is two lines of the CPU's cache");

/// Never 0, and without the mark.
fn tag(key: Key) -> u16 {
    (key.hash as u16 | 1) & !MARK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Head, SECOND};
    use api::reply::Again;
    use api::test::query;
    use api::{Owner, RecordType, Reply, Section};
    use std::thread;

    #[test]
    fn tags_are_found_wherever_they_stand() {
        let tags = Tags::default();
        let places = |tag| tags.places(tag).collect::<Vec<_>>();
        let used = [3, 1, 0x7001, 0x7fff, 0x7ffe, 0x0101, 3, 7, 2, 11, 13, 15];
        for (at, tag) in used.into_iter().enumerate() {
            assert_eq!(places(0), (at..PLACES).collect::<Vec<_>>());
            tags.set(at, tag);
            if at % 3 == 0 {
                tags.mark(at);
            }
        }
        for tag in 0..MARK {
            assert_eq!(places(tag), (0..PLACES).filter(|&at| used[at] == tag).collect::<Vec<_>>(), "{tag:x}");
        }
        tags.set(4, 0);
        let first = |tag| tags.places(tag).next();
        assert_eq!((first(0), first(3), first(0x7ffe), first(0x0101)), (Some(4), Some(0), None, Some(5)));
    }

    #[test]
    fn a_mark_is_that_of_one_entry_and_one_time() {
        let tags = Tags::default();
        (0..PLACES).for_each(|at| tags.set(at, 1));
        let take = || (0..PLACES).filter(|&at| tags.take_mark(at)).collect::<Vec<_>>();
        [0, 5, 5, 11].into_iter().for_each(|at| tags.mark(at));
        assert_eq!((take(), take()), (vec![0, 5, 11], vec![]));
        [3, 4].into_iter().for_each(|at| tags.mark(at));
        tags.set(4, 7);
        assert_eq!(take(), [3], "another entry is there now");
    }

    /// More questions than a set has places, all in one set, two of a tag.
    const QUESTIONS: u16 = 30;

    fn key(n: u16) -> Key {
        Key { hash: u64::from(n) << 16 | u64::from(n), bits: 0 }
    }

    fn question(n: u16) -> Question {
        query(&format!("n{n}.example TXT")).question
    }

    /// An entry whose data tells the question, then again and again a number that its length goes by.
    fn entry(n: u16, number: u8) -> Kept {
        let mut q = query(&format!("n{n}.example TXT"));
        let data = [&[n as u8][..], &vec![number; usize::from(number) + 1]].concat();
        q.respond().push(Section::Answer, Owner::Question, RecordType::TXT, 60, |d| d.octets(&data));
        q.reply.store(|octets| Head::new(0, 60, 0, true).keep(octets)).expect("a message")
    }

    #[test]
    fn what_is_used_stays() {
        let table = Table::new(0);
        let put = |n: u16| table.insert(&question(n), key(n), |_| entry(n, 0), (0, 0));
        let read = |n: u16| table.read(&question(n), key(n), |_| ()).is_some();
        (0..PLACES as u16).for_each(|n| assert_eq!(put(n), 0));
        assert!([8, 9, 10].into_iter().all(read));
        let gone = || (0..PLACES as u16).filter(|&n| !read(n)).collect::<Vec<_>>();
        assert_eq!((put(20), gone()), (1, vec![11]), "from place 8 on");
        assert_eq!((put(24), gone(), read(20)), (1, vec![11], false), "nobody has used 20");
        assert!(read(24));
        assert_eq!((put(25), gone()), (1, vec![1, 11]), "all are used: the first one from place 1 on");
    }

    #[test]
    fn what_has_expired_goes_first() {
        let table = Table::new(0);
        let put = |n: u16, ttl: u32, second: Time| {
            let mut q = query(&format!("n{n}.example TXT"));
            q.respond().push(Section::Answer, Owner::Question, RecordType::TXT, 60, |d| d.octets(b"\0"));
            let head = Head::new(second * SECOND, ttl, 0, true);
            let entry = q.reply.store(|octets| head.keep(octets)).expect("a message");
            table.insert(&q.question, key(n), |_| entry, (second * SECOND, 0))
        };
        let all =
            || -> Vec<u16> { (0..QUESTIONS).filter(|&n| table.read(&question(n), key(n), |_| ()).is_some()).collect() };
        let full = |ttls: fn(u16) -> u32| (0..PLACES as u16).for_each(|n| assert_eq!(put(n, ttls(n), 0), 0));
        full(|n| if n == 7 { 10 } else { 60 });
        assert_eq!(put(20, 60, 9), 1);
        assert_eq!(
            all(),
            [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 20],
            "none has expired: one from the place that the hash tells"
        );
        assert_eq!(put(21, 60, 10), 1);
        assert_eq!(all(), [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 20, 21]);
        assert_eq!((put(22, 60, 11), put(23, 60, 61)), (1, 1));
        assert!(all().ends_with(&[20, 21, 22, 23]), "what has expired went, not what was put in lately: {:?}", all());
    }

    fn check(n: u16, question: &Question, entry: Entry<'_>, reply: &mut Reply) {
        reply.load(entry.reply(), Again { id: 0, flags: (0, 0), ttl: None }, question);
        let mut data = Vec::new();
        reply.records().next().expect("a record").read_data(&mut data);
        assert_eq!(u16::from(data[0]), n, "another question's");
        assert!(data[1..].iter().all(|&number| usize::from(number) + 2 == data.len()), "{data:?}");
    }

    #[test]
    fn who_reads_gets_a_whole_reply_to_its_question() {
        let table = Table::new(0);
        let questions: Vec<Question> = (0..QUESTIONS).map(question).collect();
        let work = |seed| {
            let (mut random, mut reply, mut read) = (fastrand::Rng::with_seed(seed), Reply::default(), 0);
            for _ in 0..20_000 {
                let n = random.u16(..QUESTIONS);
                let question = &questions[usize::from(n)];
                match random.u8(..16) {
                    0 => table.remove(question, key(n)),
                    1..4 => drop(table.insert(question, key(n), |_| entry(n, random.u8(..)), (0, 0))),
                    _ => {
                        read +=
                            usize::from(table.read(question, key(n), |e| check(n, question, e, &mut reply)).is_some())
                    }
                }
            }
            read
        };
        let read: usize = thread::scope(|scope| {
            let workers = [1, 2].map(|seed| scope.spawn(move || work(seed)));
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
        });
        assert!(read > 1_000, "{read}");
        let sizes: Vec<usize> =
            (0..QUESTIONS).filter_map(|n| table.read(&questions[usize::from(n)], key(n), |e| e.size())).collect();
        assert_eq!((table.len(), table.held.octets.load(Relaxed)), (sizes.len(), sizes.iter().sum()));
        (0..QUESTIONS).for_each(|n| table.remove(&questions[usize::from(n)], key(n)));
        assert_eq!((table.len(), table.held.octets.load(Relaxed)), (0, 0));
    }
}
