//! A zone on its way: messages filled with records, one after the other.

use crate::{Place, metrics};
use api::presentation::TextRecord;
use api::reply::More;
use api::services::ZoneRecords;
use api::{Error, Name, Query, RecordType, Result, Section, wire};
use std::net::IpAddr;

/// Octets, without compression, that a message is filled to (CoreDNS's value). There has to be room for an OPT record.
const FULL: usize = 63_000;

/// What is left of a zone.
pub struct Outgoing {
    /// The record that the last message had no room for.
    next: Option<TextRecord>,
    rest: ZoneRecords,
    zone: Name,
    client: IpAddr,
    serial: u32,
    sent: u64,
    _place: Place,
}

impl Outgoing {
    /// Answers `q` with the first message of a zone, or with its SOA alone where the client has the zone as it is.
    ///
    /// # Errors
    /// There are no records.
    pub fn begin(mut records: ZoneRecords, place: Place, q: &mut Query) -> Result {
        let empty = || Error::msg(format!("no records to transfer of {}", q.name()));
        let first = records.next().ok_or_else(empty)?;
        let (zone, client, serial) = (q.name().to_name(), q.client.ip().to_canonical(), serial(&first));
        let Some(second) = records.next() else {
            first.push(q.respond(), Section::Answer);
            metrics::CURRENT.inc();
            tracing::info!(
                "Outgoing noop, incremental transfer for up to date zone \"{zone}\" to {client} for {serial} SOA serial"
            );
            return Ok(());
        };
        let rest = Box::new(std::iter::once(second).chain(records));
        let mut outgoing = Outgoing { next: Some(first), rest, zone, client, serial, sent: 0, _place: place };
        if outgoing.next(q) {
            q.reply.set_more(Box::new(outgoing));
        }
        Ok(())
    }

    fn ended(&self) {
        metrics::SENT.inc();
        let Outgoing { zone, client, serial, sent, .. } = self;
        tracing::info!("Outgoing transfer of {sent} records of zone \"{zone}\" to {client} for {serial} SOA serial");
    }
}

impl More for Outgoing {
    fn next(&mut self, q: &mut Query) -> bool {
        let reply = q.respond();
        reply.set_authoritative(true);
        let mut in_message = 0;
        while let Some(record) = self.next.take().or_else(|| self.rest.next()) {
            if in_message > 0 && reply.plain_len() + record.plain_len() > FULL {
                self.next = Some(record);
                self.sent += in_message;
                return true;
            }
            record.push(reply, Section::Answer);
            in_message += 1;
        }
        self.sent += in_message;
        self.ended();
        false
    }
}

/// The serial in the first record of a zone.
fn serial(soa: &TextRecord) -> u32 {
    let at = soa.data.len().checked_sub(20).filter(|_| soa.rtype == RecordType::SOA);
    at.and_then(|at| wire::u32_at(&soa.data, at).ok()).unwrap_or(0)
}
