//! Fairness where more datagrams come than can be answered: sources that send most are thinned out, so that the others are answered.
//!
//! The queue of a socket overflows for all sources alike: one that sends a hundred times as much as the others has their places, too.
//! To read what is too much, only to drop it, would cost the time that answers need. So the kernel drops it, before it gets into the
//! queue: a socket filter lets through of each source what is its fair share ([`shares`]). At rest there is no filter, and nothing is
//! looked at but whether a batch was full.

mod filter;
mod shares;

use super::batch::{self, BATCH, Batch};
use super::datagrams::Datagrams;
use crate::clients::Client;
use crate::worker::{Current, Shared};
use shares::{Thinned, Watch};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Full batches in succession after which a look is taken at what was lost.
const LOOK: u32 = 16;
/// How often shares are made anew while there is too much.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often a log line says that there is too much.
const SAY: Duration = Duration::from_secs(60);

/// Watches over one socket.
pub struct Fairness {
    socket: Datagrams,
    current: Current,
    shared: Rc<Shared>,
    /// Whether batches are looked at that are not full: a few were, or there is a watch.
    alert: Cell<bool>,
    /// Full batches in succession.
    full: Cell<u32>,
    /// Datagrams that the kernel has dropped, as far as they are counted.
    lost: Cell<u32>,
    /// There while there is too much.
    watch: RefCell<Option<Watch>>,
    said: Cell<Option<Instant>>,
    /// The system takes no filters.
    unable: Cell<bool>,
}

impl Fairness {
    /// All is well.
    pub fn new(socket: Datagrams, current: Current, shared: Rc<Shared>) -> Rc<Fairness> {
        Rc::new(Fairness {
            socket,
            current,
            shared,
            alert: Cell::new(false),
            full: Cell::new(0),
            lost: Cell::new(0),
            watch: RefCell::default(),
            said: Cell::new(None),
            unable: Cell::new(false),
        })
    }

    /// A batch of `n` datagrams was received.
    pub fn received(self: &Rc<Self>, batch: &Batch, n: usize) {
        if n == BATCH || self.alert.get() {
            self.look(batch, n);
        }
    }

    #[cold]
    fn look(self: &Rc<Self>, batch: &Batch, n: usize) {
        if let Some(watch) = &mut *self.watch.borrow_mut() {
            let sources = (0..n).filter_map(|i| batch.datagram(i)).map(|datagram| Client::from(datagram.peer.ip()));
            return watch.count(sources, n == BATCH);
        }
        let full = if n == BATCH { self.full.get() + 1 } else { 0 };
        self.alert.set(full > 0);
        if full >= LOOK || full < self.full.get() {
            let lost = self.count_lost("overflow");
            if full > 0 && lost > 0 && !self.unable.get() {
                self.begin();
            }
        }
        self.full.set(full % LOOK);
    }

    /// Counts what the kernel has dropped since the last time; returns how many datagrams.
    fn count_lost(&self, reason: &'static str) -> u32 {
        let all = batch::dropped(self.socket.as_fd()).unwrap_or(self.lost.get());
        let new = all.wrapping_sub(self.lost.replace(all));
        if new > 0 {
            self.current.get().router.shed(reason, new.into());
        }
        new
    }

    /// Begins to watch over the sources.
    fn begin(self: &Rc<Self>) {
        *self.watch.borrow_mut() = Some(Watch::new(self.shared.clock.now()));
        tokio::task::spawn_local(keep_watch(Rc::downgrade(self)));
    }

    /// Makes the shares anew; returns whether there still is too much.
    fn judge(&self) -> bool {
        let mut place = self.watch.borrow_mut();
        let Some(watch) = &mut *place else { return false };
        let lost = self.count_lost(if watch.thinned().is_empty() { "overflow" } else { "share" });
        let now = self.shared.clock.now();
        let goes_on = match watch.judge(now, lost) {
            None => false,
            Some(thinned) => self.let_through(thinned, now),
        };
        if !goes_on {
            let _ = SockRef::from(&self.socket).detach_filter(); // where there is none, that is what is wanted
            *place = None;
            self.alert.set(false);
        }
        goes_on
    }

    /// Lets the kernel drop what is too much; returns whether it is able to.
    fn let_through(&self, thinned: &[Thinned], now: Instant) -> bool {
        let socket = SockRef::from(&self.socket);
        let Some(most) = thinned.first() else {
            let _ = socket.detach_filter();
            return true;
        };
        let label = self.current.get().router.label().to_owned();
        if let Err(e) = socket.attach_filter(&filter::program(thinned)) {
            tracing::warn!(
                "more queries over UDP than can be answered on {label}, and none can be dropped by source: {e}"
            );
            self.unable.set(true);
            return false;
        }
        if self.said.get().is_none_or(|said| now.saturating_duration_since(said) > SAY) {
            self.said.set(Some(now));
            let (number, source) = (thinned.len(), most.source);
            tracing::warn!(
                "more queries over UDP than can be answered on {label}: those of {number} source(s) are thinned out, of {source} most"
            );
        }
        true
    }
}

/// Makes the shares anew as long as there is too much, and the socket.
async fn keep_watch(fairness: Weak<Fairness>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(fairness) = fairness.upgrade() else { return };
        if !fairness.judge() {
            return;
        }
    }
}
