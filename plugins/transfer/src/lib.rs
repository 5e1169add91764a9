//! The transfer directive: hands the zones of other directives to other servers (AXFR, RFC 5936; IXFR, RFC 1995).
//!
//! The plugins that have zones make the records (`api::services::Transfer`); `outgoing` fills messages with them, one when the
//! one before is on its way, so that a zone of any size takes the memory of one message. `notify` tells other servers of zones
//! that have changed.

mod metrics;
mod notify;
mod outgoing;
mod setup;
#[cfg(test)]
mod tests;

use api::services::{Transfer, ZoneRecords};
use api::setup::Offered;
use api::wire::{self, Malformed};
use api::{Error, Name, NameRef, Plugin, PluginDef, Query, Rcode, RecordType, Result, Step};
use outgoing::Outgoing;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "transfer", properties: PROPERTIES, metrics: metrics::ALL, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["to", "source"];

/// Zone transfers that a server block has under way at the same time; more are refused.
const MAX_TRANSFERS: usize = 100;

/// Answers the questions for whole zones.
struct Transfers {
    rules: Arc<[Rule]>,
    sources: Offered<Arc<dyn Transfer>>,
    running: Arc<AtomicUsize>,
}

/// One `transfer` of the Corefile: to whom some zones may go.
struct Rule {
    zones: Box<[Name]>,
    /// Whoever asks may have them (`*`).
    everybody: bool,
    /// Who may have them, and is told of changes; `None` instead of a port that is none.
    to: Box<[(IpAddr, Option<SocketAddr>)]>,
    /// The address that notifications come from.
    source: Option<IpAddr>,
}

impl Plugin for Transfers {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if !matches!(q.rtype(), RecordType::AXFR | RecordType::IXFR) {
            return Ok(Step::Next);
        }
        if q.transport.is_datagram() {
            q.reply.bare(Rcode::REFUSED);
            return Ok(Step::Done);
        }
        let Some(rule) = rule_of(&self.rules, q.name()) else { return Ok(Step::Next) };
        if !rule.allows(q.client.ip()) {
            metrics::REFUSED.inc();
            q.respond().set_rcode(Rcode::REFUSED);
            return Ok(Step::Done);
        }
        let serial = if q.rtype() == RecordType::IXFR { serial_of_copy(q) } else { Ok(0) };
        let Ok(serial) = serial else {
            q.reply.bare(Rcode::SERVFAIL);
            return Ok(Step::Done);
        };
        let Some(records) = self.sources.iter().find_map(|source| source.transfer(q.name(), serial)) else {
            return Ok(Step::Next);
        };
        self.begin(records, q)?;
        Ok(Step::Done)
    }
}

impl Transfers {
    /// Answers with the first message of a zone.
    fn begin(&self, records: ZoneRecords, q: &mut Query) -> Result {
        let place = Place::of(&self.running).ok_or_else(|| {
            metrics::BUSY.inc();
            Error::msg(format!("more than {MAX_TRANSFERS} zone transfers at the same time"))
        })?;
        Outgoing::begin(records, place, q)
    }
}

/// The rule with the longest zone that `name` is in.
fn rule_of<'a>(rules: &'a [Rule], name: NameRef<'_>) -> Option<&'a Rule> {
    let zone_of = |rule: &Rule| {
        let zones = rule.zones.iter().filter(|zone| name.is_below(zone.as_ref()));
        zones.map(|zone| zone.as_bytes().len()).max()
    };
    // Of rules for the same zone the first one counts.
    rules.iter().rev().filter_map(|rule| Some((zone_of(rule)?, rule))).max_by_key(|(length, _)| *length).map(|(_, r)| r)
}

impl Rule {
    fn allows(&self, client: IpAddr) -> bool {
        self.everybody || self.to.iter().any(|(address, _)| address.to_canonical() == client.to_canonical())
    }
}

/// The serial of the copy that the client has (RFC 1995 3).
///
/// # Errors
/// There is no SOA record in the authority section, or something beside it.
fn serial_of_copy(q: &Query) -> Result<u32, Malformed> {
    let packet = q.packet();
    if wire::u16_at(packet, 8)? != 1 {
        return Err(Malformed);
    }
    let mut at = packet.len() - q.packet_rest().len();
    for _ in 0..wire::u16_at(packet, 6)? {
        at = wire::read_record(packet, at)?.end;
    }
    let record = wire::read_record(packet, at)?;
    if record.rtype != RecordType::SOA {
        return Err(Malformed);
    }
    // Five numbers are at the end, the serial first.
    wire::u32_at(packet, record.end.checked_sub(20).filter(|&at| at > record.rdata).ok_or(Malformed)?)
}

/// A transfer's place among those that are under way.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn of(running: &Arc<AtomicUsize>) -> Option<Place> {
        let place = Place(running.clone());
        (running.fetch_add(1, Relaxed) < MAX_TRANSFERS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
