//! Waiting for something that happens on the same thread, without locks, atomics or memory.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who waits for something: one task at a time.
#[derive(Default)]
pub struct Wake(RefCell<Option<Waker>>);

impl Wake {
    /// Waits until `ready` gives something; it is asked at first, and whenever who waits is told.
    pub fn when<T>(&self, mut ready: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
        poll_fn(move |cx| {
            if let Some(value) = ready() {
                return Poll::Ready(value);
            }
            // As a rule it is the task that waited the last time.
            match &mut *self.0.borrow_mut() {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
    }

    /// Tells who waits, or did, that it may be ready.
    pub fn tell(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    #[tokio::test]
    async fn who_waits_is_told() {
        let (wake, value) = (Rc::new(Wake::default()), Rc::new(Cell::new(Some(1))));
        wake.tell();
        assert_eq!(wake.when(|| value.take()).await, 1, "at once");
        let tell = async {
            for n in [None, Some(2), Some(3)] {
                while value.get().is_some() {
                    yield_now().await;
                }
                value.set(n);
                wake.tell();
                yield_now().await;
            }
        };
        let waits = |wake: Rc<Wake>, value: Rc<Cell<Option<u8>>>| async move { wake.when(|| value.take()).await };
        let set = LocalSet::new();
        let told = set.run_until(async {
            let one = spawn_local(waits(wake.clone(), value.clone()));
            tell.await;
            (one.await.expect("no panic"), spawn_local(waits(wake.clone(), value.clone())).await.expect("no panic"))
        });
        assert_eq!(told.await, (2, 3), "one task, then another");
    }
}
