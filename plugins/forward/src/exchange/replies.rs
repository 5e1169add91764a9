//! What comes of an exchange: replies that stand, others that do not, and the end without any.

use super::{Exchange, HOPE, UNKNOWN};
use crate::message::{self, Verdict};
use crate::pace::says_failure;
use crate::tls::REFUSED;
use crate::upstream::{Fault, Proto};
use crate::{Protocol, no_healthy_proxies};
use api::explain::InfoCode;
use api::wire::flag;
use api::{Error, Query, Rcode, Result};
use std::time::Instant;

impl Exchange<'_> {
    /// Something came for a flight. Returns whether the query has its reply.
    pub(super) fn arrived(&mut self, q: &mut Query, place: usize, message: &[u8], now: Instant) -> bool {
        let flight = &mut self.flights[place];
        let verdict = message::take_reply(q, flight.form.id, message);
        if verdict == Verdict::Reply {
            return self.replied(q, place, message, now);
        }
        flight.upstream.metrics.ignored(verdict);
        let rcode = message::rcode(message);
        self.decided |= verdict == Verdict::Wrong && self.forward.policy.is_order();
        if verdict != Verdict::Foreign && flight.is_datagram() {
            (self.misled, flight.misled) = (true, Some(rcode));
            if self.flights.iter().all(|flight| flight.misled.is_some()) {
                let grace = self.flights.iter().map(|flight| flight.upstream.grace()).max();
                self.silence = self.silence.min(now + grace.unwrap_or_default());
            }
        }
        let flight = &mut self.flights[place];
        if !flight.wait_on() {
            let fault = match verdict {
                Verdict::Malformed => Fault::Failed(Error::msg("malformed message")),
                _ => Fault::Wrong(rcode),
            };
            self.misled |= matches!(fault, Fault::Wrong(_));
            self.faulted(q, place, fault, now);
        }
        false
    }

    /// A flight's reply is that of `q`. Returns whether it stands.
    fn replied(&mut self, q: &mut Query, place: usize, message: &[u8], now: Instant) -> bool {
        let flight = self.flights.swap_remove(place);
        let (upstream, form, took) = (flight.upstream, flight.form, flight.took(now));
        let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
        upstream.replied(rcode, took, now);
        if flight.misled.is_some() {
            upstream.note_misled(false);
        }
        flight.answered(now);
        if q.edns.is_some() {
            if !form.plain && cannot_read_edns(q, rcode) {
                return !self.launch_as(q, upstream, (form.proto, true), now);
            }
            upstream.note_edns(q.reply.opt().is_some(), form.plain && !cannot_read_edns(q, rcode), now);
        }
        // A reply that is longer than the query allowed is no better than a truncated one.
        let fits = message.len() <= q.size_limit();
        let whole = q.reply.flags() & flag::TC == 0 && fits;
        if self.forward.protocol == Protocol::UdpFirst && form.proto == Proto::Udp && !whole {
            return !self.launch(q, upstream, Proto::Tcp, now);
        }
        if form.proto == Proto::Udp && !whole && q.transport.is_datagram() {
            // As CoreDNS takes it: what did not fit is not known, and not kept by a cache.
            q.reply.set_flags(flag::TC, flag::TC);
            if !fits {
                q.reply.set_opt(None); // it stands at the end
            }
        }
        if self.failovers + 1 < self.forward.upstreams.len() && self.forward.failover.contains(&rcode) {
            self.failovers += 1;
            self.attempt(q, now);
            return false;
        }
        if says_failure(rcode) && !self.flights.is_empty() {
            self.spare = Some((form.id, message.to_vec()));
            self.silence = self.silence.min(now + HOPE);
            return false;
        }
        self.overtaken(now);
        q.describe("forward/upstream", || upstream.target.label.clone());
        true
    }

    /// What is still under way was too slow.
    fn overtaken(&self, now: Instant) {
        let follows_order = !self.forward.policy.is_free() && self.forward.max_fails > 0;
        for flight in &self.flights {
            let took = flight.took(now);
            if let Some(pace) = flight.upstream.pace()
                && took >= pace.patience(UNKNOWN)
            {
                pace.waited_in_vain(took);
                // Where users have set the order, only one that is down is left out.
                if follows_order && flight.upstream.unanswered(flight.begun, took) {
                    flight.upstream.health.check();
                }
            }
        }
    }

    /// The end without a reply that stands.
    pub(super) fn give_up(&mut self, q: &mut Query) -> Result {
        if let Some((id, message)) = self.spare.take() {
            message::take_reply(q, id, &message);
            return Ok(());
        }
        if self.misled {
            return Ok(()); // what it says is in the reply
        }
        let took = self.forward.clock.now().saturating_duration_since(self.begun).as_millis();
        let upstreams = &self.forward.upstreams;
        let asked: Vec<&str> = (0..upstreams.len().min(u128::BITS as usize))
            .filter(|place| self.asked >> place & 1 == 1)
            .map(|place| &*upstreams[place].target.label)
            .collect();
        let asked = asked.join(" ");
        match self.last.take() {
            // The line about a certificate is recorded to its end.
            Some(error) if error.to_string().starts_with(REFUSED) => {
                Err(error.with_info(InfoCode::NETWORK_ERROR).with_extra_text(asked))
            }
            Some(error) => Err(error
                .with_info(InfoCode::NETWORK_ERROR)
                .with_context(format!("{} sent to {asked}, {} failed, {took} ms", self.sent, self.failed))
                .with_extra_text(asked)),
            None => Err(no_healthy_proxies()),
        }
    }
}

/// Whether the reply may say that the upstream could not read the query's OPT record (RFC 6891 7).
fn cannot_read_edns(q: &Query, rcode: Rcode) -> bool {
    q.edns.is_some() && q.reply.opt().is_none() && matches!(rcode, Rcode::FORMERR | Rcode::NOTIMP)
}
