//! Who may send how much: everybody as much as he wants, up to a level that makes all fit (max-min fairness).

use crate::clients::Client;
use std::collections::HashMap;
use std::time::Instant;

/// Sources whose datagrams are counted by themselves; those that send most are among the first seen.
const COUNTED: usize = 1_024;
/// Sources that can be thinned out at the same time: the filter goes through all of them for each datagram.
const THINNED: usize = 64;
/// What is let through while the queue is long, as a part of what can be answered: the rest of the time empties it.
const WHILE_LONG: f64 = 0.85;
/// And while it is short.
const WHILE_SHORT: f64 = 0.97;
/// Less than this part of what was read was lost: there is not too much now.
const FEW: f64 = 0.05;
/// Intervals like that in succession, after which there is not too much any more: a flood that pauses is still one.
const CALM: u32 = 5;
/// More might be answered than is let through: so much more is tried each time.
const GROWTH: f64 = 1.02;

/// A source that sends more than its share.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Thinned {
    /// Who.
    pub source: Client,
    /// The part that is let through, from 0 to 1.
    pub part: f64,
}

/// What has come since the shares were made last.
pub struct Watch {
    since: Instant,
    /// Datagrams that were read, in all and of each source, after the filter.
    read: u32,
    sources: HashMap<Client, u32>,
    batches: u32,
    full: u32,
    /// Datagrams a second that can be answered.
    capacity: f64,
    /// Intervals in succession in which hardly anything was lost.
    calm: u32,
    thinned: Vec<Thinned>,
}

impl Watch {
    /// Nothing has come yet, and nobody is thinned out.
    pub fn new(now: Instant) -> Watch {
        let (sources, thinned) = (HashMap::new(), Vec::new());
        Watch { since: now, read: 0, sources, batches: 0, full: 0, capacity: 0.0, calm: 0, thinned }
    }

    /// A batch has come from these sources.
    pub fn count(&mut self, sources: impl Iterator<Item = Client>, full: bool) {
        self.batches += 1;
        self.full += u32::from(full);
        for source in sources {
            self.read += 1;
            if let Some(number) = self.sources.get_mut(&source) {
                *number += 1;
            } else if self.sources.len() < COUNTED {
                self.sources.insert(source, 1);
            }
        }
    }

    /// Who is thinned out.
    pub fn thinned(&self) -> &[Thinned] {
        &self.thinned
    }

    /// Makes the shares from what has come until now, while the kernel dropped `lost` datagrams. `None` where there is not too
    /// much any more.
    pub fn judge(&mut self, now: Instant, lost: u32) -> Option<&[Thinned]> {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64().max(0.001);
        // Where a batch was not full the queue was empty then, and more could have been answered than was.
        let long = self.batches > 0 && self.full == self.batches;
        let answered = f64::from(self.read) / seconds;
        self.capacity = if long { answered } else { answered.max(self.capacity * GROWTH) };
        self.calm = if f64::from(lost) <= FEW * f64::from(self.read) { self.calm + 1 } else { 0 };
        if self.calm >= CALM {
            return None;
        }
        if self.calm == 0 {
            let room = self.capacity * seconds * if long { WHILE_LONG } else { WHILE_SHORT };
            let (sent, rest) = self.sent(lost);
            self.thinned = thin_out(sent, rest, room);
        }
        (self.since, self.read, self.batches, self.full) = (now, 0, 0, 0);
        self.sources.clear();
        Some(&self.thinned)
    }

    /// How many datagrams each source has sent, and all others together: what was read tells how those that passed the filter
    /// are distributed, also those that found the queue full.
    fn sent(&self, lost: u32) -> (Vec<(Client, f64)>, f64) {
        let part = |source| self.thinned.iter().find(|t| t.source == source).map_or(1.0, |t| t.part);
        let mut sent: Vec<_> = self.sources.iter().map(|(&s, &n)| (s, f64::from(n) / part(s))).collect();
        let counted: u32 = self.sources.values().sum();
        let rest = f64::from(self.read - counted);
        let all = sent.iter().map(|(_, n)| n).sum::<f64>() + rest;
        let scale = f64::from(self.read + lost) / all.max(1.0);
        sent.iter_mut().for_each(|(_, n)| *n *= scale);
        (sent, rest * scale)
    }
}

/// Who has to be thinned out so that all have room, those that send most first: those above the level at which the others, and
/// so much of these, just fit. Nobody is left less than a small part of all: where so many send that this is too much, the queue
/// overflows for all alike, and it makes no difference whether their addresses are their own.
fn thin_out(mut sent: Vec<(Client, f64)>, rest: f64, room: f64) -> Vec<Thinned> {
    sent.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let (mut left, mut level) = ((room - rest).max(0.0), f64::INFINITY);
    for (i, &(_, n)) in sent.iter().enumerate() {
        let share = left / (sent.len() - i) as f64;
        if n > share {
            level = share.max(room / THINNED as f64);
            break;
        }
        left -= n;
    }
    let above = sent.iter().rev().take_while(|(_, n)| *n > level).take(THINNED);
    above.map(|&(source, n)| Thinned { source, part: level / n }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A socket whose queue is served at a rate, under the filter of a watch.
    struct Simulated {
        now: Instant,
        watch: Watch,
        queue: f64,
    }

    /// Datagrams a second that are answered, and places in the queue.
    const RATE: f64 = 20_000.0;
    const PLACES: f64 = 4_000.0;

    impl Simulated {
        /// Full already, as it is where a watch begins.
        fn new() -> Simulated {
            let now = api::Clock::system().now();
            Simulated { now, watch: Watch::new(now), queue: PLACES }
        }

        /// A tenth of a second in which sources send this much; returns how many of each are answered, or `None` at the end of
        /// the watch.
        fn interval(&mut self, sent: &[f64]) -> Option<Vec<f64>> {
            let source = |i| Client::V4(i as u32);
            let part = |i| self.watch.thinned.iter().find(|t| t.source == source(i)).map_or(1.0, |t| t.part);
            let passed: Vec<f64> = sent.iter().enumerate().map(|(i, n)| n * part(i)).collect();
            let all: f64 = passed.iter().sum();
            let answered = (self.queue + all).min(RATE / 10.0);
            let left = self.queue + all - answered;
            self.queue = left.min(PLACES);
            let lost = sent.iter().sum::<f64>() - all + (left - self.queue);
            let share = |n: f64| n * answered / all;
            let long = self.queue > 0.0;
            for (i, n) in passed.iter().enumerate() {
                self.watch.count(std::iter::repeat_n(source(i), share(*n).round() as usize), long);
            }
            self.now += Duration::from_millis(100);
            self.watch.judge(self.now, lost as u32)?;
            Some(passed.iter().map(|n| share(*n)).collect())
        }
    }

    #[test]
    fn who_sends_a_hundred_times_as_much_does_not_starve_the_others() {
        let mut socket = Simulated::new();
        let mut sent = vec![50.0; 10];
        sent.push(5_500.0); // three times what can be answered, in all
        (0..20).for_each(|_| drop(socket.interval(&sent).expect("there is too much")));
        let mut all = vec![0.0; sent.len()];
        for _ in 0..50 {
            let answered = socket.interval(&sent).expect("there is too much");
            all.iter_mut().zip(answered).for_each(|(sum, n)| *sum += n);
        }
        let whole = 50.0 * RATE / 10.0;
        assert!(all.iter().sum::<f64>() > 0.9 * whole, "{all:?} of {whole}");
        all[..10].iter().for_each(|n| assert!(*n > 0.9 * 50.0 * 50.0, "{all:?}"));
    }

    #[test]
    fn it_ends_when_there_is_room_again() {
        let mut socket = Simulated::new();
        (0..20).for_each(|_| drop(socket.interval(&[100.0, 6_000.0]).expect("there is too much")));
        let after = (0..20).position(|_| socket.interval(&[100.0, 200.0]).is_none());
        assert!(after.is_some_and(|intervals| intervals < 10), "{after:?}");
    }

    #[test]
    fn equals_have_equal_shares_and_what_is_not_known_is_let_through() {
        let source = |i| Client::V4(i);
        let sent = vec![(source(1), 300.0), (source(2), 10.0), (source(3), 300.0)];
        let thinned = thin_out(sent.clone(), 90.0, 200.0);
        assert_eq!(thinned.iter().map(|t| t.part).collect::<Vec<_>>(), [50.0 / 300.0; 2]);
        assert!(thinned.iter().all(|t| t.source != source(2)));
        assert_eq!(thin_out(sent, 0.0, 610.0), []);
    }

    #[test]
    fn a_flood_from_everywhere_takes_nobody_his_small_part() {
        let mut sent: Vec<_> = (0..1_000).map(|i| (Client::V4(i), 1.0)).collect();
        sent.push((Client::V4(1_000), 100.0)); // who really asks
        sent.push((Client::V4(1_001), 1_000.0));
        let thinned = thin_out(sent, 50_000.0, 10_000.0);
        assert_eq!(thinned, [Thinned { source: Client::V4(1_001), part: 10_000.0 / 64.0 / 1_000.0 }]);
    }
}
