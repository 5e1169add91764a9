//! What each thread has of its own.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Threads that have something of their own; others go without.
const THREADS: usize = 256;

/// A value for each thread, made when it is first needed. All of them can be looked at from everywhere.
pub struct PerThread<T>(Box<[OnceLock<Box<T>>]>);

impl<T: Default> PerThread<T> {
    /// That of this thread; `None` for a thread that goes without.
    pub fn get(&self) -> Option<&T> {
        self.0.get(number()).map(|own| &**own.get_or_init(Box::default))
    }

    /// Those that have been made.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).map(|own| &**own)
    }
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        PerThread((0..THREADS).map(|_| OnceLock::new()).collect())
    }
}

impl<T: Default + fmt::Debug> fmt::Debug for PerThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// The number of this thread among those that ask upstreams; never given again, for sockets die with their runtime.
fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}
