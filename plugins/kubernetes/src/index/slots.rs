//! A growing array of published values: readers take one without waiting, one writer puts, replaces and removes.

use super::weight::Weigh;
use arc_swap::{ArcSwapOption, Guard};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Values of one kind, each at a number that stays its own until it is removed.
///
/// The array grows by chunks that double in size and never move, so that a reader needs no lock to find one.
pub struct Slots<T> {
    chunks: [OnceLock<Box<[ArcSwapOption<T>]>>; CHUNKS],
    changes: AtomicU64,
    bytes: AtomicUsize,
}

/// A value that a reader holds on to; what is published meanwhile does not change it.
pub struct Found<T>(Guard<Option<Arc<T>>>);

impl<T: Weigh> Slots<T> {
    pub fn new() -> Self {
        Slots { chunks: [const { OnceLock::new() }; CHUNKS], changes: AtomicU64::new(0), bytes: AtomicUsize::new(0) }
    }

    /// The value at `slot`, if there is one.
    pub fn get(&self, slot: u32) -> Option<Found<T>> {
        let value = self.cell(slot)?.load();
        value.is_some().then_some(Found(value))
    }

    /// The value at `slot` for the writer, which keeps it.
    pub fn get_full(&self, slot: u32) -> Option<Arc<T>> {
        self.cell(slot)?.load_full()
    }

    /// Publishes `value` at `slot`; only the writer calls this, with a number from [`Free`].
    pub fn set(&self, slot: u32, value: Option<Arc<T>>) {
        let (chunk, offset) = place(slot);
        let cells =
            self.chunks[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| ArcSwapOption::const_empty()).collect());
        let new = value.as_deref().map_or(0, Weigh::bytes);
        let old = cells[offset].swap(value);
        let old = old.as_deref().map_or(0, Weigh::bytes);
        self.bytes.store((self.bytes() + new).saturating_sub(old), Ordering::Relaxed);
        self.note_change();
    }

    /// All values, those that are set meanwhile perhaps.
    pub fn all(&self) -> impl Iterator<Item = Found<T>> {
        let cells = self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter());
        cells.map(ArcSwapOption::load).filter(|value| value.is_some()).map(Found)
    }

    /// Octets that all values take.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often something has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Notes a change inside of a value.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn cell(&self, slot: u32) -> Option<&ArcSwapOption<T>> {
        if slot >= LIMIT {
            return None;
        }
        let (chunk, offset) = place(slot);
        self.chunks[chunk].get()?.get(offset)
    }
}

impl<T> Found<T> {
    /// The value for a reader that holds on to it for long.
    pub fn keep(self) -> Arc<T> {
        Guard::into_inner(self.0).expect("`get` makes a `Found` only of a value that is there")
    }
}

impl<T> Deref for Found<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("`get` makes a `Found` only of a value that is there")
    }
}

/// The writer's record of which slot numbers are free.
#[derive(Default)]
pub struct Free {
    returned: Vec<u32>,
    next: u32,
}

impl Free {
    /// A number that nothing uses, or `None` when [`LIMIT`] values exist.
    pub fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.returned.pop() {
            return Some(slot);
        }
        (self.next < LIMIT).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Gives a number back.
    pub fn put(&mut self, slot: u32) {
        self.returned.push(slot);
    }

    /// All numbers ever handed out are below this one.
    pub fn end(&self) -> u32 {
        self.next
    }
}

/// Chunk and offset of a slot: chunk `k` holds `FIRST << k` slots.
fn place(slot: u32) -> (usize, usize) {
    let n = slot + FIRST;
    let chunk = n.ilog2() - FIRST.ilog2();
    (chunk as usize, (n - (FIRST << chunk)) as usize)
}

const FIRST: u32 = 64;
const CHUNKS: usize = 16;
/// How many values there can be, 4,194,240: a bound on what an API server can make this process hold.
pub const LIMIT: u32 = FIRST * ((1 << CHUNKS) - 1);

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for &str {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn every_slot_has_its_own_place() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(63), (0, 63));
        assert_eq!(place(64), (1, 0));
        assert_eq!(place(191), (1, 127));
        assert_eq!(place(192), (2, 0));
        assert_eq!(place(LIMIT - 1), (CHUNKS - 1, (64 << (CHUNKS - 1)) - 1));
    }

    #[test]
    fn values_come_and_go() {
        let slots = Slots::new();
        let mut free = Free::default();
        let (a, b) = (free.take().unwrap(), free.take().unwrap());
        slots.set(a, Some(Arc::new("a")));
        let held = slots.get(a).unwrap();
        slots.set(a, Some(Arc::new("A")));
        assert_eq!(*held, "a");
        assert_eq!(*slots.get(a).unwrap(), "A");
        assert!(slots.get(b).is_none());
        assert_eq!(slots.all().map(Found::keep).collect::<Vec<_>>(), [Arc::new("A")]);
        slots.set(b, Some(Arc::new("bcd")));
        assert_eq!(slots.bytes(), 4);
        slots.set(b, None);
        assert_eq!(slots.bytes(), 1);
        slots.set(a, None);
        assert!(slots.get(a).is_none());
        free.put(a);
        assert_eq!(free.take(), Some(a));
        assert!(slots.get(u32::MAX).is_none());
    }
}
