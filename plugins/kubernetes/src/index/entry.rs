//! What the index holds: services, slices of endpoints, pods and namespaces, each as small as answers allow.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known under one service name: the Service, its slices, or both. Either may come first.
pub struct Service {
    /// Service and namespace as two wire labels, in the API's letters.
    pub owner: Box<[u8]>,
    /// The namespace it is in.
    pub namespace: Arc<Namespace>,
    /// What the Service object says; `None` while only slices are known.
    pub definition: Option<Definition>,
    /// Slots of its slices.
    pub slices: Box<[u32]>,
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
    /// The text that stands where a cluster address should be.
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

/// IPv4 and IPv6 addresses, 4 and 16 octets each, each family in its original order.
#[derive(PartialEq, Default, Clone)]
pub struct Addresses {
    octets: Box<[u8]>,
    v4: u32,
    /// Numbers of those that the API does not write in the canonical form: nobody finds them by address.
    odd: Option<Box<[u32]>>,
}

/// One EndpointSlice: its ready endpoints, one entry for each address.
///
/// Entries are numbered: first those with IPv4, then those with IPv6 addresses, then those with names.
#[derive(PartialEq)]
pub struct Slice {
    /// The name of the object.
    pub name: Box<[u8]>,
    /// As of [`Service::owner`].
    pub owner: Box<[u8]>,
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
}

/// A namespace that something is in, or that exists.
pub struct Namespace {
    /// Its wire label, in the API's letters.
    pub label: Box<[u8]>,
    exists: AtomicBool,
}

impl Addresses {
    /// Keeps the addresses in their order, each with whether its text is not canonical.
    pub fn new(v4: &[([u8; 4], bool)], v6: &[([u8; 16], bool)]) -> Self {
        let octets = v4.iter().flat_map(|a| a.0).chain(v6.iter().flat_map(|a| a.0)).collect();
        let odd = v4.iter().map(|a| a.1).chain(v6.iter().map(|a| a.1)).enumerate().filter(|(_, odd)| *odd);
        let odd: Box<[u32]> = odd.map(|(number, _)| number as u32).collect();
        Addresses { octets, v4: v4.len() as u32, odd: (!odd.is_empty()).then_some(odd) }
    }

    /// IPv4 addresses.
    pub fn v4(&self) -> &[[u8; 4]] {
        self.octets[..self.v4 as usize * 4].as_chunks().0
    }

    /// IPv6 addresses.
    pub fn v6(&self) -> &[[u8; 16]] {
        self.octets[self.v4 as usize * 4..].as_chunks().0
    }

    /// How many of both.
    pub fn len(&self) -> usize {
        self.v4().len() + self.v6().len()
    }

    /// Those that can be found by address.
    pub fn canonical(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.len()).filter(|&n| !self.is_odd(n)).filter_map(|n| self.get(n))
    }

    /// The numbers, IPv4 first, under which `address` can be found.
    pub fn find(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        let v4 = address_v4(address).into_iter().flat_map(|a| positions(self.v4(), a));
        let v6 = address_v6(address).into_iter().flat_map(|a| positions(self.v6(), a));
        v4.chain(v6.map(|n| n + self.v4().len())).filter(|&n| !self.is_odd(n))
    }

    /// All, IPv4 first, each once.
    pub fn distinct(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.len()).filter(|&n| !self.repeated(n)).filter_map(|n| self.get(n))
    }

    /// Whether the address with this number stands under a lower number as well.
    pub fn repeated(&self, number: usize) -> bool {
        let (v4, v6) = (self.v4(), self.v6());
        match number.checked_sub(v4.len()) {
            None => v4[..number].contains(&v4[number]),
            Some(number) => v6.get(number).is_some_and(|a| v6[..number].contains(a)),
        }
    }

    /// Whether `address` is one of them, however it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4().contains(&a.octets()),
            IpAddr::V6(a) => self.v6().contains(&a.octets()),
        }
    }

    /// The address with this number, IPv4 first.
    pub fn get(&self, number: usize) -> Option<IpAddr> {
        let (v4, v6) = (self.v4(), self.v6());
        match v4.get(number) {
            Some(&a) => Some(IpAddr::V4(Ipv4Addr::from(a))),
            None => v6.get(number - v4.len()).map(|&a| IpAddr::V6(Ipv6Addr::from(a))),
        }
    }

    fn is_odd(&self, number: usize) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.binary_search(&(number as u32)).is_ok())
    }

    fn repeats(&self) -> bool {
        repeats(self.v4().to_vec()) || repeats(self.v6().to_vec())
    }
}

/// What a slice is made of; see the fields of [`Slice`].
pub struct SliceParts<'a> {
    pub name: &'a [u8],
    pub owner: &'a [u8],
    pub namespace: Arc<Namespace>,
    pub ports: Arc<[Port]>,
    pub v4: Vec<([u8; 4], bool, Host)>,
    pub v6: Vec<([u8; 16], bool, Host)>,
    pub names: Vec<(Box<[u8]>, Host)>,
}

/// The host label of an entry in wire form, empty where it follows from the address.
pub type Host = Vec<u8>;

impl Slice {
    /// Packs the parts.
    pub fn new(parts: SliceParts<'_>) -> Self {
        let v4: Vec<_> = parts.v4.iter().map(|e| (e.0, e.1)).collect();
        let v6: Vec<_> = parts.v6.iter().map(|e| (e.0, e.1)).collect();
        let addresses = Addresses::new(&v4, &v6);
        let hosts = parts.v4.iter().map(|e| &e.2).chain(parts.v6.iter().map(|e| &e.2));
        Slice {
            name: parts.name.into(),
            owner: parts.owner.into(),
            namespace: parts.namespace,
            ports: parts.ports,
            repeats: addresses.repeats(),
            addresses,
            hosts: Hosts::pack(hosts.chain(parts.names.iter().map(|e| &e.1))),
            names: parts.names.into_iter().map(|e| e.0).collect(),
        }
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

    /// The entries whose host is `label`, a lower-case wire label.
    pub fn entries_of(&self, label: &[u8]) -> impl Iterator<Item = usize> {
        let tag = host_tag(label);
        let written = self.hosts.as_deref().into_iter().flat_map(move |hosts| {
            hosts.tags.iter().enumerate().filter(move |&(_, &t)| t == tag).map(|(entry, _)| entry)
        });
        let written = written.filter(move |&e| self.written_host(e).eq_ignore_ascii_case(label));
        let address = address_of_host(label);
        let derived = address.into_iter().flat_map(|a| self.entries_at(a));
        written.chain(derived.filter(|&e| self.written_host(e).is_empty()))
    }

    /// The entries that can be found by this address.
    pub fn entries_at(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        self.addresses.find(address)
    }

    /// The entry's host where it does not follow from the address, else nothing.
    pub fn written_host(&self, entry: usize) -> &[u8] {
        let Some(hosts) = &self.hosts else { return &[] };
        let start = if entry == 0 { 0 } else { hosts.ends[entry - 1] };
        &hosts.labels[start as usize..hosts.ends[entry] as usize]
    }
}

impl Hosts {
    fn pack<'a>(hosts: impl Iterator<Item = &'a Host> + Clone) -> Option<Box<Hosts>> {
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

/// Where the host label of an address is written.
#[derive(Default)]
pub struct HostSpace(AddressText);

impl HostSpace {
    /// The wire label that stands for an address (spec 4): its text with `-` for `.` and `:`, and a final `0` where
    /// it would end in `-`.
    pub fn write(&mut self, address: IpAddr) -> &[u8] {
        self.0.len = 1;
        self.0.append(address);
        let AddressText { octets, len } = &mut self.0;
        for octet in octets[1..*len].iter_mut().filter(|o| matches!(**o, b'.' | b':')) {
            *octet = b'-';
        }
        if octets[*len - 1] == b'-' {
            octets[*len] = b'0';
            *len += 1;
        }
        octets[0] = (*len - 1) as u8;
        &octets[..*len]
    }
}

/// An address as text, without an allocation.
pub struct AddressText {
    octets: [u8; 48],
    len: usize,
}

impl Default for AddressText {
    fn default() -> Self {
        AddressText { octets: [0; 48], len: 0 }
    }
}

impl AddressText {
    /// The canonical form, as Go and Rust both print it.
    pub fn write(&mut self, address: IpAddr) -> &[u8] {
        self.len = 0;
        self.append(address);
        &self.octets[..self.len]
    }

    fn append(&mut self, address: IpAddr) {
        write!(self, "{address}").expect("no address is longer than 45 octets");
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let space = self.octets.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// The address whose host label this is, if it is one.
pub fn address_of_host(label: &[u8]) -> Option<IpAddr> {
    let text = label.get(1..).filter(|t| t.len() <= 45)?;
    let mut octets = [0; 45];
    let octets = &mut octets[..text.len()];
    octets.copy_from_slice(text);
    let mut read_as = |sign| {
        for (to, from) in octets.iter_mut().zip(text) {
            *to = if *from == b'-' { sign } else { *from };
        }
        std::str::from_utf8(octets).ok()?.parse::<IpAddr>().ok()
    };
    let address = read_as(b'.').or_else(|| read_as(b':'))?;
    (HostSpace::default().write(address) == label).then_some(address)
}

/// The first label of a name in wire form, with its length octet.
pub fn first_label(wire: &[u8]) -> &[u8] {
    wire.first().and_then(|&len| wire.get(..=len as usize)).unwrap_or_default()
}

fn address_v4(address: IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(a) => Some(a.octets()),
        IpAddr::V6(_) => None,
    }
}

fn address_v6(address: IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(a) => Some(a.octets()),
    }
}

fn positions<T: PartialEq>(all: &[T], one: T) -> impl Iterator<Item = usize> {
    all.iter().enumerate().filter(move |(_, a)| **a == one).map(|(at, _)| at)
}

fn repeats<T: Ord>(mut all: Vec<T>) -> bool {
    all.sort_unstable();
    all.windows(2).any(|w| w[0] == w[1])
}

/// A short hash of a label, whatever its letters' case; never 0.
fn host_tag(label: &[u8]) -> u16 {
    let hash = label.iter().fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(b.to_ascii_lowercase().into()));
    (hash ^ (hash >> 16)) as u16 | 1
}
