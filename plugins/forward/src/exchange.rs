//! The exchange for one query: upstreams are asked, one after the other and beside each other, until one has a reply that stands.
//!
//! A query goes to one upstream first. Where its reply does not come within the time that this upstream usually needs, the next
//! one is asked as well, and when all have been, the query is sent again; the first reply counts, from whomever and to whichever
//! transmission. What fails at once is replaced at once. An *attempt* is over when nothing at all has come for `read_timeout`.

mod replies;

use crate::alarms::Alarm;
use crate::flight::Flight;
use crate::pace::Pace;
use crate::policy::Order;
use crate::socket;
use crate::upstream::{Fault, Proto, Upstream};
use crate::{Forward, Protocol};
use api::{Error, Query, Result};
use smallvec::SmallVec;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a query is tried at all.
const BUDGET: Duration = Duration::from_secs(5);
/// Pause between two rounds through all upstreams where the number of attempts has no limit, or all hold back.
const PAUSE: Duration = Duration::from_millis(20);
/// After so long another upstream is asked as well where nothing is known of the first one yet.
const UNKNOWN: Duration = Duration::from_millis(50);
/// How long an upstream that answers with a failure leaves the others to do better.
const HOPE: Duration = Duration::from_millis(500);
/// The longest time between two transmissions.
const LONGEST: Duration = Duration::from_secs(1);

/// What has been done for one query.
pub struct Exchange<'a> {
    forward: &'a Forward,
    begun: Instant,
    /// When it is given up.
    end: Instant,
    /// When it is sent again, or to another upstream.
    resend: Instant,
    /// When the present attempt has failed.
    silence: Instant,
    order: Order,
    /// One, as a rule: it needs no memory of its own.
    flights: SmallVec<[Flight<'a>; 1]>,
    /// Upstreams that were sent it, by their places.
    asked: u128,
    /// Transmissions.
    sent: u32,
    failed: u32,
    failovers: usize,
    /// A failure that an upstream has answered, while another one may do better.
    spare: Option<(u16, Vec<u8>)>,
    /// Whether anything has come that was no reply; what the client gets then is in the query.
    misled: bool,
    /// Whether an upstream has answered something else whose turn it was in an order that users have set: another one is not asked.
    decided: bool,
    last: Option<Error>,
    /// All upstreams are down: the one that was tried all the same was the last one.
    at_random: bool,
    /// All have failed at once or hold back, and are asked again after a pause.
    pausing: bool,
}

/// What has happened.
enum Event {
    /// Something came for this flight, or nothing can come any more.
    Arrived(usize, Result<Vec<u8>, Fault>),
    /// It is time for something.
    Alarm,
}

impl<'a> Exchange<'a> {
    /// The exchange for `q`, which begins at `begun`.
    pub fn new(forward: &'a Forward, q: &Query, begun: Instant) -> Exchange<'a> {
        let end = q.deadline.map_or(begun + BUDGET, |deadline| deadline.min(begun + BUDGET));
        Exchange {
            forward,
            begun,
            end,
            resend: end,
            silence: begun + forward.read_timeout,
            order: forward.policy.order(&forward.upstreams, begun),
            flights: SmallVec::new(),
            asked: 0,
            sent: 0,
            failed: 0,
            failovers: 0,
            spare: None,
            misled: false,
            decided: false,
            last: None,
            at_random: false,
            pausing: false,
        }
    }

    /// Asks until there is a reply, which is that of `q` then.
    ///
    /// # Errors
    /// There is none; in the words of the last failure.
    pub async fn run(&mut self, q: &mut Query) -> Result {
        self.attempt(q, self.begun);
        self.look(q);
        let mut alarm = self.forward.alarms.at(self.end);
        while !self.is_over() {
            alarm.set(self.alarm());
            let event = self.next(&mut alarm).await;
            let now = self.forward.clock.now();
            match event {
                Event::Arrived(place, Ok(message)) => {
                    let done = self.arrived(q, place, &message, now);
                    socket::recycle(message);
                    if done {
                        return Ok(());
                    }
                }
                Event::Arrived(place, Err(fault)) => self.faulted(q, place, fault, now),
                Event::Alarm => self.time(q, now),
            }
        }
        self.give_up(q)
    }

    fn next(&mut self, alarm: &mut Alarm<'_>) -> impl Future<Output = Event> {
        poll_fn(|cx| {
            for (place, flight) in self.flights.iter_mut().enumerate() {
                if let Poll::Ready(arrived) = flight.poll(cx) {
                    return Poll::Ready(Event::Arrived(place, arrived));
                }
            }
            alarm.poll(cx).map(|()| Event::Alarm)
        })
    }

    fn alarm(&self) -> Instant {
        self.resend.min(self.silence).min(self.end)
    }

    /// Whether there is nothing more to wait for.
    fn is_over(&self) -> bool {
        self.flights.is_empty() && !self.pausing
    }

    /// Whether another attempt may be begun.
    fn goes_on(&self) -> bool {
        self.failed < self.forward.max_attempts
    }

    /// Asks the next upstream; one after the other where they cannot even be sent the query.
    fn attempt(&mut self, q: &mut Query, now: Instant) {
        for _ in 0..self.forward.upstreams.len() {
            if !self.goes_on() {
                return;
            }
            let Some(upstream) = self.choose(now) else { return };
            if self.launch(q, upstream, self.protocol(q), now) {
                return;
            }
        }
    }

    /// The next upstream in the order that is neither down nor asked already, nor holds back.
    fn choose(&mut self, now: Instant) -> Option<&'a Upstream> {
        let upstreams = &self.forward.upstreams;
        for _ in 0..upstreams.len() {
            let upstream = &upstreams[self.order.next()];
            let is_free = !self.asks(upstream) && !self.forward.is_down(upstream);
            if is_free && !self.forward.holds_back(upstream, now) {
                return Some(upstream);
            }
        }
        if !self.flights.is_empty() {
            return None;
        }
        if self.forward.all_are_down() {
            return self.forward.any_at_random(now).inspect(|_| self.at_random = true);
        }
        self.pause(now); // the others hold back
        None
    }

    /// Waits for a moment with asking anybody.
    fn pause(&mut self, now: Instant) {
        (self.pausing, self.resend) = (true, now + PAUSE);
    }

    fn asks(&self, upstream: &Upstream) -> bool {
        self.flights.iter().any(|flight| std::ptr::eq(flight.upstream, upstream))
    }

    /// Sends the query to an upstream; whether that could be done.
    fn launch(&mut self, q: &mut Query, upstream: &'a Upstream, proto: Proto, now: Instant) -> bool {
        let plain = q.edns.is_some() && upstream.is_plain(now);
        self.launch_as(q, upstream, (proto, plain), now)
    }

    /// The same, `plain` without OPT.
    fn launch_as(
        &mut self,
        q: &mut Query,
        upstream: &'a Upstream,
        (proto, plain): (Proto, bool),
        now: Instant,
    ) -> bool {
        q.describe("forward/upstream", || upstream.target.label.clone());
        let place = self.forward.upstreams.iter().position(|other| std::ptr::eq(&**other, upstream));
        self.asked |= place.and_then(|place| 1_u128.checked_shl(place as u32)).unwrap_or(0);
        let asked = upstream.ask(q, proto, plain, now);
        let pace = upstream.pace();
        let mute = pace.is_some_and(|pace| pace.sent(|| upstream.millis_at(now)));
        if mute && self.forward.max_fails > 0 {
            upstream.health.fail();
            upstream.health.check();
        }
        match asked {
            Ok(flight) => {
                self.pausing = false;
                self.resend = now + self.patience(pace);
                self.flights.push(flight);
                self.sent += 1;
                true
            }
            Err(fault) => {
                self.count(upstream, fault);
                false
            }
        }
    }

    /// How long a reply is waited for, from an upstream of this pace, before more is done.
    fn patience(&self, pace: Option<&Pace>) -> Duration {
        let alone = self.forward.upstreams.len() == 1 || !self.forward.policy.is_free();
        let unknown = if alone { self.forward.read_timeout } else { UNKNOWN };
        pace.map_or(unknown, |pace| pace.patience(unknown))
    }

    /// Over which transport the query goes.
    fn protocol(&self, q: &Query) -> Proto {
        match self.forward.protocol {
            Protocol::Tcp => Proto::Tcp,
            Protocol::Client if !q.transport.is_datagram() => Proto::Tcp,
            _ => Proto::Udp,
        }
    }

    /// Asks an upstream as well that is not preferred, now and then, to see whether it has become better.
    fn look(&self, q: &Query) {
        if let Some(place) = self.order.looked_at() {
            let upstream = &self.forward.upstreams[place];
            if !self.forward.is_down(upstream) {
                upstream.look(q, self.protocol(q), self.begun);
            }
        }
    }

    /// A flight has failed: another one takes its place.
    fn faulted(&mut self, q: &mut Query, place: usize, fault: Fault, now: Instant) {
        let flight = self.flights.swap_remove(place);
        if let Fault::Wrong(rcode) = fault {
            flight.upstream.metrics.observe(rcode, flight.took(now));
        }
        self.count(flight.upstream, fault);
        if self.at_random {
            return;
        }
        let round_is_over = (self.failed as usize).is_multiple_of(self.forward.upstreams.len());
        if self.forward.max_attempts == u32::MAX && self.flights.is_empty() && round_is_over {
            self.pause(now); // who refuses at once is not asked as fast as that
        } else if !self.has_misled_all() {
            self.attempt(q, now);
        }
    }

    /// Counts a failed attempt.
    fn count(&mut self, upstream: &Upstream, fault: Fault) {
        self.failed += 1;
        if let Fault::Failed(e) = fault {
            self.last = Some(e);
        }
        if self.forward.max_fails > 0 {
            upstream.health.check();
        }
    }

    /// Who answers something else once does it again: when all have done that whose turn it is, there is no use in another attempt.
    fn has_misled_all(&self) -> bool {
        let all_asked = self.decided || self.sent as usize >= self.forward.upstreams.len();
        self.misled && all_asked && self.flights.iter().all(|flight| flight.misled.is_some())
    }

    /// It is time to send again, or to give up.
    fn time(&mut self, q: &mut Query, now: Instant) {
        if now >= self.silence || now >= self.end {
            self.silent(q, now);
        } else if !self.at_random && self.forward.all_have_failed() {
            self.last = self.flights.first().map(Flight::timed_out);
            self.pausing = false;
            self.flights.clear();
        } else if self.at_random || self.has_misled_all() {
            self.resend = self.end; // who is down is sent no more, nor who has it and answers something else
        } else if now >= self.resend {
            self.send_more(q, now);
        }
    }

    /// Sends the query to the next upstream, or once more to one that has it.
    fn send_more(&mut self, q: &mut Query, now: Instant) {
        let round = self.sent / self.forward.upstreams.len() as u32;
        let flights = self.flights.len();
        if self.sent < self.forward.max_sent {
            self.attempt(q, now);
            if self.flights.len() == flights {
                self.repeat(q, now);
            }
        }
        if self.resend <= now {
            self.resend = self.end;
        }
        let wait = self.resend.saturating_duration_since(now);
        self.resend = now + wait.saturating_mul(1 << round.min(8)).min(LONGEST.max(wait));
    }

    /// Sends the query once more to the upstream that has it least often.
    fn repeat(&mut self, q: &Query, now: Instant) {
        let datagrams = self.flights.iter_mut().filter(|flight| flight.may_be_lost());
        let Some(flight) = datagrams.min_by_key(|flight| flight.sent) else { return };
        let upstream = flight.upstream;
        let _ = flight.send(q); // that it fails is told by what is received
        self.sent += 1;
        self.resend = now + self.patience(upstream.pace());
    }

    /// Nothing has come for as long as an attempt may take.
    fn silent(&mut self, q: &mut Query, now: Instant) {
        self.failed += 1;
        self.silence = now + self.forward.read_timeout;
        for flight in &mut self.flights {
            flight.heard = false;
            self.last = Some(flight.timed_out());
            if let Some(rcode) = flight.misled {
                flight.upstream.note_misled(true);
                flight.upstream.metrics.observe(rcode, flight.took(now));
            }
            let _silent = flight.upstream.unanswered(flight.begun, flight.took(now));
            if self.forward.max_fails > 0 {
                flight.upstream.health.check();
            }
        }
        let hopeless =
            self.at_random || self.has_misled_all() || self.spare.is_some() || self.forward.all_have_failed();
        if hopeless || now >= self.end || !self.goes_on() {
            self.pausing = false;
            self.flights.clear();
        } else {
            self.send_more(q, now);
        }
    }
}
