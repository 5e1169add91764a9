//! What is measured: whole queries, and parts of their way.

use crate::cluster::Cluster;
use crate::{parts, whole};
use std::time::{Duration, Instant};

/// Queries of a round, about as many as a worker reads at once.
pub const ROUND: usize = 50;
/// Rounds that are counted.
const COUNTED: usize = 20;
/// Queries that are counted.
pub const QUERIES: usize = ROUND * COUNTED;
/// Rounds of which the fastest tells the time.
const TIMED: usize = 100;

/// What is measured.
pub trait Case: Sync {
    /// As it is shown and on record.
    fn name(&self) -> &'static str;

    /// Sets all up for it, and sees to it that it is what it should be.
    fn set_up(&self, cluster: &Cluster) -> Box<dyn Work>;
}

/// What is measured, once all is set up.
pub trait Work {
    /// Makes a round of queries ready, with the numbers from `first` on; this does not count.
    fn prepare(&mut self, first: usize);

    /// Does with these queries what counts.
    fn work(&mut self);
}

/// All there is.
pub fn all() -> impl Iterator<Item = &'static dyn Case> {
    let whole = whole::ALL.iter().map(|case| case as &dyn Case);
    whole.chain(parts::ALL.iter().map(|case| case as &dyn Case))
}

/// Does what is to be counted, [`QUERIES`] times.
pub fn count(case: &dyn Case, cluster: &Cluster) {
    let mut work = warm(case, cluster);
    for round in 1..=COUNTED {
        work.prepare(round * ROUND);
        measured(&mut *work);
    }
}

/// How long a query takes, in a round that nothing else held up.
pub fn time(case: &dyn Case, cluster: &Cluster) -> Duration {
    let mut work = warm(case, cluster);
    let round = |round| {
        work.prepare(round * ROUND);
        let begin = Instant::now();
        measured(&mut *work);
        begin.elapsed()
    };
    (1..=TIMED).map(round).min().unwrap_or_default() / ROUND as u32
}

/// Sets all up, and does it once, so that buffers have grown.
fn warm(case: &dyn Case, cluster: &Cluster) -> Box<dyn Work> {
    let mut work = case.set_up(cluster);
    work.prepare(0);
    work.work();
    work
}

/// What is counted.
#[inline(never)]
fn measured(work: &mut dyn Work) {
    work.work();
}
