//! Which plugins are asked, and what they have said.

use api::setup::ChainHandle;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether a plugin that was ready once is asked again.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Monitor {
    /// It is not.
    #[default]
    UntilReady,
    /// It is, each time.
    Continuously,
}

/// The plugins of all blocks that have the directive.
#[derive(Default)]
pub struct Checks(Mutex<State>);

#[derive(Default)]
struct State {
    chains: Vec<ChainHandle>,
    monitor: Monitor,
    /// Block and place of the plugins that have been ready.
    ready: HashSet<(usize, usize)>,
}

impl Checks {
    /// Asks the plugins of this block, too. `monitor` counts for all blocks, that of the last one.
    pub fn add(&self, chain: ChainHandle, monitor: Monitor) {
        let mut state = self.lock();
        state.chains.push(chain);
        state.monitor = monitor;
    }

    /// The names of the plugins that are not ready.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let mut state = self.lock();
        let State { chains, monitor, ready } = &mut *state;
        let mut names = BTreeSet::new();
        for (block, chain) in chains.iter().enumerate() {
            for (place, link) in chain.get().iter().flat_map(|chain| chain.links()).enumerate() {
                let asked = *monitor == Monitor::Continuously || !ready.contains(&(block, place));
                if asked && link.plugin.ready() {
                    ready.insert((block, place));
                } else if asked {
                    names.insert(link.name);
                }
            }
        }
        names.into_iter().collect()
    }

    /// No invariant of the state spans two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Chain, Link, Panics, Plugin, Query, Result, Step};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    struct Moody(Arc<AtomicBool>);

    impl Plugin for Moody {
        fn query(&self, _q: &mut Query) -> Result<Step> {
            Ok(Step::Next)
        }

        fn ready(&self) -> bool {
            self.0.load(Relaxed)
        }
    }

    /// Plugins in the first of two blocks.
    fn checks(monitors: [Monitor; 2]) -> (Checks, Arc<AtomicBool>) {
        let (checks, mood) = (Checks::default(), Arc::new(AtomicBool::new(false)));
        let chain = ChainHandle::default();
        checks.add(chain.clone(), monitors[0]);
        checks.add(ChainHandle::default(), monitors[1]);
        assert!(checks.not_ready().is_empty(), "a block that is not built has no plugins");
        let link = |name| Link { name, plugin: Box::new(Moody(mood.clone())) };
        let _ = chain.set(Arc::new(Chain::new(vec![link("b"), link("a"), link("b")], Panics::End)));
        (checks, mood)
    }

    #[test]
    fn a_plugin_that_was_ready_is_not_asked_again() {
        use Monitor::{Continuously, UntilReady};
        for (monitors, at_last) in [
            ([UntilReady; 2], &[][..]),
            ([Continuously; 2], &["a", "b"]),
            ([UntilReady, Continuously], &["a", "b"]),
            ([Continuously, UntilReady], &[]),
        ] {
            let (checks, mood) = checks(monitors);
            assert_eq!(checks.not_ready(), ["a", "b"]);
            mood.store(true, Relaxed);
            assert!(checks.not_ready().is_empty());
            mood.store(false, Relaxed);
            assert_eq!(checks.not_ready(), at_last);
        }
    }
}
