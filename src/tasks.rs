//! Background work: started together, told to stop together, with a name in the log when it fails.

use api::task::{Carried, StopSource, Task};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long work may go on after it was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Where tasks that fail say why: `plugin/loop: …`. A failure ends the process.
pub type Failures = mpsc::UnboundedSender<String>;

/// The work of one generation, or of state that outlives generations.
#[derive(Default)]
pub struct Running {
    set: JoinSet<()>,
}

impl Running {
    /// Starts `tasks`, to end at the order of `stop`.
    pub fn start(&mut self, tasks: Vec<Task>, stop: &StopSource, failures: &Failures) {
        for task in tasks {
            let (stop, failures) = (stop.listen(), failures.clone());
            self.set.spawn(async move {
                if let Err(e) = (task.start)(stop).await {
                    // Nobody listens any more only while the process ends.
                    let _ = failures.send(format!("plugin/{}: {e}", task.directive));
                }
            });
        }
    }

    /// Starts the work of states that outlive a reload, if it has not begun yet; each ends with its state.
    pub fn start_carried(&mut self, carried: &[Arc<Carried>], failures: &Failures) {
        for state in carried {
            let tasks = state.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.start(tasks, &state.stop, failures);
        }
    }

    /// Waits for the end of all work that was told to stop, but not for ever.
    pub async fn end(mut self) {
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("background work did not end within {GRACE:?} and was cut off");
        }
    }

    /// Lets the work go on by itself until its order to stop.
    pub fn detach(mut self) {
        self.set.detach_all();
    }
}
