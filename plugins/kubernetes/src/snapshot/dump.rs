//! From the index back to objects as the API has them, reduced to what answers need.

use crate::cluster::Cluster;
use crate::index::{Addresses, Backing, Index, NameKind, Namespace, Pod, Port, Service, Slice};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr};

/// All that is known, as objects that lead to the same indices.
pub fn objects(cluster: &Cluster) -> impl Iterator<Item = Value> {
    let own = &cluster.index;
    let namespaces = own.all_namespaces().filter(|space| space.exists()).map(|space| namespace(&space));
    let services = own.all_services().filter_map(|found| service(own, &found));
    let slices = own.all_slices().map(|found| slice(&found, OWN));
    let pods = own.all_pods().map(|found| pod(&found));
    let imports = cluster.imports.iter().flat_map(|index| index.all_services()).filter_map(|found| import(&found));
    let imported = cluster.imports.iter().flat_map(|index| index.all_slices()).map(|found| slice(&found, IMPORTED));
    namespaces.chain(services).chain(slices).chain(pods).chain(imports).chain(imported)
}

/// The label of a slice that names its service.
const OWN: &str = "kubernetes.io/service-name";
/// That of a slice that was imported.
const IMPORTED: &str = "multicluster.kubernetes.io/service-name";

fn namespace(namespace: &Namespace) -> Value {
    json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": text(&namespace.label)}})
}

fn service(index: &Index, service: &Service) -> Option<Value> {
    let definition = service.definition.as_ref()?;
    let mut spec = match &definition.backing {
        Backing::Addresses(addresses) => json!({"clusterIPs": all(addresses)}),
        Backing::Headless => json!({"clusterIP": "None"}),
        Backing::Name(name, NameKind::External) => json!({"type": "ExternalName", "externalName": text(name)}),
        Backing::Name(name, NameKind::InPlaceOfAddress) => json!({"clusterIP": text(name)}),
        Backing::Nothing => json!({"type": "ExternalName", "externalName": "0.0.0.0"}),
    };
    spec["ports"] = ports(&definition.ports);
    if let Some(external) = index.external(&service.owner) {
        let names = external.names.iter().map(|name| text(name));
        spec["externalIPs"] = all(&external.addresses).into_iter().chain(names).collect();
    }
    Some(json!({"kind": "Service", "apiVersion": "v1", "metadata": placed(&service.owner), "spec": spec}))
}

fn import(import: &Service) -> Option<Value> {
    let definition = import.definition.as_ref()?;
    let mut spec = match &definition.backing {
        Backing::Addresses(addresses) => json!({"type": "ClusterSetIP", "ips": all(addresses)}),
        Backing::Headless | Backing::Name(..) | Backing::Nothing => json!({"type": "Headless"}),
    };
    spec["ports"] = ports(&definition.ports);
    let metadata = placed(&import.owner);
    Some(
        json!({"kind": "ServiceImport", "apiVersion": "multicluster.x-k8s.io/v1alpha1", "metadata": metadata, "spec": spec}),
    )
}

fn slice(slice: &Slice, label: &str) -> Value {
    let endpoint = |entry: usize| {
        let mut endpoint = json!({"addresses": [at(slice, entry)]});
        match slice.written_host(entry) {
            [] => (),
            host => endpoint["hostname"] = text(host).into(),
        }
        if let Some(zone) = slice.zone(entry) {
            endpoint["zone"] = text(zone).into();
        }
        endpoint
    };
    let endpoints: Vec<Value> = (0..slice.len()).map(endpoint).collect();
    let mut metadata = json!({"name": utf8(&slice.name), "namespace": text(&slice.namespace.label)});
    if !slice.service().is_empty() {
        metadata["labels"] = json!({label: text(split(slice.service()).0)});
    }
    if slice.has_cluster() {
        metadata["labels"]["multicluster.kubernetes.io/source-cluster"] = text(slice.cluster()).into();
    }
    let family = if slice.names.is_empty() { "" } else { "FQDN" };
    json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata, "addressType": family,
        "endpoints": endpoints, "ports": ports(&slice.ports)})
}

fn pod(pod: &Pod) -> Value {
    let address = pod.odd.as_ref().map_or_else(|| pod.address.to_string(), |odd| utf8(odd));
    let mut metadata = json!({"name": utf8(&pod.name), "namespace": text(&pod.namespace.label)});
    if let Some(labels) = &pod.labels {
        metadata["labels"] = labels.iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect::<Value>();
    }
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "status": {"podIP": address}})
}

fn ports(ports: &[Port]) -> Value {
    let port = |port: &Port| json!({"name": utf8(&port.name), "protocol": utf8(&port.protocol), "port": port.number});
    ports.iter().map(port).collect()
}

/// All addresses as texts.
fn all(addresses: &Addresses) -> Vec<String> {
    (0..addresses.len()).filter_map(|number| address(addresses, number)).collect()
}

/// What stands where an address of a slice should be.
fn at(slice: &Slice, entry: usize) -> String {
    let name = || entry.checked_sub(slice.addresses.len()).and_then(|number| slice.names.get(number)).map(|n| text(n));
    address(&slice.addresses, entry).or_else(name).unwrap_or_default()
}

/// An address as text; one that the API does not write in the canonical form is not written in it here either.
fn address(addresses: &Addresses, number: usize) -> Option<String> {
    let address = addresses.get(number)?;
    Some(match address {
        _ if !addresses.is_odd(number) => address.to_string(),
        IpAddr::V4(v4) => format!("::ffff:{v4}"),
        IpAddr::V6(v6) => long(v6),
    })
}

/// An IPv6 address with all its digits, and letters in upper case, so that it is canonical under no circumstances.
fn long(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04X}")).join(":")
}

/// Name and namespace.
fn placed(owner: &[u8]) -> Value {
    let (name, namespace) = split(owner);
    json!({"name": text(name), "namespace": text(namespace)})
}

/// The labels of service and namespace.
fn split(owner: &[u8]) -> (&[u8], &[u8]) {
    owner.split_at(owner.first().map_or(0, |&len| usize::from(len) + 1).min(owner.len()))
}

/// Wire labels with dots between them, without the root.
fn text(mut wire: &[u8]) -> String {
    let mut text = String::new();
    while let Some((&len, rest)) = wire.split_first()
        && let Some((label, behind)) = rest.split_at_checked(usize::from(len)).filter(|_| len > 0)
    {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&String::from_utf8_lossy(label));
        wire = behind;
    }
    text
}

/// What was UTF-8 in the API's JSON.
fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
