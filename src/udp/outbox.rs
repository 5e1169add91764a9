//! Replies to queries that had to wait, on their way out: those that get ready together leave together.

use crate::wake::Wake;
use api::Query;
use std::cell::RefCell;

/// The replies that are ready, sealed, and who sends them.
#[derive(Default)]
pub struct Outbox {
    #[expect(
        clippy::vec_box,
        reason = "a query moves as its box, between sockets, lanes and the pool of those that are spare"
    )]
    ready: RefCell<Vec<Box<Query>>>,
    some: Wake,
}

impl Outbox {
    /// Adds a reply. It leaves when those have had their turn that work already.
    pub fn push(&self, q: Box<Query>) {
        let mut ready = self.ready.borrow_mut();
        ready.push(q);
        if ready.len() == 1 {
            self.some.tell();
        }
    }

    /// Waits until there is something to send; one task at a time may.
    pub async fn some(&self) {
        self.some.when(|| (!self.ready.borrow().is_empty()).then_some(())).await;
    }

    /// Moves all that is ready into `all`, which is empty.
    #[expect(clippy::vec_box, reason = "as above")]
    pub fn take(&self, all: &mut Vec<Box<Query>>) {
        std::mem::swap(&mut *self.ready.borrow_mut(), all);
    }
}
