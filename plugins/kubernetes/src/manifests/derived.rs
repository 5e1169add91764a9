//! Endpoints of services of which the manifests hold no EndpointSlice, as in `kubectl get services,pods -o yaml`.
//!
//! They are made as the controllers of a cluster make them: of the pods that a service selects (EndpointSlice controller), and
//! where there are no pods, of its v1 Endpoints object (which the controllers mirror). A service with any slice of its own
//! has what its slices say.

use super::documents::Document;
use super::problems::Problems;
use super::workload::{Endpoints, Node, Pod, Service, ServicePort, Subset, Target};
use crate::objects::{AllLabels, Conditions, Endpoint, EndpointSlice, Labels, Metadata, Port, TargetRef, Text};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

/// A slice that is derived, with the place of what it is derived from and the labels that it would have.
pub struct Derived<'a> {
    /// Its service, or its v1 Endpoints object.
    pub document: &'a Document,
    /// Labels of that object.
    pub labels: BTreeMap<String, String>,
    /// The slice.
    pub slice: EndpointSlice<'a>,
}

/// The slices that `documents` leave to be derived.
pub fn slices<'a>(documents: &'a [Document], problems: &mut Problems) -> Vec<Derived<'a>> {
    let mut found = Objects::default();
    for document in documents {
        if let Err(e) = found.take(document) {
            problems.of(document, &e);
        }
    }
    found.derive()
}

/// What slices are derived from.
#[derive(Default)]
struct Objects<'a> {
    services: Vec<(&'a Document, Service<'a>)>,
    pods: Vec<Pod<'a>>,
    endpoints: HashMap<(String, String), (&'a Document, Endpoints<'a>)>,
    /// Namespaces and names of services with slices.
    sliced: HashSet<(String, String)>,
    /// The zones of nodes.
    zones: HashMap<String, Text<'a>>,
}

impl<'a> Objects<'a> {
    fn take(&mut self, document: &'a Document) -> Result<(), String> {
        match document.kind().unwrap_or_default() {
            Some("Service") => self.services.push((document, document.placed()?)),
            Some("Pod") => self.pods.push(document.placed()?),
            Some("EndpointSlice") => {
                let EndpointSlice { metadata, .. } = document.placed()?;
                self.sliced.insert((metadata.namespace.to_string(), metadata.labels.service.to_string()));
            }
            Some("Endpoints") => {
                let endpoints: Endpoints<'_> = document.placed()?;
                self.endpoints.insert(endpoints.metadata.key(), (document, endpoints));
            }
            Some("Node") => {
                let Node { mut metadata } = document.read()?;
                if let Some(zone) = metadata.labels.remove(&Text::from(ZONE)) {
                    self.zones.insert(metadata.name.to_string(), zone);
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn derive(mut self) -> Vec<Derived<'a>> {
        let mut derived = Vec::new();
        let candidates = Candidates::of(&self.pods);
        for (document, service) in &self.services {
            let key = service.metadata.key();
            if &*service.spec.kind == "ExternalName" || self.sliced.contains(&key) {
                continue;
            }
            if !service.spec.selector.is_empty() && !self.pods.is_empty() {
                let pods = candidates.selected(service);
                derived.extend(of_pods(document, service, &pods, &self.zones));
            } else if let Some((document, endpoints)) = self.endpoints.remove(&key) {
                derived.extend(of_endpoints(document, service, endpoints));
            }
        }
        derived
    }
}

/// Pods by their labels: most services find theirs without looking at all.
struct Candidates<'p, 'a> {
    by_label: HashMap<[&'p str; 3], Vec<&'p Pod<'a>>>,
}

impl<'p, 'a> Candidates<'p, 'a> {
    fn of(pods: &'p [Pod<'a>]) -> Self {
        let mut by_label: HashMap<_, Vec<_>> = HashMap::new();
        for pod in pods {
            for (key, value) in &pod.metadata.labels {
                by_label.entry([&*pod.metadata.namespace, &**key, &**value]).or_default().push(pod);
            }
        }
        Candidates { by_label }
    }

    /// The pods that a service selects.
    fn selected(&self, service: &'p Service<'_>) -> Vec<&'p Pod<'a>> {
        let with = |(key, value): (&'p Text<'_>, &'p Text<'_>)| {
            self.by_label.get(&[&*service.metadata.namespace, &**key, &**value]).map_or(&[][..], |pods| pods)
        };
        let fewest = service.spec.selector.iter().map(with).min_by_key(|pods| pods.len()).unwrap_or_default();
        let all = |pod: &&&Pod<'_>| service.spec.selector.iter().all(|(k, v)| pod.metadata.labels.get(k) == Some(v));
        fewest.iter().filter(all).copied().collect()
    }
}

/// The slices of a service with these pods: for each family, and for each list of ports that some of the pods have.
fn of_pods<'a>(
    document: &'a Document,
    service: &Service<'a>,
    pods: &[&Pod<'a>],
    zones: &HashMap<String, Text<'a>>,
) -> Vec<Derived<'a>> {
    let mut slices = Vec::new();
    for family in service.families() {
        let mut by_ports: BTreeMap<Vec<PortKey<'_>>, Vec<Endpoint<'a>>> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| pod.counts()) {
            let endpoint = pod.endpoint(service, family, zones);
            if !endpoint.addresses.is_empty() {
                by_ports.entry(pod.ports(service)).or_default().push(endpoint);
            }
        }
        for (ports, mut endpoints) in by_ports {
            while !endpoints.is_empty() {
                let rest = endpoints.split_off(endpoints.len().min(SLICE));
                let name = format!("{}/{}", &*service.metadata.name, slices.len());
                let ports = ports.iter().cloned().map(PortKey::port).collect();
                let slice = slice(&service.metadata, name, endpoints, ports);
                slices.push(Derived { document, labels: owned(&service.metadata.labels), slice });
                endpoints = rest;
            }
        }
    }
    slices
}

/// The slices that mirror an Endpoints object.
fn of_endpoints<'a>(document: &'a Document, service: &Service<'a>, object: Endpoints<'a>) -> Vec<Derived<'a>> {
    let mirrored = |labels: &AllLabels<'_>| labels.get(&Text::from(SKIP_MIRROR)).is_none_or(|skip| &**skip != "true");
    if service.spec.selector.is_empty() && !mirrored(&object.metadata.labels) {
        return Vec::new();
    }
    let labels = owned(&object.metadata.labels);
    let derive = |(number, subset): (usize, Subset<'a>)| {
        let ready = subset.addresses.into_iter().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.into_iter().map(|address| (address, false)));
        let endpoints = all.map(|(address, ready)| Endpoint {
            addresses: vec![address.ip],
            conditions: Conditions { ready: Some(ready) },
            hostname: address.hostname,
            target_ref: address.target_ref,
            ..Endpoint::default()
        });
        let name = format!("{}/{number}", &*service.metadata.name);
        let slice = slice(&service.metadata, name, endpoints.collect(), subset.ports);
        Derived { document, labels: labels.clone(), slice }
    };
    object.subsets.into_iter().enumerate().map(derive).collect()
}

fn owned(labels: &AllLabels<'_>) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// A slice of a service. Its name has a slash in it, as no name of the API has.
fn slice<'a>(
    service: &Metadata<'a, AllLabels<'a>>,
    name: String,
    endpoints: Vec<Endpoint<'a>>,
    ports: Vec<Port<'a>>,
) -> EndpointSlice<'a> {
    let metadata = Metadata {
        name: name.into(),
        namespace: service.namespace.clone(),
        labels: Labels { service: service.name.clone(), ..Labels::default() },
        ..Metadata::default()
    };
    EndpointSlice { metadata, endpoints, ports, ..EndpointSlice::default() }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: &str) -> Option<Family> {
        let address: IpAddr = address.parse().ok()?;
        Some(if address.is_ipv4() { Family::V4 } else { Family::V6 })
    }
}

impl Service<'_> {
    /// The families that its endpoints may have; where none are named, that of its cluster address, or both.
    fn families(&self) -> Vec<Family> {
        let named = |text: &Text<'_>| match &**text {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        };
        let families: Vec<Family> = self.spec.ip_families.iter().filter_map(named).collect();
        match (families.is_empty(), Family::of(&self.spec.cluster_ip)) {
            (false, _) => families,
            (true, Some(family)) => vec![family],
            (true, None) => vec![Family::V4, Family::V6],
        }
    }
}

impl<'a> Pod<'a> {
    /// Whether it is one of the pods that have endpoints, ready or not.
    fn counts(&self) -> bool {
        !matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| &*c.kind == "Ready" && &*c.status == "True")
    }

    fn endpoint(&self, service: &Service<'_>, family: Family, zones: &HashMap<String, Text<'a>>) -> Endpoint<'a> {
        let terminating = !self.metadata.deletion_timestamp.is_empty();
        let ready = service.spec.publish_not_ready_addresses || (self.is_ready() && !terminating);
        let ips = self.status.pod_ips.iter().map(|p| &p.ip);
        let alone = self.status.pod_ips.is_empty().then_some(&self.status.pod_ip);
        let named = !self.spec.hostname.is_empty() && self.spec.subdomain == service.metadata.name;
        Endpoint {
            addresses: ips.chain(alone).filter(|ip| Family::of(ip) == Some(family)).cloned().collect(),
            conditions: Conditions { ready: Some(ready) },
            hostname: if named { self.spec.hostname.clone() } else { Text::default() },
            zone: zones.get(&*self.spec.node_name).cloned().unwrap_or_default(),
            target_ref: TargetRef { name: self.metadata.name.clone() },
        }
    }

    /// The ports of a service, as this pod has them; a named one that it lacks is left out.
    fn ports(&self, service: &Service<'a>) -> Vec<PortKey<'a>> {
        let number = |port: &ServicePort<'_>| match &port.target_port {
            None | Some(Target::Number(0)) => port.port,
            Some(Target::Number(number)) => Some(*number),
            Some(Target::Name(name)) if name.is_empty() => port.port,
            Some(Target::Name(name)) => self.container_port(name, protocol(&port.protocol)),
        };
        let ports = service.spec.ports.iter();
        ports.filter_map(|p| Some(PortKey((p.name.clone(), p.protocol.clone(), number(p)?)))).collect()
    }

    /// The port with this name of its containers, or of those that start before them and stay.
    fn container_port(&self, name: &str, wanted: &str) -> Option<i64> {
        let sidecars = self.spec.init_containers.iter().filter(|c| &*c.restart_policy == "Always");
        let mut ports = self.spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports);
        ports.find(|p| &*p.name == name && protocol(&p.protocol) == wanted)?.container_port
    }
}

/// A protocol; `TCP` where none is named.
fn protocol<'t>(text: &'t Text<'_>) -> &'t str {
    if text.is_empty() { "TCP" } else { text }
}

/// Name, protocol and number of a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct PortKey<'a>((Text<'a>, Text<'a>, i64));

impl<'a> PortKey<'a> {
    fn port(self) -> Port<'a> {
        let (name, protocol, number) = self.0;
        Port { name, protocol, port: Some(number) }
    }
}

impl Metadata<'_, AllLabels<'_>> {
    /// Namespace and name.
    fn key(&self) -> (String, String) {
        (self.namespace.to_string(), self.name.to_string())
    }
}

/// The label of a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";
/// The label of Endpoints that are not to be mirrored.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints in a slice, as the controller has it where nobody says otherwise.
const SLICE: usize = 100;

#[cfg(test)]
mod tests;
