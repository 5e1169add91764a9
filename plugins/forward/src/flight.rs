//! A query under way to one upstream.

use crate::https;
use crate::message;
use crate::pool::{Permit, Seat};
use crate::stream::Answer;
use crate::upstream::{Fault, Proto, Upstream};
use api::{Error, Query, Rcode};
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A query under way; given up where it is dropped.
pub struct Flight<'a> {
    /// Whom it asks.
    pub upstream: &'a Upstream,
    /// How it was sent.
    pub form: Form,
    /// How often it was sent.
    pub sent: u32,
    /// Whether anything has come during this attempt: then the query has not been lost.
    pub heard: bool,
    /// The code of something that has come and is no reply to it.
    pub misled: Option<Rcode>,
    /// When it was sent first.
    pub begun: Instant,
    way: Way<'a>,
}

/// How a query is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// The ID that it has there.
    pub id: u16,
    /// Over which transport.
    pub proto: Proto,
    /// Without the OPT record that the client's message has.
    pub plain: bool,
}

/// How a query goes.
enum Way<'a> {
    /// In datagrams, which may be lost.
    Socket(Seat<'a>),
    /// Over a stream, which sees to it itself.
    Stream { answer: Box<Answer>, _permit: Permit<'a> },
    /// Over HTTPS.
    Https { answer: https::Answer, _permit: Permit<'a> },
}

thread_local! {
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<'a> Flight<'a> {
    /// A query that goes over a socket; it is not sent yet.
    pub fn over_socket(upstream: &'a Upstream, seat: Seat<'a>, form: Form, now: Instant) -> Flight<'a> {
        Flight::new(upstream, (Way::Socket(seat), 0), form, now)
    }

    /// A query that was given to a stream, from where its answer comes.
    pub fn over_stream(
        upstream: &'a Upstream,
        permit: Permit<'a>,
        answer: Answer,
        form: Form,
        now: Instant,
    ) -> Flight<'a> {
        Flight::new(upstream, (Way::Stream { answer: Box::new(answer), _permit: permit }, 1), form, now)
    }

    /// A query that was given to a connection for HTTPS.
    pub fn over_https(
        upstream: &'a Upstream,
        permit: Permit<'a>,
        answer: https::Answer,
        form: Form,
        now: Instant,
    ) -> Flight<'a> {
        Flight::new(upstream, (Way::Https { answer, _permit: permit }, 1), form, now)
    }

    /// A query that was `sent` so often.
    fn new(upstream: &'a Upstream, (way, sent): (Way<'a>, u32), form: Form, now: Instant) -> Flight<'a> {
        Flight { upstream, form, sent, heard: false, misled: None, begun: now, way }
    }

    /// Sends the query, once more where it may have been lost.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&mut self, q: &Query) -> Result<(), Fault> {
        let Way::Socket(seat) = &self.way else { return Ok(()) };
        self.sent += 1;
        OUT.with_borrow_mut(|out| {
            message::write_query(q, self.form.id, self.form.plain, out);
            if self.sent == 1 { seat.send(out) } else { seat.send_again(out) }
        })
    }

    /// Whether it goes in datagrams.
    pub fn is_datagram(&self) -> bool {
        matches!(self.way, Way::Socket(_))
    }

    /// The next message, or why there will be none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Fault>> {
        match &mut self.way {
            Way::Socket(seat) => seat.poll_receive(cx),
            Way::Stream { answer, .. } => Pin::new(&mut **answer).poll(cx),
            Way::Https { answer, .. } => Pin::new(answer).poll(cx),
        }
    }

    /// Waits on, as what has come is no reply to it; `false` where nothing more can come.
    pub fn wait_on(&mut self) -> bool {
        self.heard = true;
        if let Way::Socket(seat) = &self.way {
            seat.socket().look_again();
        }
        self.is_datagram()
    }

    /// Whether it may have been lost on its way.
    pub fn may_be_lost(&self) -> bool {
        self.is_datagram() && !self.heard
    }

    /// Its reply has come: the socket is free for another query.
    pub fn answered(self, now: Instant) {
        if let Way::Socket(seat) = self.way {
            seat.answered(now);
        }
    }

    /// How long it has been under way.
    pub fn took(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// What the end of the wait for its reply is called.
    pub fn timed_out(&self) -> Error {
        match &self.way {
            Way::Socket(seat) => seat.socket().timed_out(),
            Way::Stream { answer, .. } => answer.timed_out(),
            Way::Https { answer, .. } => answer.timed_out(),
        }
    }
}
