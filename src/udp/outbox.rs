//! Replies to queries that had to wait, on their way out: those that get ready together leave together.

use api::Query;
use std::cell::RefCell;
use tokio::sync::Notify;

/// The replies that are ready, sealed, and who sends them.
#[derive(Default)]
pub struct Outbox {
    #[expect(
        clippy::vec_box,
        reason = "a query moves as its box, between sockets, lanes and the pool of those that are spare"
    )]
    ready: RefCell<Vec<Box<Query>>>,
    some: Notify,
}

impl Outbox {
    /// Adds a reply. It leaves when those have had their turn that work already.
    pub fn push(&self, q: Box<Query>) {
        let mut ready = self.ready.borrow_mut();
        if ready.is_empty() {
            self.some.notify_one();
        }
        ready.push(q);
    }

    /// Waits until there is something to send.
    pub async fn some(&self) {
        self.some.notified().await;
    }

    /// Moves all that is ready into `all`, which is empty.
    #[expect(clippy::vec_box, reason = "as above")]
    pub fn take(&self, all: &mut Vec<Box<Query>>) {
        std::mem::swap(&mut *self.ready.borrow_mut(), all);
    }
}
