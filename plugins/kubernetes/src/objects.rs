//! The API's objects, reduced to what DNS needs; everything else in them is skipped while it is read.
//!
//! The API is trusted to speak JSON, not to make sense: any field may be missing, null or absurd. What a type here
//! accepts is still to be checked where the index is filled.

use serde::de::{Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A v1 Service.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Service<'a> {
    /// Name and namespace.
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
    /// What it looks like from inside the cluster.
    #[serde(borrow, deserialize_with = "or_default")]
    pub spec: ServiceSpec<'a>,
    /// What it looks like from outside.
    #[serde(borrow, deserialize_with = "or_default")]
    pub status: ServiceStatus<'a>,
}

/// The `status` of a Service.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceStatus<'a> {
    /// Where its load balancers are.
    #[serde(borrow, deserialize_with = "or_default")]
    pub load_balancer: LoadBalancer<'a>,
}

/// The `status.loadBalancer` of a Service.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct LoadBalancer<'a> {
    /// In the API's order.
    #[serde(borrow, deserialize_with = "or_default")]
    pub ingress: Vec<Ingress<'a>>,
}

/// Where a load balancer is; if it has an address, that counts.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Ingress<'a> {
    /// Its address.
    #[serde(borrow)]
    pub ip: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    pub hostname: Text<'a>,
}

/// The `spec` of a Service.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec<'a> {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// An address, `None` for a headless service, or nothing.
    #[serde(borrow, rename = "clusterIP")]
    pub cluster_ip: Text<'a>,
    /// All cluster addresses; where it is empty, `cluster_ip` counts.
    #[serde(borrow, rename = "clusterIPs", deserialize_with = "or_default")]
    pub cluster_ips: Vec<Text<'a>>,
    /// The target of a service of type ExternalName.
    #[serde(borrow)]
    pub external_name: Text<'a>,
    /// Further addresses that lead to it.
    #[serde(borrow, rename = "externalIPs", deserialize_with = "or_default")]
    pub external_ips: Vec<Text<'a>>,
    /// In the API's order.
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<Port<'a>>,
}

/// A multicluster.x-k8s.io/v1alpha1 ServiceImport: a service of other clusters.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct ServiceImport<'a> {
    /// Name and namespace.
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
    /// What it looks like from inside this cluster.
    #[serde(borrow, deserialize_with = "or_default")]
    pub spec: ImportSpec<'a>,
}

/// The `spec` of a ServiceImport.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct ImportSpec<'a> {
    /// `ClusterSetIP` or `Headless`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// The addresses of one that is not headless.
    #[serde(borrow, deserialize_with = "or_default")]
    pub ips: Vec<Text<'a>>,
    /// In the API's order.
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<Port<'a>>,
}

/// A port of a Service, a ServiceImport or an EndpointSlice.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Port<'a> {
    /// May be empty.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Without a number the port is no target of an SRV record.
    pub port: Option<i64>,
    /// `TCP`, `UDP` or `SCTP`; empty means `TCP`.
    #[serde(borrow)]
    pub protocol: Text<'a>,
}

/// A discovery.k8s.io/v1 EndpointSlice.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct EndpointSlice<'a> {
    /// Name, namespace, and the name of its service as a label.
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
    /// `IPv4`, `IPv6` or `FQDN`: whether addresses may be names.
    #[serde(borrow, rename = "addressType")]
    pub address_type: Text<'a>,
    /// In the API's order.
    #[serde(borrow, deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint<'a>>,
    /// Ports of every endpoint.
    #[serde(borrow, deserialize_with = "or_default")]
    pub ports: Vec<Port<'a>>,
}

/// One endpoint of a slice.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint<'a> {
    /// Usually one.
    #[serde(borrow, deserialize_with = "or_default")]
    pub addresses: Vec<Text<'a>>,
    /// Only `ready` counts.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Conditions,
    /// The host label its pod asked for.
    #[serde(borrow)]
    pub hostname: Text<'a>,
    /// The zone of the cluster that it is in.
    #[serde(borrow)]
    pub zone: Text<'a>,
    /// What stands behind the endpoint, usually a pod.
    #[serde(borrow, deserialize_with = "or_default")]
    pub target_ref: TargetRef<'a>,
}

/// The state of an endpoint.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Conditions {
    /// Absent means ready.
    pub ready: Option<bool>,
}

/// A reference to an object.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct TargetRef<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// A v1 Namespace.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Namespace<'a> {
    /// Only the name counts.
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
}

/// A v1 Pod.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Pod<'a> {
    /// Name, namespace, labels, and whether it is being deleted.
    #[serde(borrow, deserialize_with = "or_default")]
    pub metadata: Metadata<'a, AllLabels<'a>>,
    /// Its address.
    #[serde(borrow, deserialize_with = "or_default")]
    pub status: PodStatus<'a>,
}

/// The `status` of a Pod.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct PodStatus<'a> {
    /// The primary address.
    #[serde(borrow, rename = "podIP")]
    pub pod_ip: Text<'a>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(borrow)]
    pub phase: Text<'a>,
}

/// What every object has, with labels as they are needed of its kind.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a, L: Deserialize<'de> + Default"))]
pub struct Metadata<'a, L = Labels<'a>> {
    /// Unique in its namespace.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Empty for what has none.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Where in the API's history this state stands.
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    /// Set while the object is being deleted.
    #[serde(borrow)]
    pub deletion_timestamp: Text<'a>,
    /// The labels that matter.
    #[serde(deserialize_with = "or_default")]
    pub labels: L,
    /// The annotations that matter.
    #[serde(borrow, deserialize_with = "or_default")]
    pub annotations: Annotations<'a>,
}

/// All labels, by their keys.
pub type AllLabels<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// The labels that matter.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Labels<'a> {
    /// The service an EndpointSlice belongs to.
    #[serde(borrow, rename = "kubernetes.io/service-name")]
    pub service: Text<'a>,
    /// The ServiceImport that an EndpointSlice belongs to.
    #[serde(borrow, rename = "multicluster.kubernetes.io/service-name")]
    pub imported_service: Text<'a>,
    /// The cluster that an EndpointSlice was imported from.
    #[serde(borrow, rename = "multicluster.kubernetes.io/source-cluster")]
    pub source_cluster: Text<'a>,
}

/// The annotations that matter.
#[derive(serde::Deserialize, Default, Debug)]
#[serde(default)]
pub struct Annotations<'a> {
    /// When the change began that led to this EndpointSlice, RFC 3339.
    #[serde(borrow, rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub trigger_time: Text<'a>,
    /// On the bookmark after the last object of a streaming list.
    #[serde(borrow, rename = "k8s.io/initial-events-end")]
    pub initial_events_end: Text<'a>,
}

/// A string that is borrowed from the input where it can be; null reads as empty.
#[derive(Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }
}

/// Reads null as the default, as Go's decoder does.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_matters_and_skips_the_rest() {
        let json = r#"{"kind":"EndpointSlice","metadata":{"name":"w-1","namespace":"d","managedFields":[{"a":[1,{"b":null}]}],
            "labels":{"x":"y","kubernetes.io/service-name":"w"}},"addressType":"IPv4","ports":[{"name":"http","port":80}],
            "endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true},"hostname":"a","nodeName":"n",
            "targetRef":{"kind":"Pod","name":"p\u0041"}}]}"#;
        let slice: EndpointSlice = serde_json::from_str(json).unwrap();
        assert_eq!((&*slice.metadata.name, &*slice.metadata.namespace), ("w-1", "d"));
        assert_eq!(&*slice.metadata.labels.service, "w");
        let endpoint = &slice.endpoints[0];
        assert_eq!(&*endpoint.addresses[0], "10.0.0.1");
        assert_eq!(endpoint.conditions.ready, Some(false));
        assert_eq!((&*endpoint.hostname, &*endpoint.target_ref.name), ("a", "pA"));
        assert_eq!(slice.ports[0].port, Some(80));
        assert!(matches!(slice.metadata.name.0, Cow::Borrowed(_)), "names are not copied");
    }

    #[test]
    fn nulls_and_gaps_are_defaults() {
        for json in [
            "{}",
            r#"{"metadata":null,"endpoints":null,"ports":null}"#,
            r#"{"metadata":{"name":null,"labels":null,"annotations":null},"endpoints":[]}"#,
        ] {
            let slice: EndpointSlice = serde_json::from_str(json).unwrap();
            assert!(slice.endpoints.is_empty() && slice.metadata.name.is_empty(), "{json}");
        }
        let json = r#"{"endpoints":[{"addresses":null,"conditions":null,"hostname":null,"targetRef":null}]}"#;
        assert_eq!(serde_json::from_str::<EndpointSlice>(json).unwrap().endpoints.len(), 1);
    }

    #[test]
    fn nonsense_is_an_error_not_a_panic() {
        for json in ["", "[]", "7", r#"{"metadata":7}"#, r#"{"endpoints":[null]}"#, r#"{"metadata":{"name":{}}}"#] {
            let read: Result<EndpointSlice, _> = serde_json::from_str(json);
            assert!(read.is_err() || json == "[]", "{json}");
        }
    }
}
