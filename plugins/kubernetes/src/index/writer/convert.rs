//! From the API's objects to what the index keeps. What makes no sense is left out and counted, never guessed.

use super::{Writer, no_label};
use crate::index::addresses::{AddressText, Addresses};
use crate::index::entry::{Backing, Definition, Labels, NameKind, Port, Slice, SliceParts};
use crate::objects;
use std::net::IpAddr;
use std::sync::Arc;

impl Writer {
    /// Service and namespace as wire labels.
    pub(super) fn owner(&mut self, object: &objects::Metadata<'_>) -> Option<Vec<u8>> {
        let (service, namespace) = (&*object.name, &*object.namespace);
        let owner = label(service).zip(label(namespace)).map(|(s, n)| [s, n].concat());
        if owner.is_none() {
            self.remark(no_label("metadata.name", &format!("{namespace}/{service}")));
        }
        owner
    }

    /// What a ServiceImport's `spec` says.
    pub(super) fn import(&mut self, spec: &objects::ImportSpec<'_>) -> Definition {
        let ports = self.service_ports(&spec.ports);
        if &*spec.kind == "Headless" {
            return Definition { backing: Backing::Headless, ports };
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for text in &spec.ips {
            match address(text) {
                Some((IpAddr::V4(a), odd)) => v4.push((a.octets(), odd)),
                Some((IpAddr::V6(a), odd)) => v6.push((a.octets(), odd)),
                None => self.remark(format!("spec.ips: {text:?} is no address")),
            }
        }
        Definition { backing: Backing::Addresses(Addresses::new(&v4, &v6)), ports }
    }

    /// What a Service's `spec` says.
    pub(super) fn definition(&mut self, spec: &objects::ServiceSpec<'_>) -> Definition {
        let backing = if &*spec.kind == "ExternalName" {
            self.external_name(&spec.external_name)
        } else {
            self.cluster_ips(spec)
        };
        Definition { backing, ports: self.service_ports(&spec.ports) }
    }

    fn external_name(&mut self, target: &str) -> Backing {
        if target.parse::<IpAddr>().is_ok() {
            return Backing::Nothing;
        }
        match wire_name(target) {
            Some(name) => Backing::Name(name.into(), NameKind::External),
            None => {
                self.remark(format!("spec.externalName: {target:?} is no domain name"));
                Backing::Nothing
            }
        }
    }

    fn cluster_ips(&mut self, spec: &objects::ServiceSpec<'_>) -> Backing {
        let alone = std::slice::from_ref(&spec.cluster_ip);
        let (texts, field) = match spec.cluster_ips.as_slice() {
            [] => (alone, "clusterIP"),
            all => (all, "clusterIPs"),
        };
        if &*texts[0] == "None" {
            return Backing::Headless;
        }
        let (mut v4, mut v6, mut pending) = (Vec::new(), Vec::new(), false);
        for text in texts {
            match address(text) {
                Some((IpAddr::V4(a), odd)) => v4.push((a.octets(), odd)),
                Some((IpAddr::V6(a), odd)) => v6.push((a.octets(), odd)),
                None if text.is_empty() => pending = true,
                None => self.remark(format!("spec.{field}: {text:?} is no address")),
            }
        }
        match (v4.is_empty() && v6.is_empty(), pending) {
            (false, _) => Backing::Addresses(Addresses::new(&v4, &v6)),
            (true, true) => Backing::Name(ROOT.into(), NameKind::InPlaceOfAddress),
            (true, false) => Backing::Nothing,
        }
    }

    /// The ports of a service, which have numbers other than those of endpoints.
    fn service_ports(&mut self, ports: &[objects::Port<'_>]) -> Arc<[Port]> {
        for port in ports.iter().filter(|port| port.port.is_none()) {
            self.remark(format!("spec.ports: {:?} has no number", &*port.name));
        }
        self.ports(ports)
    }

    /// The list of ports, shared with all objects that have the same.
    fn ports(&mut self, ports: &[objects::Port<'_>]) -> Arc<[Port]> {
        let ports: Vec<Port> = ports.iter().map(|p| self.port(p)).collect();
        if let Some(known) = self.ports.get(&*ports) {
            return known.clone();
        }
        if self.ports.len() >= PORT_LISTS {
            self.ports.retain(|p| Arc::strong_count(p) > 1);
        }
        let ports: Arc<[Port]> = ports.into();
        if self.ports.len() < PORT_LISTS {
            self.ports.insert(ports.clone());
        }
        ports
    }

    fn port(&mut self, port: &objects::Port<'_>) -> Port {
        let number = port.port.and_then(|n| u16::try_from(n).ok());
        if let (None, Some(number)) = (number, port.port) {
            self.remark(format!("ports: {number} is no port"));
        }
        let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        Port { name: port.name.as_bytes().into(), protocol: protocol.as_bytes().into(), number }
    }

    /// The ready endpoints of a slice.
    pub(super) fn slice(&mut self, object: &objects::EndpointSlice<'_>) -> Option<Slice> {
        let metadata = &object.metadata;
        let Some(namespace) = label(&metadata.namespace) else {
            self.remark(no_label("metadata.namespace", &metadata.namespace));
            return None;
        };
        // A slice that belongs to no service is kept without one: it is the object of nothing but the serial.
        let (service, cluster) = match self.cluster {
            None => (&metadata.labels.service, ""),
            Some(_) => (&metadata.labels.imported_service, &*metadata.labels.source_cluster),
        };
        let service = label(service).map(|s| [&*s, &namespace].concat()).unwrap_or_default();
        let cluster = self.source_cluster(cluster)?;
        let (_, namespace) = self.namespace(&namespace)?;
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let ready = object.endpoints.iter().filter(|e| e.conditions.ready.unwrap_or(true));
        for (endpoint, text) in ready.flat_map(|e| e.addresses.iter().map(move |a| (e, a))) {
            match address(text) {
                Some((IpAddr::V4(a), odd)) => v4.push((a.octets(), odd, self.labels(endpoint, text, odd))),
                Some((IpAddr::V6(a), odd)) => v6.push((a.octets(), odd, self.labels(endpoint, text, odd))),
                None => match wire_name(text).filter(|_| &*object.address_type == "FQDN") {
                    Some(name) => names.push((name.into(), self.labels(endpoint, text, true))),
                    None => self.remark(format!("endpoints: {text:?} is no address")),
                },
            }
        }
        let ports = self.ports(&object.ports);
        let name = metadata.name.as_bytes();
        Some(Slice::new(SliceParts { name, cluster: &cluster, service: &service, namespace, ports, v4, v6, names }))
    }

    /// The labels of a cluster: one, but where its name has a dot in it, and nothing for none.
    fn source_cluster(&mut self, cluster: &str) -> Option<Vec<u8>> {
        let labels = if cluster.is_empty() { Some(Vec::new()) } else { wire_labels(cluster) };
        if labels.is_none() {
            self.remark(no_label("multicluster.kubernetes.io/source-cluster", cluster));
        }
        labels
    }

    fn labels(&mut self, endpoint: &objects::Endpoint<'_>, address: &str, odd: bool) -> Labels {
        Labels { host: self.host(endpoint, address, odd), zone: self.zone(&endpoint.zone) }
    }

    /// The labels of a zone, shared with all endpoints in it.
    fn zone(&mut self, zone: &str) -> Option<Arc<[u8]>> {
        if !self.options.zones || zone.is_empty() {
            return None;
        }
        let Some(labels) = wire_labels(&zone.to_lowercase()) else {
            self.remark(format!("endpoints: zone: {zone:?} is no domain name"));
            return None;
        };
        if let Some(known) = self.zones.get(&*labels) {
            return Some(known.clone());
        }
        let zone: Arc<[u8]> = labels.into();
        if self.zones.len() < ZONES {
            self.zones.insert(zone.clone());
        }
        Some(zone)
    }

    /// The host label of an endpoint's address (spec 4), empty where it follows from the address.
    fn host(&mut self, endpoint: &objects::Endpoint<'_>, address: &str, odd: bool) -> Vec<u8> {
        let pod = Some(&endpoint.target_ref.name).filter(|name| self.options.pod_names && name.len() < 64);
        for name in [Some(&endpoint.hostname), pod].into_iter().flatten().filter(|name| !name.is_empty()) {
            match wire_labels(name) {
                Some(labels) => return labels,
                None => self.remark(no_label("endpoints: hostname", name)),
            }
        }
        if !odd {
            return Vec::new();
        }
        let mut text = address.replace(['.', ':'], "-");
        if text.ends_with('-') {
            text.push('0');
        }
        label(&text).unwrap_or_default()
    }
}

/// An address, and whether it is written otherwise than in the canonical form. A mapped IPv4 address is an IPv4 one.
pub(super) fn address(text: &str) -> Option<(IpAddr, bool)> {
    let address: IpAddr = text.parse().ok()?;
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let mut space = AddressText::default();
    Some((address, space.write(address) != text.as_bytes()))
}

/// A text as one wire label: 1 to 63 octets, no dot in it.
pub(super) fn label(text: &str) -> Option<Vec<u8>> {
    (!text.contains('.')).then(|| wire_labels(text))?
}

/// A text as wire labels, without the root.
fn wire_labels(text: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(text.len() + 1);
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    (wire.len() < 255).then_some(wire)
}

/// A domain name in wire form; the empty text and `.` are the root.
pub(super) fn wire_name(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut wire = if text.is_empty() { Vec::new() } else { wire_labels(text)? };
    wire.push(0);
    Some(wire)
}

/// The root in wire form.
const ROOT: &[u8] = b"\0";
/// So many different names of zones are shared.
const ZONES: usize = 1000;
/// So many different lists of ports are shared; others are kept for each object.
const PORT_LISTS: usize = 10_000;
