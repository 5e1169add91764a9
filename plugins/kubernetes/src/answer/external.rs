//! Names of services as they are seen from outside of the cluster, for who answers for them (spec 12).

use super::address::Family;
use super::find::Hit;
use super::name::{Ports, without_underscore};
use super::selection::{Selection, owned};
use super::service::{Names, Writer};
use crate::Kubernetes;
use crate::index::{Backing, External as Service, Found, Slice};
use api::name::NameBuf;
use api::services::{Endpoints, External, ExternalAnswer, ExternalName, ExternalZone, ZoneRecords};
use api::{Name, NameRef, Owner, RecordType, Reply, Section};
use std::net::IpAddr;

/// What a name stands for.
enum Outside<'a> {
    /// A service that has addresses outside of the cluster, by one or more of its ports.
    Service(Found<Service>, Ports<'a>),
    /// What it stands for inside: a namespace, or endpoints.
    Inside(Hit<'a>),
}

impl External for Kubernetes {
    fn answer(&self, asked: &ExternalName<'_>, reply: &mut Reply) -> ExternalAnswer {
        let rtype = asked.question.rtype;
        if let (RecordType::PTR, Some(address)) = (rtype, asked.question.name().reverse_address()) {
            self.outside_pointers(asked, address, reply);
            return if reply.records().len() > 0 { ExternalAnswer::Written } else { ExternalAnswer::NoSuchName };
        }
        let mut space = NameBuf::default();
        let Some(found) = self.find_outside(asked, &mut space) else { return ExternalAnswer::NoSuchName };
        let hosts = match rtype {
            RecordType::A | RecordType::AAAA => self.outside_addresses(&found, Family::of(rtype), reply),
            RecordType::SRV => self.outside_services(asked, &found, reply),
            _ => Vec::new(),
        };
        // Addresses are of the zone, what leads to names is of the cluster.
        let answer_ttl = if rtype == RecordType::SRV { self.rules.ttl } else { asked.ttl };
        reply.map_ttls(|section, _| if section == Section::Answer { answer_ttl } else { asked.ttl });
        if hosts.is_empty() { ExternalAnswer::Written } else { ExternalAnswer::Hosts(hosts) }
    }

    fn knows(&self, asked: &ExternalName<'_>) -> bool {
        match (asked.question.rtype, asked.question.name().reverse_address()) {
            (RecordType::PTR, Some(address)) => {
                let here = |service: &Service| self.points_into(&service.namespace).then_some(());
                self.index().external_address(address, here).is_some()
            }
            _ => self.find_outside(asked, &mut NameBuf::default()).is_some(),
        }
    }

    fn records(&self, zone: &ExternalZone<'_>) -> ZoneRecords {
        self.outside_records(zone)
    }

    fn servers(&self, endpoints: Endpoints) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        if !self.own_slices(|slice| addresses.extend(self.outside_servers(slice, endpoints))) {
            addresses.clone_from(&self.rules.local);
        }
        let mut distinct: Vec<IpAddr> = Vec::new();
        for address in addresses {
            if !distinct.contains(&address) {
                distinct.push(address);
            }
        }
        distinct
    }

    fn serial(&self) -> u32 {
        self.index().external_serial()
    }

    fn ttl(&self) -> u32 {
        self.rules.ttl
    }
}

impl Kubernetes {
    /// What a name stands for. An endpoint's label may need `space`.
    fn find_outside<'a>(&'a self, asked: &ExternalName<'a>, space: &'a mut NameBuf) -> Option<Outside<'a>> {
        let labels = &asked.question.name().as_bytes()[..asked.offset];
        let (mut starts, mut count, mut at) = ([0; LABELS], 0, 0);
        while at < labels.len() {
            *starts.get_mut(count)? = at;
            count += 1;
            at += usize::from(labels[at]) + 1;
        }
        // What begins with the label of this number, counted from the zone.
        let from = |number: usize| count.checked_sub(number).map(|i| &labels[starts[i]..]);
        let namespace = from(1).filter(|label| self.rules.lists(label) && self.index().namespace_exists(label))?;
        let Some(owner) = from(2) else { return Some(Outside::Inside(Hit::Branch)) };
        debug_assert!(owner.ends_with(namespace));
        let inside = |labels: &'a [u8], below: &[u8]| without_underscore(&labels[1..labels.len() - below.len()]);
        let (host, ports) = match (from(3), from(4)) {
            (Some(protocol), Some(port)) => (&[][..], Ports::of(inside(port, protocol), inside(protocol, owner))),
            (Some(host), None) => (inside(host, owner), Ports::ANY),
            _ => (&[][..], Ports::ANY),
        };
        // Any label may stand in front of a service that has addresses outside (CoreDNS behaviour).
        if let Some(service) = self.index().external(owner) {
            return ports.are_in(&service.ports).then_some(Outside::Service(service, ports));
        }
        let shown = asked.endpoints == Endpoints::Shown;
        shown.then(|| self.find_outside_endpoints(owner, host, ports, space)).flatten().map(Outside::Inside)
    }

    /// Endpoints of the service called `owner`: those called `host`, if that is not empty, else those of a headless service.
    fn find_outside_endpoints<'a>(
        &'a self,
        owner: &[u8],
        host: &[u8],
        ports: Ports<'a>,
        space: &'a mut NameBuf,
    ) -> Option<Hit<'a>> {
        let index = self.index();
        let selection = Selection { index, service: index.service(owner)?, ports, zone: None };
        let headless = matches!(selection.definition()?.backing, Backing::Headless);
        if host.is_empty() {
            return (headless && selection.has_endpoints()).then_some(Hit::Service(selection));
        }
        let name = space.join(&[&[host.len() as u8], host, owner], NameRef::ROOT)?;
        let (_, name) = name.as_bytes().split_last()?;
        let endpoints = index.endpoints(name);
        (!endpoints.is_empty()).then_some(Hit::Endpoints(endpoints))
    }

    /// Writes the addresses; returns the names that stand in their place.
    fn outside_addresses(&self, found: &Outside<'_>, family: Family, reply: &mut Reply) -> Vec<Name> {
        match found {
            Outside::Service(service, _) => {
                for address in service.addresses.distinct().filter(|&a| family.has(a)) {
                    reply.push_address(Section::Answer, Owner::Question, self.rules.ttl, address);
                }
                hosts(service)
            }
            Outside::Inside(hit) => {
                self.write_addresses(hit, family, Owner::Question, reply);
                hit.leads_to().filter(|_| reply.records().len() == 0).into_iter().collect()
            }
        }
    }

    /// Writes the ports with the addresses behind them; returns the names that stand in the place of addresses.
    fn outside_services(&self, asked: &ExternalName<'_>, found: &Outside<'_>, reply: &mut Reply) -> Vec<Name> {
        let question = asked.question.original();
        let names = Names { question, tree: b"", suffix: asked.zone, multicluster: false };
        let mut writer = Writer::new(names, self.rules.ttl, reply);
        match found {
            Outside::Service(service, ports) => {
                let hosts = hosts(service);
                writer.service(&service.owner, (*ports, &service.ports), &service.addresses, &hosts);
                if ports.among(&service.ports).any(|p| p.number.is_some()) { hosts } else { Vec::new() }
            }
            Outside::Inside(hit) => {
                writer.endpoints_of(hit);
                Vec::new()
            }
        }
    }

    /// The names of the services that have this address outside of the cluster.
    fn outside_pointers(&self, asked: &ExternalName<'_>, address: IpAddr, reply: &mut Reply) {
        self.index().external_address(address, |service| {
            let mut target = NameBuf::default();
            if self.points_into(&service.namespace)
                && let Some(target) = target.join(&[&service.owner], asked.primary)
            {
                reply.push(Section::Answer, Owner::Question, RecordType::PTR, asked.ttl, |d| d.name(target));
            }
            reply.overflowed().then_some(())
        });
    }

    /// Where the service of a slice that this server is in is seen from outside.
    fn outside_servers(&self, slice: &Slice, endpoints: Endpoints) -> Vec<IpAddr> {
        let service = self.index().service_of(slice);
        let backing = service.as_ref().and_then(|service| service.definition.as_ref()).map(|d| &d.backing);
        if endpoints == Endpoints::Shown && matches!(backing, Some(Backing::Headless)) {
            return slice.addresses.distinct().collect();
        }
        let external = self.index().external(slice.service());
        external.map(|service| service.addresses.distinct().collect()).unwrap_or_default()
    }
}

/// The names that stand in the place of addresses, each once.
fn hosts(service: &Service) -> Vec<Name> {
    let mut hosts: Vec<Name> = Vec::new();
    for name in service.names.iter().filter_map(|name| owned(name)) {
        if !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    hosts
}

/// Labels in front of a zone: `PORT.PROTO.SVC.NS` has most.
const LABELS: usize = 4;
