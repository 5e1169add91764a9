//! Policies: in which order the upstreams are tried.

use crate::pace::Pace;
use crate::random;
use crate::upstream::Upstream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// How an upstream is chosen for a query.
#[derive(Debug)]
pub enum Policy {
    /// By chance, but first one of those that answer best.
    Best,
    /// By chance.
    Random,
    /// One after the other, query by query. The count is shared by all threads.
    RoundRobin(AtomicUsize),
    /// In the order of the Corefile.
    Sequential,
}

/// The order for one query: each upstream once, then all over again.
#[derive(Debug)]
pub struct Order {
    count: usize,
    first: Option<usize>,
    random: bool,
    /// Those that come first; by chance among them.
    best: u128,
    /// One of the others that is to be looked at.
    looked_at: Option<usize>,
    /// Upstreams that were given out in this round.
    given: u128,
    place: usize,
}

/// Upstreams of which more than their number is known; of more, any may be drawn twice.
const KNOWN: usize = u128::BITS as usize;

impl Policy {
    /// An order of the upstreams for the next query.
    pub fn order(&self, upstreams: &[Arc<Upstream>], now: Instant) -> Order {
        let count = upstreams.len();
        let (best, looked_at) = match self {
            Policy::Best if (2..=KNOWN).contains(&count) => best(upstreams, now),
            _ => (u128::MAX, None),
        };
        Order { best, looked_at, ..self.plain_order(count) }
    }

    fn plain_order(&self, count: usize) -> Order {
        let first = match self {
            // CoreDNS counts first and looks then: the second upstream is the first to be asked.
            Policy::RoundRobin(counter) => Some(counter.fetch_add(1, Relaxed).wrapping_add(1) % count),
            _ => None,
        };
        let random = !self.is_order();
        Order { count, first, random, best: u128::MAX, looked_at: None, given: 0, place: 0 }
    }

    /// Whether users leave the choice to us.
    pub fn is_free(&self) -> bool {
        matches!(self, Policy::Best)
    }

    /// Whether it says whose turn it is.
    pub fn is_order(&self) -> bool {
        matches!(self, Policy::RoundRobin(_) | Policy::Sequential)
    }
}

/// The upstreams that answer best, and one of the others if it is time to look at it.
fn best(upstreams: &[Arc<Upstream>], now: Instant) -> (u128, Option<usize>) {
    let cost = |upstream: &Arc<Upstream>| upstream.pace().map_or(0, Pace::cost);
    let least = upstreams.iter().map(cost).min().unwrap_or(0);
    let mut good = 0;
    let mut looked_at = None;
    for (place, upstream) in upstreams.iter().enumerate() {
        if Pace::is_good(cost(upstream), least) {
            good |= 1 << place;
        } else if looked_at.is_none() && upstream.pace().is_some_and(|p| p.is_looked_at(upstream.millis_at(now))) {
            looked_at = Some(place);
        }
    }
    (good, looked_at)
}

impl Order {
    /// The next upstream.
    pub fn next(&mut self) -> usize {
        if self.place == self.count {
            (self.place, self.given) = (0, 0);
        }
        let place = self.place;
        self.place += 1;
        match self.first {
            _ if self.random => self.draw(place),
            Some(first) if place == 0 => first,
            Some(first) if place <= first => place - 1,
            _ => place,
        }
    }

    /// An upstream that is to be asked as well, to see how it answers.
    pub fn looked_at(&self) -> Option<usize> {
        self.looked_at
    }

    /// One by chance of those that were not given out in this round (`given` are), the best first.
    fn draw(&mut self, given: usize) -> usize {
        match self.count {
            1 => return 0, // there is no choice, as a rule
            count if count > KNOWN => return random::below(count),
            _ => (),
        }
        let all = u128::MAX >> (KNOWN - self.count);
        let open = all & !self.given;
        let (mut open, count) = match open & self.best {
            0 => (open, self.count - given),
            best => (best, best.count_ones() as usize),
        };
        for _ in 0..if count > 1 { random::below(count) } else { 0 } {
            open &= open - 1;
        }
        let drawn = open.trailing_zeros() as usize;
        self.given |= 1 << drawn;
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn drawn(policy: &Policy, count: usize, turns: usize) -> Vec<usize> {
        let mut order = policy.plain_order(count);
        (0..turns).map(|_| order.next()).collect()
    }

    #[test]
    fn sequential() {
        assert_eq!(drawn(&Policy::Sequential, 3, 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn round_robin_begins_with_the_second() {
        let policy = Policy::RoundRobin(AtomicUsize::new(0));
        let orders: Vec<Vec<usize>> = (0..4).map(|_| drawn(&policy, 3, 4)).collect();
        assert_eq!(orders, [[1, 0, 2, 1], [2, 0, 1, 2], [0, 1, 2, 0], [1, 0, 2, 1]]);
        assert_eq!(drawn(&Policy::RoundRobin(AtomicUsize::new(usize::MAX)), 2, 1), [0]);
    }

    #[test]
    fn the_best_come_first() {
        for _ in 0..100 {
            let mut order = Order { best: 0b1010, ..Policy::Best.plain_order(4) };
            let drawn: Vec<usize> = (0..5).map(|_| order.next()).collect();
            assert!(drawn[..2] == [1, 3] || drawn[..2] == [3, 1], "{drawn:?}");
            assert!(drawn[2..4] == [0, 2] || drawn[2..4] == [2, 0], "{drawn:?}");
            assert!([1, 3].contains(&drawn[4]), "{drawn:?}");
        }
    }

    #[test]
    fn random_takes_each_once() {
        for count in [1, 2, 5, 128] {
            let all: HashSet<usize> = drawn(&Policy::Random, count, count).into_iter().collect();
            assert_eq!(all.len(), count);
        }
        let orders: HashSet<Vec<usize>> = (0..1000).map(|_| drawn(&Policy::Random, 3, 3)).collect();
        assert_eq!(orders.len(), 6);
        assert!(drawn(&Policy::Random, 500, 9).iter().all(|&u| u < 500));
    }
}
