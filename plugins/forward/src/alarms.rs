//! When those are woken who wait for an upstream from which nothing comes: all of a thread's with one timer of the runtime.
//!
//! Most of them have a reply long before that. A timer for each costs more than the rest of their wait, and where it is the first
//! one to be due the runtime wakes itself by way of the system.

use crate::threads::PerThread;
use api::Clock;
use api::task::{Beside, beside};
use slab::Slab;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// The alarms of one directive.
#[derive(Debug)]
pub struct Alarms {
    clock: Clock,
    bells: PerThread<Bell>,
}

/// Wakes who waits, when it is due. Belongs to the thread that it was made on, as sockets do.
#[derive(Debug)]
pub enum Alarm<'a> {
    /// With those of the thread.
    Shared {
        /// Where they are.
        bell: &'a Bell,
        /// When it is due.
        due: Instant,
        /// Its place among them, once it is waited for.
        place: Option<usize>,
    },
    /// With a timer of its own, where the thread has no room for the work that the others need.
    Own(Pin<Box<Sleep>>),
}

/// The alarms of one thread.
#[derive(Debug, Default)]
pub struct Bell {
    shared: Arc<Shared>,
    task: Mutex<Option<Beside>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// There is a task that rings.
    is_rung: AtomicBool,
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    entries: Slab<Entry>,
    /// When the task looks through them: no later than the first of them is due.
    next: Option<Instant>,
    task: Option<Waker>,
}

#[derive(Debug)]
struct Entry {
    due: Instant,
    /// Who waits; nobody once it has rung.
    waker: Option<Waker>,
}

impl Alarms {
    /// None yet.
    pub fn new(clock: Clock) -> Alarms {
        Alarms { clock, bells: PerThread::default() }
    }

    /// An alarm that is due then.
    pub fn at(&self, due: Instant) -> Alarm<'_> {
        match self.bells.get().filter(|bell| bell.is_rung(&self.clock)) {
            Some(bell) => Alarm::Shared { bell, due, place: None },
            None => Alarm::Own(Box::pin(sleep_until(due.into()))),
        }
    }
}

impl Alarm<'_> {
    /// Sets when it is due.
    pub fn set(&mut self, to: Instant) {
        match self {
            Alarm::Shared { due, .. } => *due = to,
            Alarm::Own(timer) if timer.deadline() != to.into() => timer.as_mut().reset(to.into()),
            Alarm::Own(_) => (),
        }
    }

    /// Waits until it is due; also ready where it was due before it was last set, and nobody has seen that.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Alarm::Shared { bell, due, place } => bell.shared.set().poll(*due, place, cx),
            Alarm::Own(timer) => timer.as_mut().poll(cx),
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Alarm::Shared { bell, place: Some(place), .. } = *self {
            let entry = bell.shared.set().entries.try_remove(place);
            drop(entry); // its waker, too, once the lock is free again
        }
    }
}

impl Bell {
    /// Whether there is a task that rings, from now on at least. It ends with the runtime that it was begun on.
    fn is_rung(&self, clock: &Clock) -> bool {
        self.shared.is_rung.load(Relaxed) || self.begin(clock)
    }

    #[cold]
    fn begin(&self, clock: &Clock) -> bool {
        self.shared.is_rung.store(true, Relaxed);
        let Ok(task) = beside("forward", ring(Ringing(self.shared.clone()), clock.clone())) else { return false };
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        true
    }
}

/// Says that nobody rings any more, once the task has ended.
struct Ringing(Arc<Shared>);

impl Drop for Ringing {
    fn drop(&mut self) {
        self.0.is_rung.store(false, Relaxed);
    }
}

/// Rings all alarms of a thread.
async fn ring(ringing: Ringing, clock: Clock) {
    let shared = &ringing.0;
    let mut timer = pin!(sleep_until(clock.now().into()));
    let mut due = Vec::new();
    poll_fn(|cx| {
        loop {
            let Some(next) = shared.set().next(cx) else { return Poll::Pending };
            if timer.deadline() != next.into() {
                timer.as_mut().reset(next.into());
            }
            ready!(timer.as_mut().poll(cx));
            shared.set().take_due(next.max(clock.now()), &mut due);
            due.drain(..).for_each(Waker::wake);
        }
    })
    .await
}

impl Shared {
    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    /// Whether the alarm at `place`, which it gets with the first call and loses with the last one, has rung; if not, who calls is woken
    /// when it does.
    fn poll(&mut self, due: Instant, place: &mut Option<usize>, cx: &Context<'_>) -> Poll<()> {
        match place.and_then(|place| self.entries.get_mut(place)) {
            None => *place = Some(self.entries.insert(Entry { due, waker: Some(cx.waker().clone()) })),
            Some(Entry { waker: None, .. }) => {
                place.take().and_then(|place| self.entries.try_remove(place));
                return Poll::Ready(());
            }
            Some(Entry { due: then, waker: Some(waker) }) => {
                *then = due;
                waker.clone_from(cx.waker());
            }
        }
        if self.next.is_none_or(|next| due < next) {
            self.next = Some(due);
            self.task.iter().for_each(Waker::wake_by_ref);
        }
        Poll::Pending
    }

    /// When the task, which calls this, is to look at them; it is woken if that becomes sooner.
    fn next(&mut self, cx: &Context<'_>) -> Option<Instant> {
        match &mut self.task {
            Some(task) => task.clone_from(cx.waker()),
            None => self.task = Some(cx.waker().clone()),
        }
        self.next
    }

    /// Moves those who are to be woken at `now` to `due`.
    fn take_due(&mut self, now: Instant, due: &mut Vec<Waker>) {
        self.next = None;
        for (_, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.waker.is_some()) {
            if entry.due <= now {
                due.extend(entry.waker.take());
            } else if self.next.is_none_or(|next| entry.due < next) {
                self.next = Some(entry.due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::task::{Carry, set_host};
    use api::test::world;
    use std::cell::RefCell;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Alarms of a thread that may have work beside its queries.
    fn alarms() -> Alarms {
        let world = world(Clock::system(), Carry::default());
        Alarms::new(world.clock)
    }

    fn after(alarms: &Alarms, millis: u64) -> Alarm<'_> {
        alarms.at(alarms.clock.now() + Duration::from_millis(millis))
    }

    async fn rung(alarm: &mut Alarm<'_>) {
        let ring = poll_fn(|cx| alarm.poll(cx));
        timeout(Duration::from_secs(60), ring).await.expect("it rings");
    }

    #[tokio::test]
    async fn alarms_ring_when_they_are_due() {
        let (alarms, rang) = (alarms(), RefCell::new(Vec::new()));
        let one = async |millis: u64| {
            let mut alarm = after(&alarms, millis);
            rung(&mut alarm).await;
            rang.borrow_mut().push(millis);
        };
        tokio::join!(one(30), one(10), one(20));
        assert_eq!(*rang.borrow(), [10, 20, 30]);
        one(1).await;
        assert_eq!(rang.borrow().len(), 4, "the task goes on");
    }

    #[tokio::test]
    async fn an_alarm_can_be_put_off_and_given_up() {
        let alarms = alarms();
        let (mut put_off, mut given_up) = (after(&alarms, 0), after(&alarms, 0));
        let mut waits = |cx: &mut Context<'_>| put_off.poll(cx).is_pending() && given_up.poll(cx).is_pending();
        assert!(waits(&mut Context::from_waker(Waker::noop())));
        drop(given_up);
        let due = alarms.clock.now() + Duration::from_millis(20);
        put_off.set(due);
        rung(&mut put_off).await;
        assert!(alarms.clock.now() >= due);
        let Alarm::Shared { bell, place: None, .. } = put_off else { panic!("it has a place: {put_off:?}") };
        assert!(bell.shared.set().entries.is_empty());
    }

    #[test]
    fn another_runtime_of_the_thread_rings_too() {
        let alarms = alarms();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(async {
                let mut alarm = after(&alarms, 1);
                assert!(matches!(alarm, Alarm::Shared { .. }));
                rung(&mut alarm).await;
            });
        }
    }

    #[tokio::test]
    async fn without_work_beside_the_queries_each_has_a_timer() {
        let alarms = alarms();
        set_host(Box::new(|_, _| false));
        let mut alarm = after(&alarms, 60_000);
        assert!(matches!(alarm, Alarm::Own(_)));
        alarm.set(alarms.clock.now());
        rung(&mut alarm).await;
    }
}
