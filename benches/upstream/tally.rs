//! What became of the questions of a load.

use crate::load::PATIENCE;
use crate::message::Verdict;
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of one question.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The stream of the plan.
    pub stream: usize,
    /// When it was sent, since the begin.
    pub asked: Duration,
    /// How long after it was due.
    pub late: Duration,
    /// How long after it was sent the first reply came, and what it says; `None`: lost.
    pub reply: Option<(Duration, Verdict)>,
}

/// All of a load.
pub struct Outcomes(pub Vec<Outcome>);

impl Outcomes {
    /// All counted together.
    pub fn all(&self) -> Tally {
        Tally::of(self.0.iter())
    }

    /// Those of one stream.
    pub fn stream(&self, stream: usize) -> Tally {
        self.stream_from(stream, Duration::ZERO)
    }

    /// Those of one stream that were asked at some time or later, since the begin.
    pub fn stream_from(&self, stream: usize, from: Duration) -> Tally {
        Tally::of(self.0.iter().filter(|o| o.stream == stream && o.asked >= from))
    }

    /// Those that were asked from one point of time to another, since the begin.
    pub fn between(&self, from: Duration, to: Duration) -> Tally {
        Tally::of(self.0.iter().filter(|o| (from..to).contains(&o.asked)))
    }
}

/// Counted outcomes.
#[derive(Default)]
pub struct Tally {
    pub asked: usize,
    pub good: usize,
    /// Replies with a code other than NOERROR, by code.
    pub codes: BTreeMap<u8, usize>,
    pub wrong: usize,
    pub lost: usize,
    /// The longest that a question was sent after it was due: the load was too much for who made it.
    pub late: Duration,
    /// Sorted; a lost one has waited as long as anybody does.
    latencies: Vec<Duration>,
}

impl Tally {
    fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Tally {
        let mut tally = Tally::default();
        for outcome in outcomes {
            tally.asked += 1;
            tally.late = tally.late.max(outcome.late);
            match outcome.reply {
                None => tally.lost += 1,
                Some((_, Verdict::Good)) => tally.good += 1,
                Some((_, Verdict::Wrong)) => tally.wrong += 1,
                Some((_, Verdict::Code(code))) => *tally.codes.entry(code).or_default() += 1,
            }
            tally.latencies.push(outcome.reply.map_or(PATIENCE, |(took, _)| took));
        }
        tally.latencies.sort_unstable();
        tally
    }

    /// The latency that this part of all questions did not exceed.
    pub fn latency(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() as f64 * part) as usize;
        self.latencies.get(place.min(last)).copied().unwrap_or_default()
    }

    /// How many took longer than that.
    pub fn slower_than(&self, limit: Duration) -> usize {
        self.latencies.len() - self.latencies.partition_point(|took| *took <= limit)
    }

    /// Replies that say SERVFAIL.
    pub fn servfail(&self) -> usize {
        self.codes.get(&SERVFAIL).copied().unwrap_or_default()
    }

    /// All that was not answered well.
    pub fn bad(&self) -> usize {
        self.asked - self.good
    }
}

/// Response codes.
pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const REFUSED: u8 = 5;
