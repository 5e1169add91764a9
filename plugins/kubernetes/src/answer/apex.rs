//! The zone's name servers (spec 7.2): the services in front of this server, or this server itself.

use super::{Request, Verdict};
use crate::Kubernetes;
use crate::index::{Backing, HostSpace, Slice};
use api::{Name, Owner, RecordType, Reply, Section};
use std::net::IpAddr;

/// A name server: the labels of its name in front of the zone, and one of its addresses.
pub type NameServer = (Vec<u8>, IpAddr);

impl Kubernetes {
    /// NS records of the apex with their addresses.
    pub(super) fn name_servers(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let ttl = self.rules.ttl;
        let servers = self.servers();
        // Only a name that is not that of the zone is written in full.
        let full = |labels: &[u8]| request.zone.mangled.as_ref().and_then(|zone| Name::join(labels, zone.as_ref()));
        for (number, (labels, _)) in servers.iter().enumerate() {
            if servers[..number].iter().any(|(other, _)| other == labels) {
                continue;
            }
            reply.push(Section::Answer, Owner::Question, RecordType::NS, ttl, |d| match full(labels) {
                Some(name) => d.name(name.as_ref()),
                None => d.under_question_compressed(labels, 0),
            });
        }
        for (labels, address) in &servers {
            let name = full(labels);
            let owner = name.as_ref().map_or(Owner::Under(labels), |name| Owner::Name(name.as_ref()));
            reply.push_address(Section::Additional, owner, ttl, *address);
        }
        Verdict::Answered
    }

    /// The addresses of `ns.dns`, each once.
    pub(super) fn server_addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (_, address) in self.servers() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// All name servers. Asked for so rarely that they are gathered each time.
    pub(crate) fn servers(&self) -> Vec<NameServer> {
        let mut servers = Vec::new();
        if !self.own_slices(|slice| self.servers_of(slice, &mut servers)) {
            servers.extend(self.rules.local.iter().map(|&local| (b"\x02ns\x03dns".to_vec(), local)));
        }
        servers
    }

    /// Calls `tell` with each slice that this server is in; `false` where there is none.
    pub(super) fn own_slices(&self, mut tell: impl FnMut(&Slice)) -> bool {
        let mut found = false;
        for &local in &self.rules.local {
            self.index().endpoint_address(local, |slice, entry| {
                found = true;
                // A slice that has the address twice counts once.
                if slice.entries_at(local).next() == Some(entry) {
                    tell(slice);
                }
                None::<()>
            });
        }
        found
    }

    /// The name servers that the service of a slice stands for.
    fn servers_of(&self, slice: &Slice, servers: &mut Vec<NameServer>) {
        let Some(service) = self.index().service_of(slice) else { return };
        match service.definition.as_ref().map(|d| &d.backing) {
            Some(Backing::Headless) => {
                let all = (0..slice.addresses.len()).filter_map(|e| Some((e, slice.addresses.get(e)?)));
                servers.extend(all.map(|(entry, address)| {
                    let mut space = HostSpace::default();
                    ([slice.host(entry, &mut space), slice.service(), b"\x03svc"].concat(), address)
                }));
            }
            Some(Backing::Addresses(addresses)) => {
                let all = (0..addresses.len()).filter_map(|n| addresses.get(n));
                servers.extend(all.map(|address| ([&*service.owner, b"\x03svc"].concat(), address)));
            }
            _ => (),
        }
    }
}
