//! Whether messages to an upstream may leave as segments of one (UDP segmentation offload).
//!
//! There are devices and tunnels that lose such messages without a word. So a few are tried first, of which one has to be answered
//! without being sent again, while all others leave one by one; and tried again whenever a reply is missing. Where some fail one after
//! the other, there are no more of them.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Trials that may fail one after the other. Some do where it is not their fault: one reply in ten, say, takes so long that the query is sent
/// again.
pub const MAX_FAILURES: u8 = 8;

/// What is known of segments on the way to an upstream. Read by all threads for each batch of messages, hardly ever written.
#[derive(Debug, Default)]
pub struct Segments {
    state: AtomicU8,
    /// Trials that failed one after the other.
    failures: AtomicU8,
}

/// It may be tried whether segments arrive.
const UNKNOWN: u8 = 0;
/// A trial is under way.
const IN_TRIAL: u8 = 1;
const ARRIVE: u8 = 2;
/// They are not used any more.
const NEVER: u8 = 3;

/// How messages that are to be sent together leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// One by one.
    OneByOne,
    /// As segments.
    Segments,
    /// As segments; one of them is to be watched, and [`Segments::tried`] told what became of it.
    Trial,
}

impl Segments {
    /// How the next messages leave. One trial is made at a time.
    pub fn way(&self) -> Way {
        match self.state.load(Relaxed) {
            ARRIVE => Way::Segments,
            UNKNOWN if self.passes(UNKNOWN, IN_TRIAL) => Way::Trial,
            _ => Way::OneByOne,
        }
    }

    /// The trial is over: the segment that was watched was `answered`, or its reply is missing.
    pub fn tried(&self, answered: bool) {
        let failures = if answered { 0 } else { self.failures.load(Relaxed).saturating_add(1) };
        self.failures.store(failures, Relaxed);
        let next = match failures {
            0 => ARRIVE,
            MAX_FAILURES.. => NEVER,
            _ => UNKNOWN,
        };
        self.passes(IN_TRIAL, next);
    }

    /// A reply is missing: its query may have been lost with others.
    pub fn doubt(&self) {
        if self.state.load(Relaxed) == ARRIVE {
            self.passes(ARRIVE, UNKNOWN);
        }
    }

    /// The system itself cannot send segments on this way.
    pub fn rule_out(&self) {
        self.state.store(NEVER, Relaxed);
    }

    fn passes(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of which one trial was answered.
    fn proved() -> Segments {
        let segments = Segments::default();
        assert_eq!(segments.way(), Way::Trial);
        segments.tried(true);
        segments
    }

    #[test]
    fn none_before_one_was_answered() {
        let segments = Segments::default();
        assert_eq!([(); 3].map(|()| segments.way()), [Way::Trial, Way::OneByOne, Way::OneByOne]);
        segments.tried(true);
        assert_eq!([(); 2].map(|()| segments.way()), [Way::Segments; 2]);
    }

    #[test]
    fn a_missing_reply_asks_for_another_trial() {
        let segments = proved();
        segments.doubt();
        assert_eq!([(); 2].map(|()| segments.way()), [Way::Trial, Way::OneByOne]);
        segments.doubt();
        assert_eq!(segments.way(), Way::OneByOne, "there is one already");
        segments.tried(true);
        assert_eq!(segments.way(), Way::Segments);
    }

    #[test]
    fn trials_that_fail_one_after_the_other_are_the_last_ones() {
        let segments = proved();
        for _ in 0..2 {
            segments.doubt();
            for _ in 1..MAX_FAILURES {
                assert_eq!(segments.way(), Way::Trial);
                segments.tried(false);
            }
            assert_eq!(segments.way(), Way::Trial);
            segments.tried(true);
        }
        segments.doubt();
        for _ in 0..MAX_FAILURES {
            assert_eq!(segments.way(), Way::Trial);
            segments.tried(false);
        }
        segments.doubt();
        assert_eq!([(); 2].map(|()| segments.way()), [Way::OneByOne; 2]);
    }

    #[test]
    fn none_where_the_system_cannot() {
        for segments in [proved(), Segments::default()] {
            let in_trial = segments.way() == Way::Trial;
            segments.rule_out();
            if in_trial {
                segments.tried(true);
            }
            segments.doubt();
            assert_eq!(segments.way(), Way::OneByOne);
        }
    }
}
