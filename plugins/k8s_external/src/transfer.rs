//! Zones as other servers copy them.

use crate::Outside;
use crate::zones::Zone;
use api::presentation::TextRecord;
use api::services::{External, ExternalZone, Transfer, ZoneRecords};
use api::{Class, Name, NameRef, RecordType};
use std::iter::once;
use std::net::IpAddr;

impl Transfer for Outside {
    fn transfer(&self, zone: NameRef<'_>, serial: u32) -> Option<ZoneRecords> {
        let (zone, _) = self.zones.find(zone).filter(|(_, offset)| *offset == 0)?;
        let cluster = self.cluster.first()?;
        let current = cluster.serial();
        let soa = self.record(zone.name.clone(), RecordType::SOA, self.soa_data(zone, current));
        if serial != 0 && serial >= current {
            return Some(Box::new(once(soa)));
        }
        let name_server = self.name_server(zone, &**cluster).into_iter();
        let services =
            cluster.records(&ExternalZone { name: zone.name.as_ref(), ttl: self.ttl, endpoints: self.endpoints });
        Some(Box::new(once(soa.clone()).chain(name_server).chain(services).chain(once(soa))))
    }
}

impl Outside {
    /// The zone's name server with its addresses.
    fn name_server(&self, zone: &Zone, cluster: &dyn External) -> Vec<TextRecord> {
        let server = self.record(zone.name.clone(), RecordType::NS, zone.server.as_bytes().to_vec());
        let addresses = cluster.servers(self.endpoints).into_iter().map(|address| match address {
            IpAddr::V4(a) => self.record(zone.server.clone(), RecordType::A, a.octets().to_vec()),
            IpAddr::V6(a) => self.record(zone.server.clone(), RecordType::AAAA, a.octets().to_vec()),
        });
        once(server).chain(addresses).collect()
    }

    fn record(&self, owner: Name, rtype: RecordType, data: Vec<u8>) -> TextRecord {
        TextRecord { owner, rtype, class: Class::IN, ttl: self.ttl, data }
    }

    fn soa_data(&self, zone: &Zone, serial: u32) -> Vec<u8> {
        let numbers = self.soa_numbers(serial).into_iter().flat_map(u32::to_be_bytes);
        zone.server.as_bytes().iter().chain(zone.mailbox.as_bytes()).copied().chain(numbers).collect()
    }
}
