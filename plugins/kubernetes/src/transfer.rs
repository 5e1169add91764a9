//! A zone as other servers copy it (spec 11): record after record, as they are taken.

mod outside;

use crate::Kubernetes;
use crate::index::{Addresses, Backing, Found, HostSpace, Index, NameKind, Port, Service, Slice};
use api::presentation::TextRecord;
use api::services::{Transfer, ZoneRecords};
use api::{Class, Name, NameRef, RecordType};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::vec::IntoIter;

/// Hands out copies of the directive's zones.
pub struct Copies(pub Arc<Kubernetes>);

impl Transfer for Copies {
    /// Every name in a zone stands for the zone: its records have that name where they would have the zone's.
    fn transfer(&self, name: NameRef<'_>, serial: u32) -> Option<ZoneRecords> {
        let kubernetes = &self.0;
        let (zone, offset) = kubernetes.zones.find(name)?;
        let cluster = &kubernetes.cluster;
        let imports = cluster.imports.as_ref().filter(|_| zone.multicluster);
        let mangled = zone.mangled.as_ref().filter(|_| offset == 0);
        let names = Names { zone: name.to_name(), services: mangled.map_or(name, Name::as_ref).to_name() };
        let current = cluster.index.serial();
        let soa = names.soa(current, kubernetes.rules.ttl)?;
        if serial != 0 && serial == current {
            return Some(Box::new(std::iter::once(soa)));
        }
        let index = imports.unwrap_or(&cluster.index).clone();
        let services = index.services_by_name().into_iter();
        let mut copy = Copy {
            kubernetes: kubernetes.clone(),
            names,
            portless: !zone.multicluster,
            services,
            index,
            endpoints: None,
            ready: VecDeque::new(),
            end: Some(soa.clone()),
        };
        copy.ready.push_back(soa);
        copy.name_servers();
        Some(Box::new(copy))
    }
}

/// What is left of a copy that is being made.
struct Copy {
    kubernetes: Arc<Kubernetes>,
    /// What is known of the services.
    index: Arc<Index>,
    names: Names,
    /// Services without ports have an SRV record nevertheless (CoreDNS behaviour).
    portless: bool,
    /// Those whose records are still to be made.
    services: IntoIter<Arc<Service>>,
    /// Those of the service before them.
    endpoints: Option<Endpoints>,
    /// Records that are made and not yet taken: those of a service without its endpoints, or of one endpoint.
    ready: VecDeque<TextRecord>,
    /// The last record.
    end: Option<TextRecord>,
}

/// Endpoints of a headless service.
struct Endpoints {
    service: Arc<Service>,
    slices: IntoIter<Arc<Slice>>,
    /// The next one: its slice, and its number there.
    next: Option<(Arc<Slice>, usize)>,
}

impl Iterator for Copy {
    type Item = TextRecord;

    fn next(&mut self) -> Option<TextRecord> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(record);
            }
            if let Some(mut endpoints) = self.endpoints.take() {
                if let Some((slice, entry)) = endpoints.take() {
                    self.endpoint(&endpoints.service, &slice, entry);
                    self.endpoints = Some(endpoints);
                }
            } else if let Some(service) = self.services.next() {
                self.service(service);
            } else {
                return self.end.take();
            }
        }
    }
}

impl Endpoints {
    /// The next one.
    fn take(&mut self) -> Option<(Arc<Slice>, usize)> {
        loop {
            let (slice, entry) = match self.next.take() {
                Some(next) => next,
                None => (self.slices.next()?, 0),
            };
            if entry < slice.addresses.len() {
                self.next = Some((slice.clone(), entry + 1));
                return Some((slice, entry));
            }
        }
    }
}

impl Copy {
    fn push(&mut self, labels: &[&[u8]], rtype: RecordType, data: Vec<u8>) {
        let record = self.names.record(labels, rtype, self.kubernetes.rules.ttl, data);
        self.ready.extend(record);
    }

    fn push_address(&mut self, labels: &[&[u8]], address: IpAddr) {
        let (rtype, data) = address_data(address);
        self.push(labels, rtype, data);
    }

    /// The zone's name servers; their addresses are there once more, with the service that they are of.
    fn name_servers(&mut self) {
        let servers = self.kubernetes.servers();
        for (number, (labels, address)) in servers.iter().enumerate() {
            let Some(name) = Name::join(labels, self.names.services.as_ref()) else { continue };
            if !servers[..number].iter().any(|(other, _)| other == labels) {
                let (zone, ttl) = (self.names.zone.clone(), self.kubernetes.rules.ttl);
                self.ready.push_back(record(zone, RecordType::NS, ttl, name.as_bytes().to_vec()));
            }
            let (rtype, data) = address_data(*address);
            self.ready.push_back(record(name, rtype, 0, data));
        }
    }

    /// The records of a service, but those of its endpoints, which come next.
    fn service(&mut self, service: Arc<Service>) {
        let Some(definition) = service.definition.as_ref().filter(|_| self.kubernetes.exposes(&service.namespace))
        else {
            return;
        };
        match &definition.backing {
            Backing::Addresses(addresses) => self.cluster_service(&service.owner, addresses, &definition.ports),
            Backing::Headless | Backing::Name(_, NameKind::InPlaceOfAddress) => {
                let slices: Vec<_> = self.index.slices_of(&service).map(Found::keep).collect();
                let slices = slices.into_iter();
                self.endpoints = Some(Endpoints { service, slices, next: None });
            }
            Backing::Name(target, NameKind::External) => {
                self.push(&[&service.owner, SVC], RecordType::CNAME, target.to_vec());
            }
            Backing::Nothing => (),
        }
    }

    fn cluster_service(&mut self, owner: &[u8], addresses: &Addresses, ports: &[Port]) {
        let Some(target) = self.names.name(&[owner, SVC]).filter(|_| addresses.len() > 0) else { return };
        for address in addresses.distinct() {
            self.push_address(&[owner, SVC], address);
        }
        if ports.is_empty() && self.portless {
            self.push(&[owner, SVC], RecordType::SRV, service_data(100, NO_PORT, &target));
        }
        for (at, port) in ports.iter().enumerate() {
            let Some(number) = port.number else { continue };
            let data = service_data(100, number, &target);
            if !ports[..at].iter().any(|other| other.number == port.number) {
                self.push(&[owner, SVC], RecordType::SRV, data.clone());
            }
            if let Some(labels) = port_labels(port) {
                self.push(&[&labels, owner, SVC], RecordType::SRV, data);
            }
        }
    }

    fn endpoint(&mut self, service: &Service, slice: &Slice, entry: usize) {
        let Some(address) = slice.addresses.get(entry) else { return };
        let mut space = HostSpace::default();
        let (host, owner) = (slice.host(entry, &mut space), &*service.owner);
        self.push_address(&[owner, SVC], address);
        self.push_address(&[host, owner, SVC], address);
        let Some(target) = self.names.name(&[host, owner, SVC]) else { return };
        let weight = (100 / slice.len().max(1)).max(1) as u16;
        for port in slice.ports.iter() {
            if let (Some(labels), Some(number)) = (port_labels(port), port.number) {
                self.push(&[&labels, owner, SVC], RecordType::SRV, service_data(weight, number, &target));
            }
        }
    }
}

/// What the names of a copy end in.
struct Names {
    /// The zone.
    zone: Name,
    /// Names of services, which are others where the zone's name has a slash.
    services: Name,
}

impl Names {
    /// These labels, in wire form, in front of the zone; `None` where that makes no name.
    fn name(&self, labels: &[&[u8]]) -> Option<Name> {
        Name::join(&labels.concat(), self.services.as_ref())
    }

    fn record(&self, labels: &[&[u8]], rtype: RecordType, ttl: u32, data: Vec<u8>) -> Option<TextRecord> {
        Some(record(self.name(labels)?, rtype, ttl, data))
    }

    fn soa(&self, serial: u32, ttl: u32) -> Option<TextRecord> {
        let below = |labels| Name::join(labels, self.zone.as_ref());
        let mut data = below(b"\x02ns\x03dns")?.as_bytes().to_vec();
        data.extend_from_slice(below(b"\x0ahostmaster")?.as_bytes());
        data.extend([serial, 7200, 1800, 86_400, ttl].iter().flat_map(|n| n.to_be_bytes()));
        Some(record(self.zone.clone(), RecordType::SOA, ttl.min(crate::answer::NEGATIVE_TTL), data))
    }
}

fn record(owner: Name, rtype: RecordType, ttl: u32, data: Vec<u8>) -> TextRecord {
    TextRecord { owner, rtype, class: Class::IN, ttl, data }
}

fn address_data(address: IpAddr) -> (RecordType, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (RecordType::A, address.octets().to_vec()),
        IpAddr::V6(address) => (RecordType::AAAA, address.octets().to_vec()),
    }
}

/// The data of an SRV record with priority 0.
fn service_data(weight: u16, port: u16, target: &Name) -> Vec<u8> {
    let numbers = [0, weight, port].into_iter().flat_map(|n| n.to_be_bytes());
    numbers.chain(target.as_bytes().iter().copied()).collect()
}

/// `_PORT._PROTOCOL` in wire form, in lower case; `None` where the port has no name, or none that can stand there.
fn port_labels(port: &Port) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    for text in [&port.name, &port.protocol] {
        let length = u8::try_from(text.len() + 1).ok().filter(|length| (2..=63).contains(length))?;
        labels.extend_from_slice(&[length, b'_']);
        labels.extend(text.iter().map(u8::to_ascii_lowercase));
    }
    Some(labels)
}

/// The label above namespaces.
const SVC: &[u8] = b"\x03svc";
/// What CoreDNS writes as the port of a service without ports.
const NO_PORT: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::kubernetes;
    use api::services::{Endpoints, ExternalZone};
    use api::test::{query, text};
    use api::{Fallthrough, Section};

    /// The records of a copy, each without class and TTL.
    fn copy(name: &str, serial: u32) -> Option<Vec<String>> {
        let copies = Copies(Arc::new(kubernetes(Fallthrough::default())));
        let records = copies.transfer(Name::from_text(name).unwrap().as_ref(), serial)?;
        let mut q = query(". A");
        q.respond();
        records.for_each(|record| record.push(&mut q.reply, Section::Answer));
        let shown = text(&q);
        Some(shown.lines().skip(1).map(|line| line.replace("answer ", "").replace(" 5 IN", "")).collect())
    }

    #[test]
    fn a_copy_has_all_services_between_two_soa_records() {
        let soa = |zone: &str| format!("{zone} SOA ns.dns.{zone} hostmaster.{zone} 1 7200 1800 86400 5");
        let copied = copy("cluster.local", 0).unwrap();
        let want = [
            &soa("cluster.local."),
            "ext.n.svc.cluster.local. A 10.96.0.2",
            "ext.n.svc.cluster.local. SRV 0 100 80 ext.n.svc.cluster.local.",
            "_http._tcp.ext.n.svc.cluster.local. SRV 0 100 80 ext.n.svc.cluster.local.",
            "ext.n.svc.cluster.local. SRV 0 100 53 ext.n.svc.cluster.local.",
            "_dns._udp.ext.n.svc.cluster.local. SRV 0 100 53 ext.n.svc.cluster.local.",
            "headless.n.svc.cluster.local. A 10.244.0.1",
            "10-244-0-1.headless.n.svc.cluster.local. A 10.244.0.1",
            "out.n.svc.cluster.local. CNAME example.org.",
            "web.n.svc.cluster.local. A 10.96.0.1",
            "web.n.svc.cluster.local. SRV 0 100 80 web.n.svc.cluster.local.",
            "_http._tcp.web.n.svc.cluster.local. SRV 0 100 80 web.n.svc.cluster.local.",
            &soa("cluster.local."),
        ];
        assert_eq!(copied, want);
        let below = copy("a.cluster.local", 2).unwrap();
        assert!(below[0] == soa("a.cluster.local.") && below.len() == want.len(), "{below:?}");
        assert_eq!(copy("cluster.local", 1), Some(vec![soa("cluster.local.")]));
        assert_eq!(copy("org", 0), None);
    }

    #[test]
    fn a_copy_of_imports_names_no_clusters() {
        let copied = copy("set.local", 0).unwrap();
        let want = [
            "headless.n.svc.set.local. A 10.244.1.1",
            "10-244-1-1.headless.n.svc.set.local. A 10.244.1.1",
            "portless.n.svc.set.local. A 10.112.0.2",
            "web.n.svc.set.local. A 10.112.0.1",
            "web.n.svc.set.local. SRV 0 100 80 web.n.svc.set.local.",
            "_http._tcp.web.n.svc.set.local. SRV 0 100 80 web.n.svc.set.local.",
        ];
        assert_eq!(copied[1..copied.len() - 1], want);
    }

    #[test]
    fn a_copy_from_outside_has_what_is_seen_from_there() {
        let kubernetes = kubernetes(Fallthrough::default());
        let zone = Name::from_text("example").unwrap();
        let copy = |endpoints| {
            let mut q = query(". A");
            q.respond();
            let zone = ExternalZone { name: zone.as_ref(), ttl: 60, endpoints };
            kubernetes.outside_records(&zone).for_each(|record| record.push(&mut q.reply, Section::Answer));
            let shown = text(&q);
            shown.lines().skip(1).map(|line| line.replace("answer ", "").replace(" IN ", " ")).collect::<Vec<_>>()
        };
        let twice = |record: &str| [record.to_owned(), record.to_owned()];
        let srv = |name: &str, port: u16| format!("{name}ext.n.example. 5 SRV 0 100 {port} ext.n.example.");
        let mut ext: Vec<String> = twice("ext.n.example. 60 A 192.0.2.1").into();
        ext.splice(1..1, [srv("", 80), srv("_http._tcp.", 80)]);
        ext.push(srv("_dns._udp.", 53));
        ext.extend(twice("ext.n.example. 60 AAAA 2001:db8::1"));
        ext.extend(twice("ext.n.example. 5 CNAME lb.example."));
        assert_eq!(copy(Endpoints::Hidden), ext);
        ext.extend(
            ["headless.n.example. 60 A 10.244.0.1", "10-244-0-1.headless.n.example. 60 A 10.244.0.1"].map(Into::into),
        );
        assert_eq!(copy(Endpoints::Shown), ext);
    }
}
