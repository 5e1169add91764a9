//! A and AAAA, and the CNAME records that lead to them.

use super::find::{Asked, Hit};
use super::selection::Selection;
use super::{Request, Verdict};
use crate::Kubernetes;
use crate::index::{Addresses, Backing};
use api::{Name, Owner, RecordType, Reply, Section};
use std::net::IpAddr;

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Types without addresses are treated like A (spec 5).
    pub fn of(rtype: RecordType) -> Family {
        if rtype == RecordType::AAAA { Family::V6 } else { Family::V4 }
    }

    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }

    /// The numbers of a list's addresses of this family.
    fn numbers(self, addresses: &Addresses) -> std::ops::Range<usize> {
        match self {
            Family::V4 => 0..addresses.v4().len(),
            Family::V6 => addresses.v4().len()..addresses.len(),
        }
    }
}

impl Kubernetes {
    /// The addresses of the name asked for.
    pub(super) fn addresses(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let hit = match self.find(&request.asked()) {
            Ok(hit) => hit,
            Err(no) => return no.into(),
        };
        let family = Family::of(request.question.rtype);
        self.write_addresses(&hit, family, Owner::Question, reply);
        if reply.records().len() > 0 {
            return Verdict::Answered;
        }
        match hit.leads_to() {
            Some(target) => self.chase(request, target, family, reply),
            None => Verdict::Answered,
        }
    }

    /// Follows CNAME records through the zone (spec 5).
    fn chase(&self, request: &Request<'_>, target: Name, family: Family, reply: &mut Reply) -> Verdict {
        let mut chain = vec![target];
        loop {
            let (target, before) = chain.split_last().expect("never empty");
            let lower = target.to_lower();
            let owner = before.last().map_or(request.question.name().to_lower(), |name| name.to_lower());
            if before.len() >= CHAIN || before.contains(target) || lower.as_ref().is_below(owner.as_ref()) {
                break;
            }
            let owner = before.last().map_or(Owner::Question, |name| Owner::Name(name.as_ref()));
            self.cname(owner, target.as_ref(), reply);
            let Some(offset) = lower.as_ref().below(request.zone.name.as_ref()) else {
                return Verdict::Elsewhere(target.clone());
            };
            let asked = Asked { name: lower.as_ref(), offset, ..request.asked() };
            let Ok(hit) = self.find(&asked) else { break };
            let so_far = reply.records().len();
            self.write_addresses(&hit, family, Owner::Name(target.as_ref()), reply);
            if reply.records().len() > so_far {
                return Verdict::Answered;
            }
            let Some(next) = hit.leads_to() else { break };
            chain.push(next);
        }
        // A chain that ends nowhere is not shown.
        reply.drop_from(Section::Answer);
        Verdict::Answered
    }

    /// Writes the addresses that a name has by itself.
    pub(super) fn write_addresses(&self, hit: &Hit<'_>, family: Family, owner: Owner<'_>, reply: &mut Reply) {
        let mut push = |address: IpAddr| {
            if family.has(address) {
                reply.push_address(Section::Answer, owner, self.rules.ttl, address);
            }
        };
        match hit {
            Hit::Branch => (),
            Hit::Pod(_, address) => push(*address),
            Hit::NameServers => self.server_addresses().into_iter().for_each(push),
            Hit::Service(selection) => match selection.definition().map(|d| &d.backing) {
                Some(Backing::Addresses(addresses)) => {
                    let once = family.numbers(addresses).filter(|&number| !addresses.repeated(number, |_| true));
                    self.write_some(addresses, once, family, owner, reply);
                }
                Some(Backing::Headless) => self.write_service_endpoints(selection, family, owner, reply),
                _ => (),
            },
            Hit::Endpoints(endpoints) => {
                let first = reply.records().len();
                let addresses = endpoints.iter().filter_map(|(slice, entry)| slice.addresses.get(entry));
                for address in addresses.filter(|&a| family.has(a)) {
                    if !holds(reply, first, address) {
                        reply.push_address(Section::Answer, owner, self.rules.ttl, address);
                    }
                }
            }
        }
    }

    fn write_service_endpoints(&self, selection: &Selection<'_>, family: Family, owner: Owner<'_>, reply: &mut Reply) {
        for (number, slice, part) in selection.round(reply.room()) {
            if reply.overflowed() {
                return;
            }
            let entries = selection.distinct(number, &slice, part.of(family.numbers(&slice.addresses)));
            self.write_some(&slice.addresses, entries, family, owner, reply);
        }
    }

    /// Writes the addresses with these numbers, all of one family.
    fn write_some(
        &self,
        addresses: &Addresses,
        numbers: impl Iterator<Item = usize>,
        family: Family,
        owner: Owner<'_>,
        reply: &mut Reply,
    ) {
        let (v4, v6) = (addresses.v4(), addresses.v6());
        let (section, ttl) = (Section::Answer, self.rules.ttl);
        match family {
            Family::V4 => reply.push_set(section, owner, RecordType::A, ttl, numbers.map(|n| v4[n])),
            Family::V6 => reply.push_set(section, owner, RecordType::AAAA, ttl, numbers.map(|n| v6[n - v4.len()])),
        }
    }
}

/// Whether the answer holds this address among the records from number `first` on.
fn holds(reply: &Reply, first: usize, address: IpAddr) -> bool {
    reply.records().skip(first).any(|r| match address {
        IpAddr::V4(a) => r.raw_data() == a.octets(),
        IpAddr::V6(a) => r.raw_data() == a.octets(),
    })
}

/// CNAME records of a chain through the zone, at most.
const CHAIN: usize = 11;
