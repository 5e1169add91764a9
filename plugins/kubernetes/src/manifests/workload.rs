//! The objects that endpoints follow from, as far as they do: read from manifests only.

use super::documents::placed;
use crate::objects::{AllLabels, Metadata, Port, TargetRef, Text, or_default};
use serde::Deserialize;

/// A v1 Service, as far as its endpoints follow from it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Service<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a, AllLabels<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub spec: ServiceSpec<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, rename = "clusterIP")]
    pub cluster_ip: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub ip_families: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub selector: AllLabels<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<ServicePort<'a>>,
    #[serde(deserialize_with = "or_default")]
    pub publish_not_ready_addresses: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub protocol: Text<'a>,
    pub port: Option<i64>,
    #[serde(borrow)]
    pub target_port: Option<Target<'a>>,
}

/// The port of a pod that a port of a service leads to.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Target<'a> {
    Number(i64),
    #[serde(borrow)]
    Name(Text<'a>),
}

/// A v1 Pod, as far as endpoints follow from it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Pod<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a, AllLabels<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub spec: PodSpec<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub status: PodStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec<'a> {
    #[serde(borrow)]
    pub hostname: Text<'a>,
    #[serde(borrow)]
    pub subdomain: Text<'a>,
    #[serde(borrow)]
    pub node_name: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub init_containers: Vec<Container<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Container<'a> {
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<ContainerPort<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub protocol: Text<'a>,
    pub container_port: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus<'a> {
    #[serde(borrow)]
    pub phase: Text<'a>,
    #[serde(borrow, rename = "podIP")]
    pub pod_ip: Text<'a>,
    #[serde(borrow, rename = "podIPs", deserialize_with = "or_default")]
    pub pod_ips: Vec<PodIp<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub conditions: Vec<PodCondition<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct PodIp<'a> {
    #[serde(borrow)]
    pub ip: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct PodCondition<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
}

/// A v1 Endpoints object.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Endpoints<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a, AllLabels<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub subsets: Vec<Subset<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Subset<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub addresses: Vec<Address<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub not_ready_addresses: Vec<Address<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<Port<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Address<'a> {
    #[serde(borrow)]
    pub ip: Text<'a>,
    #[serde(borrow)]
    pub hostname: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub target_ref: TargetRef<'a>,
}

placed!(Service, Pod, Endpoints);

/// A v1 Node.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Node<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a, AllLabels<'a>>,
}
