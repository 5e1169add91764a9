//! SRV records, with the addresses of their targets.

use super::find::Hit;
use super::name::Ports;
use super::selection::Selection;
use super::{Request, Verdict};
use crate::Kubernetes;
use crate::index::{Addresses, Backing, Definition, Endpoints, HostSpace, Port, Slice, host_tag};
use api::name::{MAX_NAME, NameBuf};
use api::{Name, NameRef, Owner, Record, RecordType, Reply, Section};
use std::net::IpAddr;

impl Kubernetes {
    /// The ports of the name asked for.
    pub(super) fn services(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let hit = match self.find(&request.asked()) {
            Ok(hit) => hit,
            Err(no) => return no.into(),
        };
        let mut writer = Writer::new(request.into(), self.rules.ttl, reply);
        match &hit {
            Hit::Pod(pod, address) => writer.pod(pod, *address),
            Hit::Service(selection) => match selection.definition() {
                Some(Definition { backing: Backing::Addresses(addresses), ports }) => {
                    writer.service(&selection.service.owner, (selection.ports, ports), addresses, &[]);
                }
                _ => writer.endpoints_of(&hit),
            },
            _ => writer.endpoints_of(&hit),
        }
        Verdict::Answered
    }
}

/// How names of services are written.
pub struct Names<'a> {
    /// The name asked for.
    pub question: NameRef<'a>,
    /// What stands behind a service's labels, in wire form.
    pub tree: &'static [u8],
    /// What stands behind that.
    pub suffix: NameRef<'a>,
    /// Whether endpoints need the label of a cluster.
    pub multicluster: bool,
}

impl<'a> From<&Request<'a>> for Names<'a> {
    fn from(request: &Request<'a>) -> Names<'a> {
        Names {
            question: request.question.original(),
            tree: b"\x03svc",
            suffix: request.suffix(),
            multicluster: request.zone.multicluster,
        }
    }
}

/// Writes the records of one answer.
pub struct Writer<'a, 'r> {
    names: Names<'a>,
    ttl: u32,
    weight: u16,
    /// SRV records that are written; they stand in front of all others.
    ports: usize,
    /// The one of them whose target was the owner of an address last.
    glued: usize,
    reply: &'r mut Reply,
}

impl<'a, 'r> Writer<'a, 'r> {
    /// Writes records with this TTL into `reply`.
    pub fn new(names: Names<'a>, ttl: u32, reply: &'r mut Reply) -> Self {
        Writer { names, ttl, weight: 0, ports: 0, glued: 0, reply }
    }

    /// Each port of the endpoints that a name stands for.
    pub fn endpoints_of(&mut self, hit: &Hit<'_>) {
        match hit {
            Hit::Endpoints(endpoints) => self.endpoints(endpoints),
            Hit::Service(selection) if selection.definition().is_some_and(|d| d.backing == Backing::Headless) => {
                self.headless(selection);
            }
            Hit::Service(_) | Hit::Branch | Hit::NameServers | Hit::Pod(..) => (),
        }
    }

    /// Sets the weight of each of so many records (spec 3): they are counted before those that are the same become one.
    fn weigh(&mut self, records: usize) {
        self.weight = 100usize.checked_div(records).map_or(100, |weight| weight.max(1) as u16);
    }

    fn srv(&mut self, port: u16, target: Target<'_>) {
        self.reply.push(Section::Answer, Owner::Question, RecordType::SRV, self.ttl, |d| {
            d.octets([0, self.weight, port].map(u16::to_be_bytes).as_flattened());
            d.octets(target.host);
            d.name(target.parent);
        });
        self.ports += 1;
    }

    /// An address of a target, whose name is written as short as it can be.
    fn address(&mut self, target: Target<'_>, address: IpAddr) {
        let mut space;
        let owner = if let Some(offset) = target.start_in(self.names.question) {
            Owner::Suffix(offset)
        } else if let Some(place) = self.place_of(target) {
            Owner::Target(place)
        } else {
            space = NameBuf::default();
            let Some(name) = space.join(&[target.host], target.parent) else { return };
            Owner::Name(name)
        };
        self.reply.push_address(Section::Additional, owner, self.ttl, address);
    }

    /// The place of a record with this target, among the next few. Addresses come in the order of their targets, as a rule, of which each
    /// may stand there with several ports.
    fn place_of(&mut self, target: Target<'_>) -> Option<usize> {
        let mut places = (self.glued..self.ports).chain(0..self.glued).take(LOOKED_AT);
        let found = places.find(|&place| self.reply.record(place).is_some_and(|r| target.is_in(&r)))?;
        self.glued = found;
        Some(found)
    }

    /// A pod's name has no port: the record points to the name itself.
    fn pod(&mut self, pod: &[u8], address: IpAddr) {
        let mut target = NameBuf::default();
        let Some(target) = target.join(&[pod, b"\x03pod"], self.names.suffix).map(Target::from) else { return };
        self.weigh(1);
        self.srv(0, target);
        self.address(target, address);
    }

    /// Each port of each endpoint of a headless service.
    fn headless(&mut self, selection: &Selection<'_>) {
        let ports = selection.ports;
        self.weigh(selection.slices().map(|s| selection.count(&s) * ports.count(&s.ports)).sum());
        let (mut seen, mut parent) = (Seen::default(), NameBuf::default());
        for (_, slice, part) in selection.round(self.reply.room()) {
            let (_, numbers) = ports.numbers(&slice.ports);
            let Some(parent) = self.parent(&slice, &mut parent) else { continue };
            for entry in part.of(0..slice.addresses.len()).filter(|&entry| selection.takes(&slice, entry)) {
                if self.reply.overflowed() {
                    return;
                }
                self.ports((&slice, entry), parent, &numbers, &mut seen);
            }
        }
        for (number, slice) in selection.slices().enumerate().filter(|(_, s)| has_number(ports, &s.ports)) {
            let Some(parent) = self.parent(&slice, &mut parent) else { continue };
            for entry in selection.distinct(number, &slice, 0..slice.addresses.len()) {
                if self.reply.overflowed() {
                    return;
                }
                self.glue((&slice, entry), parent);
            }
        }
    }

    /// Each port of the endpoints with this host.
    fn endpoints(&mut self, endpoints: &Endpoints) {
        let each = || endpoints.iter().filter(|&(slice, entry)| entry < slice.addresses.len());
        self.weigh(each().map(|(slice, _)| Ports::ANY.count(&slice.ports)).sum());
        let (mut seen, mut parent) = (Seen::default(), NameBuf::default());
        for endpoint in each() {
            if let Some(parent) = self.parent(endpoint.0, &mut parent) {
                self.ports(endpoint, parent, &Ports::ANY.numbers(&endpoint.0.ports).1, &mut seen);
            }
        }
        for endpoint in each().filter(|(slice, _)| has_number(Ports::ANY, &slice.ports)) {
            if !self.has_glue(endpoint.0, endpoint.1)
                && let Some(parent) = self.parent(endpoint.0, &mut parent)
            {
                self.glue(endpoint, parent);
            }
        }
    }

    /// The ports asked for, among all of a service, with its addresses; `hosts` stand in the place of addresses.
    pub fn service(&mut self, owner: &[u8], (ports, all): (Ports<'_>, &[Port]), addresses: &Addresses, hosts: &[Name]) {
        let mut target = NameBuf::default();
        let target = target.join(&[owner, self.names.tree], self.names.suffix).filter(|_| addresses.len() > 0);
        let (count, numbers) = ports.numbers(all);
        self.weigh(count * (addresses.len() + hosts.len()));
        let before = self.ports;
        for number in numbers {
            let targets = target.into_iter().chain(hosts.iter().map(Name::as_ref));
            targets.for_each(|target| self.srv(number, target.into()));
        }
        if let Some(target) = target.filter(|_| self.ports > before) {
            addresses.distinct().for_each(|a| self.address(target.into(), a));
        }
    }

    /// Ports of one endpoint, but for records that are there already.
    fn ports(&mut self, (slice, entry): (&Slice, usize), parent: NameRef<'_>, numbers: &[u16], seen: &mut Seen) {
        let mut space = HostSpace::default();
        let Some(target) = Target::new(slice.host(entry, &mut space), parent) else { return };
        for &number in numbers {
            if !(seen.maybe(target.host, number) && self.has_srv(number, target)) {
                self.srv(number, target);
            }
        }
    }

    fn has_srv(&self, port: u16, target: Target<'_>) -> bool {
        self.reply.records().any(|r| r.raw_data().get(4..6) == Some(&port.to_be_bytes()) && target.is_in(&r))
    }

    /// The address of one endpoint.
    fn glue(&mut self, (slice, entry): (&Slice, usize), parent: NameRef<'_>) {
        let mut space = HostSpace::default();
        let target = Target::new(slice.host(entry, &mut space), parent);
        if let (Some(target), Some(address)) = (target, slice.addresses.get(entry)) {
            self.address(target, address);
        }
    }

    /// What names of a slice's endpoints end in. In a multicluster zone they have names only if it is known where they were imported from:
    /// CoreDNS makes an empty label of that.
    fn parent<'t>(&self, slice: &Slice, space: &'t mut NameBuf) -> Option<NameRef<'t>> {
        let named = slice.has_cluster() || !self.names.multicluster;
        named.then(|| space.join(&[&slice.owner, self.names.tree], self.names.suffix))?
    }

    /// Whether the address of one endpoint is there already; all that are there belong to one host.
    fn has_glue(&self, slice: &Slice, entry: usize) -> bool {
        let glue = self.reply.records().filter(|r| r.section() == Section::Additional);
        glue.map(|r| r.raw_data()).any(|data| match slice.addresses.get(entry) {
            Some(IpAddr::V4(a)) => data == a.octets(),
            Some(IpAddr::V6(a)) => data == a.octets(),
            None => true,
        })
    }
}

/// The target of an SRV record, in two parts.
#[derive(Clone, Copy)]
struct Target<'a> {
    /// Labels in wire form.
    host: &'a [u8],
    /// What stands behind them.
    parent: NameRef<'a>,
}

impl<'a> Target<'a> {
    /// The name of labels, in wire form, in front of `parent`; `None` where it is too long.
    fn new(host: &'a [u8], parent: NameRef<'a>) -> Option<Target<'a>> {
        (host.len() + parent.as_bytes().len() <= MAX_NAME).then_some(Target { host, parent })
    }

    /// Whether a record is an SRV record with this target.
    fn is_in(self, record: &Record<'_>) -> bool {
        let name = record.raw_data().get(6..).filter(|_| record.rtype() == RecordType::SRV);
        name.and_then(|name| name.strip_prefix(self.host)) == Some(self.parent.as_bytes())
    }

    /// Where it begins in `name`, if `name` is it or below it.
    fn start_in(self, name: NameRef<'_>) -> Option<usize> {
        let front = name.as_bytes().strip_suffix(self.parent.as_bytes())?.strip_suffix(self.host)?;
        name.has_label_at(front.len()).then_some(front.len())
    }
}

impl<'a> From<NameRef<'a>> for Target<'a> {
    fn from(name: NameRef<'a>) -> Target<'a> {
        Target { host: &[], parent: name }
    }
}

/// Records that are looked at for a target.
const LOOKED_AT: usize = 16;

/// Whether one of the ports asked for can stand in an SRV record.
fn has_number(ports: Ports<'_>, all: &[Port]) -> bool {
    ports.among(all).any(|p| p.number.is_some())
}

/// Which records may have been written: spares most of the comparisons with those that were.
#[derive(Default)]
struct Seen {
    bits: [u128; 32],
}

impl Seen {
    /// Whether a host with a port may have been seen before.
    fn maybe(&mut self, host: &[u8], port: u16) -> bool {
        let hash = usize::from((host_tag(host) ^ port.wrapping_mul(0x9e37)) >> 1);
        let (word, bit) = (&mut self.bits[hash >> 7 & 31], 1 << (hash & 127));
        let seen = *word & bit != 0;
        *word |= bit;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_never_taken_for_new() {
        let mut seen = Seen::default();
        let hosts: Vec<String> = (0..500).map(|n| format!("host-{n}")).collect();
        let new = hosts.iter().filter(|host| !seen.maybe(host.as_bytes(), 80)).count();
        assert!(new > 400, "{new}");
        assert!(hosts.iter().all(|host| seen.maybe(host.as_bytes(), 80)));
    }
}
