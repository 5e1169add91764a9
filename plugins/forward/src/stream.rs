//! The stream connections of an upstream; each thread has its own.
//!
//! A query goes to a connection that is open already, where it is one of a few; further connections are opened when many queries
//! wait on each, or when nothing comes from one.

use crate::dial::Config;
use crate::line::{End, Line, Ticket};
use crate::threads::PerThread;
use crate::upstream::Fault;
use api::Error;
use api::task::{Beside, Work, beside};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Queries on each connection, before another one is opened.
const FEW_WAITING: usize = 16;
/// Connections that one thread has to one upstream, at most.
const MOST_LINES: usize = 32;

/// The connections of one upstream.
#[derive(Debug)]
pub struct Streams(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    config: Arc<Config>,
    threads: PerThread<Mutex<Vec<Kept>>>,
}

/// A connection, and its task, which ends with it.
#[derive(Debug)]
struct Kept {
    line: Arc<Line>,
    _task: Beside,
}

/// Which connections a query may go over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    /// Any.
    Any,
    /// One that is opened for it.
    Fresh,
    /// One that is opened for it, and is nobody else's.
    Own,
}

/// The reply to a query, as soon as it is there; dropping it gives the query up.
pub struct Answer {
    lines: Arc<Lines>,
    query: Vec<u8>,
    again: bool,
    ticket: Result<Ticket, Option<Fault>>,
    /// What serves a connection that no task does.
    own: Option<Work>,
}

impl Streams {
    /// No connections yet.
    pub fn new(config: Config) -> Streams {
        Streams(Arc::new(Lines { config: Arc::new(config), threads: PerThread::default() }))
    }

    /// Sends a whole message.
    pub fn ask(&self, query: Vec<u8>, now: Instant) -> Answer {
        Answer::new(&self.0, query, Choice::Any, now)
    }

    /// Sends a whole message over a connection that is opened for it, and closed then.
    pub fn ask_alone(&self, query: Vec<u8>, now: Instant) -> Answer {
        Answer::new(&self.0, query, Choice::Own, now)
    }

    /// Closes connections that are kept no longer.
    pub fn sweep(&self, now: Instant) {
        for thread in self.0.threads.all() {
            locked(thread).retain(|kept| !kept.line.is_closed(now));
        }
    }
}

impl Lines {
    /// Puts a query on a connection.
    fn send(&self, query: &[u8], choice: Choice, now: Instant) -> Result<(Ticket, Option<Work>), Fault> {
        if choice == Choice::Own {
            let (ticket, line) = self.open(query, now)?;
            return Ok((ticket, Some(Box::pin(line.run()))));
        }
        let Some(thread) = self.threads.get() else {
            return self.send(query, Choice::Own, now);
        };
        let mut lines = locked(thread);
        lines.retain(|kept| !kept.line.is_closed(now));
        let room = lines.len() < MOST_LINES;
        let best = choose(&lines, query, now).filter(|(waiting, _)| *waiting < FEW_WAITING || !room);
        let known = best.map(|(_, line)| line).filter(|_| choice == Choice::Any);
        self.count(known.is_some(), now);
        if let Some(line) = known {
            return line.ask(query, now).map(|ticket| (ticket, None));
        }
        if !room && choice == Choice::Any {
            self.config.metrics.full.inc();
            let label = self.config.address.as_ref().map_or_else(String::clone, ToString::to_string);
            return Err(Fault::Failed(Error::msg(format!("too many queries in flight to {label}"))));
        }
        let (ticket, line) = self.open(query, now)?;
        match beside("forward", line.clone().run()) {
            Ok(task) if room => {
                lines.push(Kept { line, _task: task });
                Ok((ticket, None))
            }
            _ => Ok((ticket, Some(Box::pin(line.run())))),
        }
    }

    fn open(&self, query: &[u8], now: Instant) -> Result<(Ticket, Arc<Line>), Fault> {
        let line = Line::new(self.config.clone(), now);
        line.ask(query, now).map(|ticket| (ticket, line))
    }

    /// Counts a connection that is used again, or could be by another thread, or one that is opened.
    fn count(&self, known: bool, now: Instant) {
        let is_idle = |thread: &Mutex<Vec<Kept>>| {
            thread.try_lock().is_ok_and(|lines| lines.iter().any(|kept| kept.line.is_idle(now)))
        };
        let hit = known || self.threads.all().any(is_idle);
        let metrics = &self.config.metrics;
        (if hit { &metrics.hits } else { &metrics.misses })[self.config.proto() as usize].inc();
    }
}

/// The first connection with a few queries (the others become idle, and expire), or the one with the fewest; and their number.
fn choose<'a>(lines: &'a [Kept], query: &[u8], now: Instant) -> Option<(usize, &'a Arc<Line>)> {
    let queues = lines.iter().filter_map(|kept| Some((kept.line.queue(query.len(), now)?, &kept.line)));
    let few = queues.clone().find(|(waiting, _)| *waiting < FEW_WAITING);
    few.or_else(|| queues.min_by_key(|(waiting, _)| *waiting))
}

fn locked(thread: &Mutex<Vec<Kept>>) -> MutexGuard<'_, Vec<Kept>> {
    thread.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    fn new(lines: &Arc<Lines>, query: Vec<u8>, choice: Choice, now: Instant) -> Answer {
        let (lines, ticket) = (lines.clone(), Err(None));
        let mut answer = Answer { lines, query, again: choice != Choice::Any, ticket, own: None };
        answer.send(choice, now);
        answer
    }

    fn send(&mut self, choice: Choice, now: Instant) {
        self.own = None;
        match self.lines.send(&self.query, choice, now) {
            Ok((ticket, own)) => (self.ticket, self.own) = (Ok(ticket), own),
            Err(fault) => self.ticket = Err(Some(fault)),
        }
    }

    /// What the end of the wait for it is called.
    pub fn timed_out(&self) -> Error {
        self.ticket.as_ref().map_or_else(|_| Error::msg("i/o timeout"), Ticket::timed_out)
    }

    /// Whether the query is sent once more, as the upstream closed a connection that it had come to later than others.
    fn goes_again(&self, end: &End) -> bool {
        end.by_upstream && !self.again && self.ticket.as_ref().is_ok_and(|ticket| ticket.reused)
    }
}

impl Future for Answer {
    type Output = Result<Vec<u8>, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if this.own.as_mut().is_some_and(|work| work.as_mut().poll(cx).is_ready()) {
                this.own = None;
            }
            let end = match &mut this.ticket {
                Err(fault) => return fault.take().map_or(Poll::Pending, |fault| Poll::Ready(Err(fault))),
                Ok(ticket) => match ready!(ticket.poll(cx)) {
                    Ok(reply) => return Poll::Ready(Ok(reply)),
                    Err(end) => end,
                },
            };
            if !this.goes_again(&end) {
                return Poll::Ready(Err(end.fault()));
            }
            this.again = true;
            this.send(Choice::Fresh, this.lines.config.clock.now());
        }
    }
}
