//! Queries that wait: each in a lane, a task that is used again, so that waiting allocates nothing here.
//!
//! All of a worker's listeners share its lanes. Their number is bounded, and no client can have them all: what comes when there is
//! no place is answered SERVFAIL at once and counted, so that a dead upstream costs memory and time up to a limit only.

use crate::clients::{Full, Place, Places};
use crate::wake::Wake;
use crate::worker::Routes;
use api::{InfoCode, Query, Rcode};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Queries that may wait at the same time on one worker.
const MAX_WAITING: usize = 10_000;
/// Spare queries that a worker keeps for later.
const MAX_SPARE: usize = 1_024;

/// What takes a reply to the client once it is complete.
pub trait Deliver {
    /// Seals and sends the reply of `q`.
    fn deliver(&self, q: Box<Query>);
}

/// How much of something is under way, for those who wait for its end.
#[derive(Default)]
pub struct Busy {
    number: Cell<usize>,
    none: Wake,
}

impl Busy {
    /// So many are under way.
    pub fn number(&self) -> usize {
        self.number.get()
    }

    /// One more is under way.
    pub fn begin(&self) {
        self.number.set(self.number.get() + 1);
    }

    /// One of them has ended.
    pub fn end(&self) {
        self.number.set(self.number.get() - 1);
        if self.number.get() == 0 {
            self.none.tell();
        }
    }

    /// Waits until nothing is under way; one task at a time may.
    pub async fn ended(&self) {
        self.none.when(|| (self.number.get() == 0).then_some(())).await;
    }
}

/// The lanes and the spare queries of one worker.
pub struct Waiting {
    idle: RefCell<Vec<Rc<Lane>>>,
    places: Rc<Places>,
    #[expect(clippy::vec_box, reason = "a query moves as its box, between sockets, lanes and this pool")]
    spare: RefCell<Vec<Box<Query>>>,
}

/// A query that has to wait, and what is to be done with it.
pub struct Job {
    /// The query.
    pub q: Box<Query>,
    /// The place of the plugin that waits, in its chain.
    pub at: usize,
    /// The listener's blocks.
    pub routes: Rc<Routes>,
    /// The way back to the client.
    pub to: Rc<dyn Deliver>,
}

#[derive(Default)]
struct Lane {
    job: RefCell<Option<(Job, Place)>>,
    some: Wake,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting { idle: RefCell::default(), places: Places::new(MAX_WAITING), spare: RefCell::default() }
    }
}

impl Waiting {
    /// Lets a query wait in a lane; where there is none for its client it is answered SERVFAIL.
    pub fn start(self: &Rc<Self>, job: Job) {
        let place = match self.places.take(job.q.client.ip()) {
            Ok(place) => place,
            Err(full) => return refuse(job, full),
        };
        let idle = self.idle.borrow_mut().pop();
        let lane = idle.unwrap_or_else(|| self.open_lane());
        *lane.job.borrow_mut() = Some((job, place));
        lane.some.tell();
    }

    /// A query to read a message into.
    pub fn query(&self) -> Box<Query> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back a query that is not needed any more.
    pub fn give_back(&self, q: Box<Query>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(q);
        }
    }

    fn open_lane(self: &Rc<Self>) -> Rc<Lane> {
        let lane = Rc::new(Lane::default());
        tokio::task::spawn_local(run(self.clone(), lane.clone()));
        lane
    }
}

/// Takes one query after the other to its end.
async fn run(waiting: Rc<Waiting>, lane: Rc<Lane>) {
    loop {
        let (mut job, place) = lane.some.when(|| lane.job.borrow_mut().take()).await;
        job.routes.router.finish(&mut job.q, job.at).await;
        job.to.deliver(job.q);
        drop(place);
        waiting.idle.borrow_mut().push(lane.clone());
    }
}

#[cold]
fn refuse(mut job: Job, full: Full) {
    job.q.reply.bare(Rcode::SERVFAIL);
    job.q.reply.explain_in_words(InfoCode::OTHER, "too many queries wait");
    let reason = match full {
        Full::All => "waiting",
        Full::Share => "waiting_client",
    };
    job.routes.router.shed(reason, 1);
    job.to.deliver(job.q);
}
