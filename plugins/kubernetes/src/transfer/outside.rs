//! Services as they are seen from outside of the cluster, for whoever hands copies of that zone out (spec 12).
//!
//! CoreDNS sends an address once for each port, and some SRV records twice; so do copies made here, which are compared.

use super::{address_data, record, service_data};
use crate::Kubernetes;
use crate::index::{Backing, External, Found, HostSpace, Index, Port, Service};
use api::presentation::TextRecord;
use api::services::{Endpoints, ExternalZone, ZoneRecords};
use api::{Name, NameRef, RecordType};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

impl Kubernetes {
    /// The records of all services below `zone`, service by service.
    pub(crate) fn outside_records(&self, zone: &ExternalZone<'_>) -> ZoneRecords {
        let (index, ttl) = (self.cluster.index.clone(), self.rules.ttl);
        let copy = Copy { zone: zone.name.to_name(), address_ttl: zone.ttl, ttl };
        let endpoints = zone.endpoints;
        Box::new(
            index.services_by_name().into_iter().flat_map(move |service| copy.service(&index, &service, endpoints)),
        )
    }
}

/// What all records of a copy have in common.
struct Copy {
    zone: Name,
    address_ttl: u32,
    ttl: u32,
}

/// An address with one of its ports; `None` stands for an object without ports.
type Pair<'a> = (Vec<u8>, IpAddr, Option<&'a Port>);

impl Copy {
    fn service(&self, index: &Index, service: &Arc<Service>, endpoints: Endpoints) -> Vec<TextRecord> {
        let mut records = Vec::new();
        if let Some(external) = index.external(&service.owner) {
            self.addresses(&external, &mut records);
        } else if endpoints == Endpoints::Shown
            && service.definition.as_ref().is_some_and(|d| d.backing == Backing::Headless)
        {
            self.endpoints(index, service, &mut records);
        }
        records
    }

    fn push(&self, labels: &[&[u8]], (rtype, data): (RecordType, Vec<u8>), records: &mut Vec<TextRecord>) {
        let ttl = if matches!(rtype, RecordType::A | RecordType::AAAA) { self.address_ttl } else { self.ttl };
        let owner = Name::join(&labels.concat(), self.zone.as_ref());
        records.extend(owner.map(|owner| record(owner, rtype, ttl, data)));
    }

    fn push_service(
        &self,
        labels: &[&[u8]],
        (weight, port): (u16, u16),
        target: Option<&Name>,
        records: &mut Vec<TextRecord>,
    ) {
        if let Some(target) = target {
            self.push(labels, (RecordType::SRV, service_data(weight, port, target)), records);
        }
    }

    fn name(&self, labels: &[&[u8]]) -> Option<Name> {
        Name::join(&labels.concat(), self.zone.as_ref())
    }

    /// The addresses of a service, and one SRV record for each name that can have some.
    fn addresses(&self, external: &External, records: &mut Vec<TextRecord>) {
        let owner = &*external.owner;
        let own = self.name(&[owner]);
        let addresses = (0..external.addresses.len()).filter_map(|n| external.addresses.get(n));
        let addresses = addresses.map(|address| (address_data(address), own.clone()));
        let hosts = external.names.iter().map(|name| {
            let target = NameRef::read(name).map(NameRef::to_name);
            ((RecordType::CNAME, name.to_vec()), target)
        });
        let mut seen = BTreeSet::new();
        for (data, target) in addresses.chain(hosts) {
            if external.ports.is_empty() {
                self.push(&[owner], data, records);
                continue;
            }
            for port in external.ports.iter() {
                self.push(&[owner], data.clone(), records);
                for labels in [Some(Vec::new()), port_labels(port)].into_iter().flatten() {
                    if let Some(number) = port.number.filter(|_| seen.insert(labels.clone())) {
                        self.push_service(&[&labels, owner], (100, number), target.as_ref(), records);
                    }
                }
            }
        }
    }

    /// The endpoints of a headless service, by its name, by their own, and by their ports.
    fn endpoints(&self, index: &Index, service: &Service, records: &mut Vec<TextRecord>) {
        let slices: Vec<_> = index.slices_of(service).map(Found::keep).collect();
        let mut pairs: Vec<Pair<'_>> = Vec::new();
        for slice in &slices {
            for (entry, address) in (0..slice.addresses.len()).filter_map(|e| Some((e, slice.addresses.get(e)?))) {
                let host = slice.host(entry, &mut HostSpace::default()).to_vec();
                let ports = slice.ports.iter().map(Some).chain(slice.ports.is_empty().then_some(None));
                pairs.extend(ports.map(|port| (host.clone(), address, port)));
            }
        }
        let owner = &*service.owner;
        let distinct: BTreeSet<IpAddr> = pairs.iter().map(|pair| pair.1).collect();
        distinct.iter().for_each(|address| self.push(&[owner], address_data(*address), records));
        let all: Vec<&Pair<'_>> = pairs.iter().collect();
        for _ in 0..TWICE {
            self.targets(&[owner], &all, owner, records);
        }
        for pair in &pairs {
            self.push(&[&pair.0, owner], address_data(pair.1), records);
            for _ in 0..TWICE {
                self.targets(&[&pair.0, owner], &[pair], owner, records);
            }
        }
        let mut ports: BTreeMap<Vec<u8>, Vec<&Pair<'_>>> = BTreeMap::new();
        for pair in &pairs {
            if let Some(labels) = pair.2.filter(|port| !port.name.is_empty()).and_then(port_labels) {
                ports.entry(labels).or_default().push(pair);
            }
        }
        for (labels, pairs) in &ports {
            self.targets(&[labels, owner], pairs, owner, records);
        }
    }

    /// An SRV record for each host and port, each once.
    fn targets(&self, labels: &[&[u8]], pairs: &[&Pair<'_>], owner: &[u8], records: &mut Vec<TextRecord>) {
        let weight = (100 / pairs.len().max(1)).max(1) as u16;
        let mut seen = BTreeSet::new();
        for (host, _, port) in pairs.iter().copied() {
            if let Some(number) = port.and_then(|port| port.number)
                && seen.insert((host, number))
            {
                self.push_service(labels, (weight, number), self.name(&[host, owner]).as_ref(), records);
            }
        }
    }
}

/// `_PORT._PROTOCOL` in wire form, in lower case, also of a port without name; `None` where that makes no labels.
fn port_labels(port: &Port) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    for text in [&port.name, &port.protocol] {
        let length = u8::try_from(text.len() + 1).ok().filter(|length| *length <= 63)?;
        labels.extend_from_slice(&[length, b'_']);
        labels.extend(text.iter().map(u8::to_ascii_lowercase));
    }
    Some(labels)
}

/// How often CoreDNS sends the SRV records of headless services and of endpoints.
const TWICE: usize = 2;
