//! What the index holds: services, slices of endpoints, pods and namespaces, each as small as answers allow.

use super::addresses::{Addresses, HostSpace};
use super::labels::LabelSet;
use api::name::same_letters;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known under one service name: the Service, its slices, or both. Either may come first.
///
/// What a look-up reads stands in front, and in the value itself where it is as short as mostly: every pointer that is followed costs
/// a read from memory.
#[repr(C)]
pub struct Service {
    /// Service and namespace as two wire labels, in the API's letters.
    pub owner: SmallVec<[u8; 40]>,
    /// The namespace it is in.
    pub namespace: Arc<Namespace>,
    /// What the Service object says; `None` while only slices are known.
    pub definition: Option<Definition>,
    /// Slots of its slices.
    pub slices: SmallVec<[u32; 4]>,
    /// Whether one address may stand in more than one of the slices.
    pub overlap: bool,
}

/// What a Service object says.
#[derive(PartialEq, Clone)]
pub struct Definition {
    /// Where its name leads.
    pub backing: Backing,
    /// In the API's order.
    pub ports: Arc<[Port]>,
}

/// Where the name of a service leads.
#[derive(PartialEq, Clone)]
pub enum Backing {
    /// To its cluster addresses.
    Addresses(Addresses),
    /// To its endpoints.
    Headless,
    /// To another name, in wire form: ExternalName, or (the root) a service without an address yet.
    Name(Box<[u8]>, NameKind),
    /// Nowhere: an ExternalName that is an address.
    Nothing,
}

/// Which rules a name as backing follows.
#[derive(PartialEq, Clone, Copy)]
pub enum NameKind {
    /// `type: ExternalName`: it has no ports and no endpoints.
    External,
    /// The root, where a cluster address should stand that there is none of yet.
    InPlaceOfAddress,
}

/// A named port; lists of ports are shared by all that have the same.
#[derive(PartialEq, Eq, Hash)]
pub struct Port {
    /// May be empty.
    pub name: Box<[u8]>,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: Box<[u8]>,
    /// A port without number is no target of an SRV record.
    pub number: Option<u16>,
}

/// One EndpointSlice: its ready endpoints, one entry for each address.
///
/// Entries are numbered: first those with IPv4, then those with IPv6 addresses, then those with names.
#[derive(PartialEq)]
pub struct Slice {
    /// The name of the object.
    pub name: Box<[u8]>,
    /// What names of its endpoints end in: the labels of the cluster that it was imported from, if it was, and those of
    /// [`Service::owner`].
    pub owner: Box<[u8]>,
    /// Octets of the cluster's labels in `owner`.
    cluster: u8,
    /// The namespace it is in.
    pub namespace: Arc<Namespace>,
    /// Of every entry.
    pub ports: Arc<[Port]>,
    /// Of the entries.
    pub addresses: Addresses,
    /// Names in wire form that stand where addresses should be (address type FQDN).
    pub names: Box<[Box<[u8]>]>,
    /// Whether an address stands in it twice.
    pub repeats: bool,
    hosts: Option<Box<Hosts>>,
    /// Where the entries are; kept only where zones have names.
    zones: Option<Box<Zones>>,
}

/// Host labels that do not follow from the address.
#[derive(PartialEq)]
struct Hosts {
    /// For each entry a short hash of its lower-case label, 0 for one that follows from the address.
    tags: Box<[u16]>,
    /// For each entry the end of its wire labels in `labels`.
    ends: Box<[u32]>,
    labels: Box<[u8]>,
}

/// The zones of the cluster that entries are in.
#[derive(PartialEq)]
struct Zones {
    /// Each once, shared with other slices.
    names: Box<[Arc<[u8]>]>,
    /// For each entry the number of its zone in `names`, counted from 1; 0 for none.
    numbers: Box<[u16]>,
}

/// A pod that has an address.
#[derive(PartialEq)]
pub struct Pod {
    /// The name of the object.
    pub name: Box<[u8]>,
    /// The namespace it is in.
    pub namespace: Arc<Namespace>,
    /// The primary address.
    pub address: IpAddr,
    /// How the API writes it, where that is not the canonical form: names of pods are compared as text.
    pub odd: Option<Box<[u8]>>,
    /// Those of its labels that are kept; shared with all pods that have the same.
    pub labels: Option<Arc<LabelSet>>,
}

/// A namespace that something is in, or that exists.
pub struct Namespace {
    /// Its wire label, in the API's letters.
    pub label: Box<[u8]>,
    exists: AtomicBool,
}

/// What a slice is made of; see the fields of [`Slice`].
pub struct SliceParts<'a> {
    pub name: &'a [u8],
    pub cluster: &'a [u8],
    pub service: &'a [u8],
    pub namespace: Arc<Namespace>,
    pub ports: Arc<[Port]>,
    pub v4: Vec<([u8; 4], bool, Labels)>,
    pub v6: Vec<([u8; 16], bool, Labels)>,
    pub names: Vec<(Box<[u8]>, Labels)>,
}

/// What an entry is called, apart from its address; in wire form.
pub struct Labels {
    /// The host label, empty where it follows from the address.
    pub host: Vec<u8>,
    /// The lower-case labels of the zone that it is in, where that is kept.
    pub zone: Option<Arc<[u8]>>,
}

impl Slice {
    /// Packs the parts.
    pub fn new(parts: SliceParts<'_>) -> Self {
        let v4: Vec<_> = parts.v4.iter().map(|e| (e.0, e.1)).collect();
        let v6: Vec<_> = parts.v6.iter().map(|e| (e.0, e.1)).collect();
        let addresses = Addresses::new(&v4, &v6);
        let labels = parts.v4.iter().map(|e| &e.2).chain(parts.v6.iter().map(|e| &e.2));
        let labels = labels.chain(parts.names.iter().map(|e| &e.1));
        Slice {
            name: parts.name.into(),
            owner: [parts.cluster, parts.service].concat().into(),
            cluster: parts.cluster.len() as u8,
            namespace: parts.namespace,
            ports: parts.ports,
            repeats: addresses.repeats(),
            addresses,
            hosts: Hosts::pack(labels.clone().map(|l| &l.host)),
            zones: Zones::pack(labels.map(|l| l.zone.as_ref())),
            names: parts.names.into_iter().map(|e| e.0).collect(),
        }
    }

    /// The labels of its service and namespace; empty where it belongs to no service.
    pub fn service(&self) -> &[u8] {
        &self.owner[usize::from(self.cluster)..]
    }

    /// The labels of the cluster that it was imported from.
    pub fn cluster(&self) -> &[u8] {
        &self.owner[..usize::from(self.cluster)]
    }

    /// Whether the cluster that it was imported from is known.
    pub fn has_cluster(&self) -> bool {
        self.cluster > 0
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.addresses.len() + self.names.len()
    }

    /// The host label of an entry: one wire label, or several where a host name has a dot in it.
    pub fn host<'a>(&'a self, entry: usize, space: &'a mut HostSpace) -> &'a [u8] {
        match (self.written_host(entry), self.addresses.get(entry)) {
            ([], Some(address)) => space.write(address),
            (written, _) => written,
        }
    }

    /// The entries whose host is `label`, a lower-case wire label, by itself and not because of their address.
    pub fn entries_called(&self, label: &[u8]) -> impl Iterator<Item = usize> {
        let tag = host_tag(label);
        let hosts = self.hosts.as_deref().map_or(&[][..], |hosts| &hosts.tags);
        let alike = hosts.iter().enumerate().filter(move |&(_, &t)| t == tag).map(|(entry, _)| entry);
        alike.filter(move |&e| same_letters(self.written_host(e), label))
    }

    /// The entries whose host follows from this address.
    pub fn entries_called_after(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        self.entries_at(address).filter(|&e| self.written_host(e).is_empty())
    }

    /// The entries that can be found by this address.
    pub fn entries_at(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        self.addresses.find(address)
    }

    /// The labels of the zone that an entry is in, if that is known.
    pub fn zone(&self, entry: usize) -> Option<&[u8]> {
        let zones = self.zones.as_ref()?;
        zones.names.get(usize::from(*zones.numbers.get(entry)?).checked_sub(1)?).map(|name| &**name)
    }

    /// The entry's host where it does not follow from the address, else nothing.
    pub fn written_host(&self, entry: usize) -> &[u8] {
        let Some(hosts) = &self.hosts else { return &[] };
        let start = if entry == 0 { 0 } else { hosts.ends[entry - 1] };
        &hosts.labels[start as usize..hosts.ends[entry] as usize]
    }
}

impl Hosts {
    fn pack<'a>(hosts: impl Iterator<Item = &'a Vec<u8>> + Clone) -> Option<Box<Hosts>> {
        hosts.clone().any(|h| !h.is_empty()).then(|| {
            let mut labels = Vec::new();
            let tags = hosts.clone().map(|h| if h.is_empty() { 0 } else { host_tag(h) }).collect();
            let ends = hosts.map(|h| {
                labels.extend_from_slice(h);
                labels.len() as u32
            });
            let ends = ends.collect();
            Box::new(Hosts { tags, ends, labels: labels.into() })
        })
    }
}

impl Zones {
    fn pack<'a>(zones: impl Iterator<Item = Option<&'a Arc<[u8]>>>) -> Option<Box<Zones>> {
        let mut names: Vec<Arc<[u8]>> = Vec::new();
        let mut number = |zone: &Arc<[u8]>| {
            let known = names.iter().position(|name| name == zone);
            let at = known.unwrap_or_else(|| {
                names.push(zone.clone());
                names.len() - 1
            });
            u16::try_from(at + 1).unwrap_or(0)
        };
        let numbers: Box<[u16]> = zones.map(|zone| zone.map_or(0, &mut number)).collect();
        (!names.is_empty()).then(|| Box::new(Zones { names: names.into(), numbers }))
    }
}

impl Namespace {
    /// A namespace of which only the name is known.
    pub fn new(label: &[u8]) -> Self {
        Namespace { label: label.into(), exists: AtomicBool::new(false) }
    }

    /// Whether its object is there.
    pub fn exists(&self) -> bool {
        self.exists.load(Ordering::Acquire)
    }

    /// Notes whether its object is there.
    pub fn set_exists(&self, exists: bool) {
        self.exists.store(exists, Ordering::Release);
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Namespace) -> bool {
        self.label == other.label
    }
}

/// The first label of a name in wire form, with its length octet.
pub fn first_label(wire: &[u8]) -> &[u8] {
    wire.first().and_then(|&len| wire.get(..=len as usize)).unwrap_or_default()
}

/// A short hash of a label, whatever its letters' case; never 0. It is one of the end, where hosts of a service differ: hashing all of a
/// label costs more than all else that a look-up does.
pub fn host_tag(label: &[u8]) -> u16 {
    let end = match label.last_chunk() {
        Some(end) => u64::from_be_bytes(*end),
        None => label.iter().fold(0, |end, &octet| end << 8 | u64::from(octet)),
    };
    // The bit that letters of either case differ in.
    let folded = end | u64::from_ne_bytes([b' '; 8]);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1
}
