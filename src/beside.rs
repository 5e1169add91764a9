//! Work that plugins have on a thread beside its queries (`api::task::beside`): connections to upstreams.

use crate::metrics;
use crate::panics;
use api::task::{self, Work};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use tokio::runtime::Handle;

/// How many there may be on one thread: each is a connection, and so a file.
const MAX: usize = 4_096;

/// Lets plugins have work beside the queries of this thread, on the runtime that it is in when they ask for it.
pub fn allow() {
    let places = Arc::new(());
    task::set_host(Box::new(move |directive, work| {
        let Ok(runtime) = Handle::try_current() else { return false };
        // What this closure holds is no work.
        let free = Arc::strong_count(&places) <= MAX;
        if free {
            runtime.spawn(guard(directive, work, places.clone()));
        } else {
            metrics::shed_elsewhere("beside");
        }
        free
    }));
}

/// Does `work`, which ends where it panics; the place is free then.
async fn guard(directive: &'static str, mut work: Work, _place: Arc<()>) {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => {
            tracing::error!("Recovered from panic in server: \"plugin/{directive}\" {}", panics::take());
            metrics::panicked();
            Poll::Ready(())
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::task::beside;
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn work_is_done_beside_and_a_panic_in_it_harms_nobody() {
        allow();
        let (done, end) = oneshot::channel();
        let handles = [
            beside("forward", async { panic!("a mistake") }),
            beside("forward", async { done.send(7).expect("it is waited for") }),
        ];
        assert_eq!(end.await, Ok(7));
        assert!(handles.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn there_is_only_so_much_of_it() {
        allow();
        let mut handles: Vec<_> = (0..MAX).map(|_| beside("forward", std::future::pending()).unwrap()).collect();
        assert!(beside("forward", std::future::pending()).is_err());
        handles.pop();
        while beside("forward", std::future::ready(())).is_err() {
            yield_now().await; // until the work has been told
        }
    }
}
