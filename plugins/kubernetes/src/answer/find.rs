//! From a name to what it stands for.

use super::name::{Below, Grammar, Node, Ports, Tree, Zonal};
use super::selection::{Selection, owned};
use crate::Kubernetes;
use crate::index::{AddressText, Backing, Endpoints, NameKind, Namespace};
use crate::setup::Pods;
use crate::zones::Zone;
use api::{Name, NameRef};
use std::net::IpAddr;

/// What a name stands for.
pub enum Hit<'a> {
    /// The name exists, and has no records of its own.
    Branch,
    /// The zone's name servers (`ns.dns`).
    NameServers,
    /// A service by one or more of its ports.
    Service(Selection<'a>),
    /// Endpoints of a service by their host.
    Endpoints(Endpoints),
    /// An address in a pod's name; the labels of pod and namespace.
    Pod(&'a [u8], IpAddr),
}

impl Hit<'_> {
    /// Whether the name stands for nothing that could have records.
    pub fn is_bare(&self) -> bool {
        match self {
            Hit::Branch => true,
            Hit::Service(selection) => selection
                .definition()
                .is_some_and(|d| matches!(&d.backing, Backing::Addresses(addresses) if addresses.len() == 0)),
            Hit::NameServers | Hit::Endpoints(..) | Hit::Pod(..) => false,
        }
    }
}

/// The name does not exist.
pub struct NoSuchName;

/// A name with the zone it is in.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The name, in lower case.
    pub name: NameRef<'a>,
    /// The zone.
    pub zone: &'a Zone,
    /// Where the zone begins in the name.
    pub offset: usize,
    /// The zone in the client's letters.
    pub letters: NameRef<'a>,
}

impl<'a> Asked<'a> {
    /// Whether the version of the naming scheme is asked for.
    pub fn is_version(&self) -> bool {
        self.labels() == b"\x0bdns-version"
    }

    /// Whether the zone's name servers are asked for. CoreDNS knows them only where the client wrote the zone in lower case (spec 7.2).
    fn is_name_servers(&self) -> bool {
        self.labels() == b"\x02ns\x03dns" && self.zone.name_servers && self.letters == self.zone.name.as_ref()
    }

    /// The labels in front of the zone.
    pub fn labels(&self) -> &'a [u8] {
        &self.name.as_bytes()[..self.offset]
    }
}

impl Kubernetes {
    /// What a name stands for where addresses, services or names of any kind are asked for.
    pub(super) fn find<'a>(&'a self, asked: &Asked<'a>) -> Result<Hit<'a>, NoSuchName> {
        if asked.is_name_servers() {
            return Ok(Hit::NameServers);
        }
        self.find_record(asked)
    }

    /// The same but for the name servers, which the types TXT and PTR do not know.
    pub(super) fn find_record<'a>(&'a self, asked: &Asked<'a>) -> Result<Hit<'a>, NoSuchName> {
        let node = Node::read(asked.labels(), self.grammar(asked.zone));
        if asked.zone.has_reverse_names && !matches!(node, Node::Branch) && crate::zones::is_reverse(asked.name) {
            return Err(NoSuchName);
        }
        match node {
            Node::Branch => Ok(Hit::Branch),
            Node::Nothing => Err(NoSuchName),
            Node::Namespace(tree, label) => self.find_namespace(tree, label),
            Node::Service { owner, below } => self.find_service(asked, owner, below),
            Node::Zonal(zonal) => self.find_zonal(asked, zonal),
            Node::Pod { pod, namespace } => self.find_pod(pod, namespace),
        }
    }

    fn find_namespace<'a>(&self, tree: Tree, label: &[u8]) -> Result<Hit<'a>, NoSuchName> {
        let served = tree == Tree::Services || self.rules.pods != Pods::Disabled;
        let exposed = served && self.rules.lists(label) && self.index().namespace_exists(label);
        if exposed { Ok(Hit::Branch) } else { Err(NoSuchName) }
    }

    fn find_service<'a>(&'a self, asked: &Asked<'a>, owner: &'a [u8], below: Below<'a>) -> Result<Hit<'a>, NoSuchName> {
        let mut selection = self.select(asked.zone, owner)?;
        let index = selection.index;
        let definition = selection.definition().ok_or(NoSuchName)?;
        let external = match definition.backing {
            Backing::Nothing => return Err(NoSuchName),
            Backing::Name(_, NameKind::External) => true,
            Backing::Name(_, NameKind::InPlaceOfAddress) | Backing::Addresses(_) => {
                if self.rules.ignore_empty && !selection.has_endpoints() {
                    return Err(NoSuchName);
                }
                false
            }
            Backing::Headless => false,
        };
        let ports = match below {
            Below::Ports(ports) => ports,
            Below::Endpoint(host) => {
                let endpoints = if external { Endpoints::default() } else { index.endpoints(host) };
                return if endpoints.is_empty() { Err(NoSuchName) } else { Ok(Hit::Endpoints(endpoints)) };
            }
        };
        let headless = matches!(definition.backing, Backing::Headless);
        let defined = if external { ports.are_any() } else { ports.are_in(&definition.ports) };
        // An import has a name for its ports only (spec 8). Elsewhere nobody looks at the ports for a name without: they stand apart.
        let has_name = !asked.zone.multicluster || !definition.ports.is_empty();
        selection.ports = ports;
        let known = if headless { selection.has_endpoints() } else { defined && has_name };
        if known { Ok(Hit::Service(selection)) } else { Err(NoSuchName) }
    }

    /// Endpoints of a headless service in a zone. That such a name exists does not depend on whether there are any.
    fn find_zonal<'a>(&'a self, asked: &Asked<'a>, zonal: Zonal<'a>) -> Result<Hit<'a>, NoSuchName> {
        let mut selection = self.select(asked.zone, zonal.owner)?;
        if !selection.definition().is_some_and(|d| matches!(d.backing, Backing::Headless)) {
            return Err(NoSuchName);
        }
        selection.zone = Some(zonal.zone);
        if zonal.prefer && !selection.has_endpoints() {
            selection.zone = None;
        }
        Ok(Hit::Service(selection))
    }

    /// All of a service that is answered for.
    fn select<'a>(&'a self, zone: &Zone, owner: &[u8]) -> Result<Selection<'a>, NoSuchName> {
        let index = self.services_of(zone);
        let service = index.service(owner).filter(|s| self.exposes(&s.namespace)).ok_or(NoSuchName)?;
        Ok(Selection { index, service, ports: Ports::ANY, zone: None })
    }

    /// How the labels in front of a zone are to be read.
    fn grammar(&self, zone: &Zone) -> Grammar {
        match (zone.multicluster, self.rules.zonal) {
            (true, _) => Grammar::Multicluster,
            (false, true) => Grammar::Zonal,
            (false, false) => Grammar::Plain,
        }
    }

    fn find_pod<'a>(&self, pod: &'a [u8], namespace: &[u8]) -> Result<Hit<'a>, NoSuchName> {
        if self.rules.pods == Pods::Disabled || !self.rules.lists(namespace) {
            return Err(NoSuchName);
        }
        let label = &pod[1..pod.len() - namespace.len()];
        let mut text = [0; 63];
        let text = decode(label, &mut text);
        let address: IpAddr = text.parse().map_err(|_| NoSuchName)?;
        let known = match self.rules.pods {
            Pods::Disabled => false,
            Pods::Insecure => self.index().namespace_exists(namespace),
            Pods::Verified => {
                let canonical = AddressText::default().write(address) == text.as_bytes();
                let found = self.index().pod_address(address.to_canonical(), |pod| {
                    let written = pod.odd.as_ref().map_or(canonical, |odd| **odd == *text.as_bytes());
                    let here = pod.namespace.exists() && pod.namespace.label.eq_ignore_ascii_case(namespace);
                    (written && here).then_some(())
                });
                found.is_some()
            }
        };
        if known { Ok(Hit::Pod(pod, address.to_canonical())) } else { Err(NoSuchName) }
    }

    /// Whether names of a namespace are answered; of those that imports are in, the cluster itself knows which exist.
    pub(crate) fn exposes(&self, namespace: &Namespace) -> bool {
        let exists = namespace.exists() || self.index().namespace_exists(&namespace.label);
        exists && self.rules.lists(&namespace.label)
    }
}

impl Hit<'_> {
    /// The other name that the name leads to, if it does.
    pub fn leads_to(&self) -> Option<Name> {
        match self {
            Hit::Service(selection) => selection.leads_to(),
            Hit::Endpoints(endpoints) => endpoints.iter().find_map(|(slice, entry)| {
                let number = entry.checked_sub(slice.addresses.len())?;
                owned(slice.names.get(number)?)
            }),
            Hit::Branch | Hit::NameServers | Hit::Pod(..) => None,
        }
    }
}

/// The address that a pod's label stands for, as text (spec 6); empty where it stands for none: a dot inside of a label is
/// none between them.
fn decode<'a>(label: &[u8], space: &'a mut [u8; 63]) -> &'a str {
    if label.contains(&b'.') {
        return "";
    }
    let double = label.windows(2).any(|w| w == b"--");
    let dotted = !double && label.iter().filter(|&&b| b == b'-').count() == 3;
    let text = &mut space[..label.len()];
    for (to, from) in text.iter_mut().zip(label) {
        *to = match from {
            b'-' if dotted => b'.',
            b'-' => b':',
            other => *other,
        };
    }
    std::str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_pods_are_addresses() {
        for (label, text) in [
            ("10-244-0-1", "10.244.0.1"),
            ("fd00--1", "fd00::1"),
            ("--1-2", "::1:2"),
            ("1-2-3", "1:2:3"),
            ("a", "a"),
            ("1-2-3-4-5", "1:2:3:4:5"),
            ("10.244-0-1", ""),
        ] {
            assert_eq!(decode(label.as_bytes(), &mut [0; 63]), text);
        }
    }
}
