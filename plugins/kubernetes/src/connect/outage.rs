//! What the log says while an API server cannot be read: once that it is so, once that it is over.

use super::Failure;
use api::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The state of one API server, told by those who read from it.
pub struct Outage {
    origin: String,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The kinds of objects that cannot be read at present: what is wrong, since when it has been that.
    failing: Vec<(&'static str, Wrong, Instant)>,
    /// When the first of them began to fail.
    since: Option<Instant>,
    /// What the log has said about this outage.
    said: Vec<(Option<&'static str>, Wrong)>,
}

/// What is wrong, as far as the log makes a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// There is no answer, whatever the question.
    Unreachable,
    /// An answer with this status.
    Status(u16),
}

impl Outage {
    /// All is well with the server that is called so.
    pub fn new(origin: String, clock: Clock) -> Outage {
        Outage { origin, clock, state: Mutex::default() }
    }

    /// A kind of objects cannot be read.
    pub fn fails(&self, kind: &'static str, failure: &Failure) {
        let now = self.clock.now();
        let mut state = self.state();
        state.since.get_or_insert(now);
        let (wrong, line) = match failure {
            Failure::Unreachable(why) => {
                let line =
                    format!("the Kubernetes API at {} cannot be reached: {why}; answers stay as they are", self.origin);
                (Wrong::Unreachable, line)
            }
            Failure::Status { code: 404, .. } => {
                let line = format!(
                    "{kind} are not known to {}, maybe because they are not installed there: {failure}; until they are, names \
                     that do not exist are answered with SERVFAIL",
                    self.origin
                );
                (Wrong::Status(404), line)
            }
            Failure::Status { code, .. } => {
                let line = format!("cannot watch {kind} at {}: {failure}; answers stay as they are", self.origin);
                (Wrong::Status(*code), line)
            }
        };
        let known = state.failing.iter().position(|f| f.0 == kind && f.1 == wrong);
        let known = known.unwrap_or_else(|| {
            state.failing.retain(|f| f.0 != kind);
            state.failing.push((kind, wrong, now));
            state.failing.len() - 1
        });
        // A server that has just started refuses for a moment.
        let lasts = wrong == Wrong::Unreachable || now - state.failing[known].2 >= PATIENCE;
        let topic = (Some(kind).filter(|_| wrong != Wrong::Unreachable), wrong);
        if !lasts || state.said.contains(&topic) {
            return tracing::debug!("{line}");
        }
        tracing::warn!("{line}");
        state.said.push(topic);
    }

    /// A kind of objects is read.
    pub fn works(&self, kind: &'static str) {
        let mut state = self.state();
        state.failing.retain(|f| f.0 != kind);
        if !state.failing.is_empty() {
            return;
        }
        let ended = std::mem::take(&mut *state);
        if let Some(since) = ended.since.filter(|_| !ended.said.is_empty()) {
            let time = self.clock.now() - since;
            tracing::info!("the Kubernetes API at {} answers again, after {:.1} s", self.origin, time.as_secs_f64());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a server may refuse before that is worth a line.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_it_once() {
        let clock = Clock::manual();
        let outage = Outage::new("k8s:6443 (here)".into(), clock.clone());
        let said = || outage.state().said.len();
        let away = Failure::Unreachable("connection refused".into());
        let refused = Failure::Status { code: 403, message: "forbidden".into(), retry_after: None };
        outage.fails("services", &away);
        outage.fails("namespaces", &away);
        assert_eq!(said(), 1);
        outage.works("namespaces");
        outage.fails("services", &refused);
        assert_eq!(said(), 1, "for a moment only");
        clock.advance(PATIENCE);
        outage.fails("services", &refused);
        outage.fails("services", &refused);
        assert_eq!(said(), 2);
        outage.works("services");
        assert_eq!((said(), outage.state().since), (0, None));
    }
}
