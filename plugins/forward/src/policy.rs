//! Policies: in which order the upstreams are tried.

use crate::random;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How an upstream is chosen for a query.
#[derive(Debug)]
pub enum Policy {
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
    /// Upstreams that were given out in this round.
    given: u128,
    place: usize,
}

impl Policy {
    /// An order of `count` upstreams for the next query.
    pub fn order(&self, count: usize) -> Order {
        let first = match self {
            // CoreDNS counts first and looks then: the second upstream is the first to be asked.
            Policy::RoundRobin(counter) => Some(counter.fetch_add(1, Relaxed).wrapping_add(1) % count),
            _ => None,
        };
        Order { count, first, random: matches!(self, Policy::Random), given: 0, place: 0 }
    }
}

impl Order {
    /// The next upstream, and whether a round begins with it.
    pub fn next(&mut self) -> (usize, bool) {
        if self.place == self.count {
            (self.place, self.given) = (0, 0);
        }
        let place = self.place;
        self.place += 1;
        let upstream = match self.first {
            _ if self.random => self.draw(place),
            Some(first) if place == 0 => first,
            Some(first) if place <= first => place - 1,
            _ => place,
        };
        (upstream, place == 0)
    }

    /// One by chance of those that were not given out in this round; `given` are.
    fn draw(&mut self, given: usize) -> usize {
        if self.count > u128::BITS as usize {
            return random::below(self.count); // so many may be drawn twice
        }
        let mut skip = random::below(self.count - given);
        for upstream in 0..self.count {
            if self.given >> upstream & 1 == 0 {
                if skip == 0 {
                    self.given |= 1 << upstream;
                    return upstream;
                }
                skip -= 1;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn drawn(policy: &Policy, count: usize, turns: usize) -> Vec<usize> {
        let mut order = policy.order(count);
        (0..turns).map(|_| order.next().0).collect()
    }

    #[test]
    fn sequential() {
        assert_eq!(drawn(&Policy::Sequential, 3, 5), [0, 1, 2, 0, 1]);
        let mut order = Policy::Sequential.order(2);
        assert_eq!([order.next(), order.next(), order.next()], [(0, true), (1, false), (0, true)]);
    }

    #[test]
    fn round_robin_begins_with_the_second() {
        let policy = Policy::RoundRobin(AtomicUsize::new(0));
        let orders: Vec<Vec<usize>> = (0..4).map(|_| drawn(&policy, 3, 4)).collect();
        assert_eq!(orders, [[1, 0, 2, 1], [2, 0, 1, 2], [0, 1, 2, 0], [1, 0, 2, 1]]);
        assert_eq!(drawn(&Policy::RoundRobin(AtomicUsize::new(usize::MAX)), 2, 1), [0]);
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
