//! Background work, work beside the queries of a thread, and state that outlives a reload together with its work.

use crate::corefile::ConfigError;
use crate::{Error, Result};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Tells background work to end: when [`StopSource::stop`] is called, or its source is dropped.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits until the work is to end.
    pub async fn stopped(&mut self) {
        // An error means that the source is gone, which is an order to stop too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the order has been given since this receiver is there: one look at memory, for loops that hardly wait.
    pub fn is_ordered(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Runs `work` until it ends (`Some`) or is told to (`None`).
    pub async fn or<F: Future>(&mut self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            done = work => Some(done),
        }
    }
}

/// The other end of a [`Stop`].
#[derive(Debug)]
pub struct StopSource(watch::Sender<bool>);

impl StopSource {
    /// Orders everything that holds a [`Stop`] of this source to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// A receiver of the order.
    pub fn listen(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Default for StopSource {
    fn default() -> Self {
        StopSource(watch::channel(false).0)
    }
}

/// Runs `work` on the thread that calls, beside its queries, until it ends or its handle is dropped: for what belongs to the
/// runtime of the thread and outlives the query that began it, like a connection. `directive` is whose work it is.
///
/// # Errors
/// The thread has as much of it as it may have, or runs nothing but what it waits for.
pub fn beside(directive: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Result<Beside> {
    let source = StopSource::default();
    let mut stop = source.listen();
    begin(directive, Box::pin(async move { stop.or(work).await.unwrap_or(()) }))?;
    Ok(Beside { _ends: source })
}

/// Like [`beside`], but without a handle: for work that comes to its end by itself, and whose end nobody waits for.
///
/// # Errors
/// The thread has as much of it as it may have, or runs nothing but what it waits for.
pub fn beside_to_its_end(directive: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Result {
    begin(directive, Box::pin(work))
}

fn begin(directive: &'static str, work: Work) -> Result {
    // While a thread ends it has no host any more.
    let taken = HOST.try_with(|host| host.borrow().as_ref().is_some_and(|host| host(directive, work)));
    match taken {
        Ok(true) => Ok(()),
        _ => Err(Error::msg("too much work beside the queries of this thread")),
    }
}

/// Work that goes on as long as this is kept.
#[must_use]
#[derive(Debug)]
pub struct Beside {
    _ends: StopSource,
}

/// Work for [`beside`].
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Begins the work of a directive on its thread; says whether it has.
pub type Host = Box<dyn Fn(&'static str, Work) -> bool>;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// For the daemon: the calling thread has a runtime, and `host` begins work on it.
pub fn set_host(host: Host) {
    HOST.set(Some(host));
}

/// Does work that blocks, and may block for long, on a thread of its own; `None` where it takes longer than `limit`, or fails.
/// The thread is left to itself then. For set-up, which has no other way to wait for something that knows no limit.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = std::sync::mpsc::channel();
    let all = move || {
        // Nobody waits for it any more: then it does not matter.
        let _ = done.send(work());
    };
    let _left_to_itself = std::thread::Builder::new().spawn(all).ok()?;
    result.recv_timeout(limit).ok()
}

/// Background work that has not begun.
pub struct Task {
    /// The directive that it belongs to.
    pub directive: &'static str,
    /// What it does.
    pub name: &'static str,
    /// Begins it.
    pub start: Box<dyn FnOnce(Stop) -> Working + Send>,
}

/// Background work that has begun; an error ends the process.
pub type Working = Pin<Box<dyn Future<Output = Result> + Send>>;

/// Background work that belongs together.
#[derive(Default)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    /// Adds work.
    pub fn add<F>(&mut self, directive: &'static str, name: &'static str, work: impl FnOnce(Stop) -> F + Send + 'static)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        self.0.push(Task { directive, name, start: Box::new(move |stop| Box::pin(work(stop))) });
    }

    /// All work, to be started.
    pub fn take(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.0)
    }
}

/// State that outlives a reload, its work, and the means to end that when nobody uses the state any more.
pub struct Carried {
    value: Arc<dyn Any + Send + Sync>,
    key: (&'static str, String),
    /// Work that waits to be started.
    pub tasks: Mutex<Tasks>,
    /// Ends the work; dropped with the state.
    pub stop: StopSource,
}

/// The state of one generation, by directive and configuration; what of it was there in the generation before.
#[derive(Default)]
pub struct Carry {
    before: HashMap<(&'static str, String), Arc<Carried>>,
    current: Mutex<Vec<Arc<Carried>>>,
}

impl Carry {
    /// Begins with what the generation before had.
    pub fn from_before(before: &[Arc<Carried>]) -> Carry {
        let before = before.iter().map(|c| (c.key.clone(), c.clone())).collect();
        Carry { before, current: Mutex::default() }
    }

    pub(crate) fn get<T: Any + Send + Sync>(
        &self,
        directive: &'static str,
        key: &str,
        make: impl FnOnce(&mut Tasks) -> Result<T, ConfigError>,
    ) -> Result<Arc<T>, ConfigError> {
        let key = (directive, format!("{}\n{key}", std::any::type_name::<T>()));
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let known = current.iter().find(|c| c.key == key).or_else(|| self.before.get(&key)).cloned();
        if let Some(known) = known
            && let Ok(value) = known.value.clone().downcast::<T>()
        {
            if !current.iter().any(|c| Arc::ptr_eq(c, &known)) {
                current.push(known);
            }
            return Ok(value);
        }
        let mut tasks = Tasks::default();
        let value = Arc::new(make(&mut tasks)?);
        let tasks = Mutex::new(tasks);
        current.push(Arc::new(Carried { value: value.clone(), key, tasks, stop: StopSource::default() }));
        Ok(value)
    }

    /// The state of this generation.
    pub fn current(&self) -> Vec<Arc<Carried>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    #[test]
    fn what_takes_too_long_is_left_to_itself() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(10), move || held.recv()), None);
        drop(release);
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
    }

    #[test]
    fn work_ends_with_its_handle() {
        let begun: Rc<RefCell<Vec<Work>>> = Rc::default();
        assert!(beside("forward", std::future::ready(())).is_err(), "nobody runs it");
        let host = begun.clone();
        set_host(Box::new(move |_, work| {
            host.borrow_mut().push(work);
            host.borrow().len() < 3
        }));
        let [kept, dropped] = [(); 2].map(|()| beside("forward", std::future::pending()).expect("begun"));
        assert!(beside("forward", std::future::ready(())).is_err(), "as much as may be");
        let poll = |n: usize| begun.borrow_mut()[n].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!([0, 1].into_iter().all(|n| poll(n).is_pending()));
        drop(dropped);
        assert!(poll(0).is_pending() && poll(1).is_ready());
        drop(kept);
        assert!(poll(0).is_ready());
    }
}
