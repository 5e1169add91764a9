use super::*;
use crate::cluster::Cluster;
use crate::index::{Index, Kind, Options};
use crate::setup::{Pods, Rules};
use crate::zones::Zones;
use api::services::Live;
use api::test::query;
use api::{Fallthrough, Plugin, Rcode, Step};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A cluster with a service of each kind in namespace `n`, whose names fall through as `fallthrough` says.
pub fn kubernetes(fallthrough: Fallthrough) -> Kubernetes {
    let (index, mut writer) = Index::new(&[Kind::Service], Options::default());
    let metadata = |name: &str| json!({"name": name, "namespace": "n"});
    writer.put_namespace(&Deserialize::deserialize(&json!({"name": "n"})).unwrap());
    for (name, spec) in [
        ("web", json!({"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]})),
        ("headless", json!({"clusterIP": "None"})),
        ("out", json!({"type": "ExternalName", "externalName": "example.org"})),
    ] {
        let service = json!({"metadata": metadata(name), "spec": spec});
        writer.put_service(&Deserialize::deserialize(&service).unwrap(), 1);
    }
    let labels = json!({"name": "h-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "headless"}});
    let slice = json!({"metadata": labels, "endpoints": [{"addresses": ["10.244.0.1"]}]});
    writer.put_slice(&Deserialize::deserialize(&slice).unwrap(), 1);
    writer.end_list(Kind::Service, 1);
    let imports = imports(index.clone());
    let zones = ["cluster.local.", "set.local.", "in-addr.arpa."].map(str::to_owned);
    let (namespaces, local, search) = (Vec::new(), Vec::new(), Vec::new());
    let (ttl, pods, zonal, ignore_empty) = (5, Pods::Insecure, true, false);
    let rules = Rules { ttl, pods, zonal, ignore_empty, namespaces, local, search };
    let cluster = Arc::new(Cluster { index, imports: Some(imports) });
    let mut zones = Zones::new(&zones).unwrap();
    zones.set_multicluster(&["set.local.".into()]);
    Kubernetes { zones, rules, fallthrough, cluster }
}

/// An import of each kind in namespace `n`.
fn imports(cluster: Arc<Index>) -> Arc<Index> {
    let (index, mut writer) = Index::of_imports(cluster, &[], Options::default());
    for (name, spec) in [
        ("web", json!({"type": "ClusterSetIP", "ips": ["10.112.0.1"], "ports": [{"name": "http", "port": 80}]})),
        ("portless", json!({"type": "ClusterSetIP", "ips": ["10.112.0.2"]})),
        ("pending", json!({"type": "ClusterSetIP", "ports": [{"port": 80}]})),
        ("headless", json!({"type": "Headless"})),
    ] {
        let import = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
        writer.put_import(&Deserialize::deserialize(&import).unwrap(), 1);
    }
    let labels = json!({"multicluster.kubernetes.io/service-name": "headless",
                        "multicluster.kubernetes.io/source-cluster": "east"});
    let metadata = json!({"name": "h-1", "namespace": "n", "labels": labels});
    let slice = json!({"metadata": metadata, "endpoints": [{"addresses": ["10.244.1.1"]}]});
    writer.put_slice(&Deserialize::deserialize(&slice).unwrap(), 1);
    index
}

#[test]
fn what_would_be_answered_is_known_beforehand() {
    let kubernetes = kubernetes(Fallthrough::default());
    let names = [
        "cluster.local",
        "svc.cluster.local",
        "n.svc.cluster.local",
        "x.svc.cluster.local",
        "web.n.svc.cluster.local",
        "_http._tcp.web.n.svc.cluster.local",
        "_x._tcp.web.n.svc.cluster.local",
        "headless.n.svc.cluster.local",
        "10-244-0-1.headless.n.svc.cluster.local",
        "10-244-0-2.headless.n.svc.cluster.local",
        "out.n.svc.cluster.local",
        "a.pin._zone.headless.n.svc.cluster.local",
        "a.prefer._zone.headless.n.svc.cluster.local",
        "b.pin._zone.headless.n.svc.cluster.local",
        "a.pin._zone.web.n.svc.cluster.local",
        "a.pin._zone.headless.n.svc.set.local",
        "10-0-0-1.n.pod.cluster.local",
        "x.n.pod.cluster.local",
        "dns-version.cluster.local",
        "ns.dns.cluster.local",
        "1.0.96.10.in-addr.arpa",
        "1.0.244.10.in-addr.arpa",
        "2.0.244.10.in-addr.arpa",
        "in-addr.arpa",
        "set.local",
        "n.svc.set.local",
        "web.n.svc.set.local",
        "_http._tcp.web.n.svc.set.local",
        "http.tcp.web.n.svc.set.local",
        "portless.n.svc.set.local",
        "pending.n.svc.set.local",
        "headless.n.svc.set.local",
        "10-244-1-1.east.headless.n.svc.set.local",
        "10-244-1-1.west.headless.n.svc.set.local",
        "10-244-1-1.headless.n.svc.set.local",
        "out.n.svc.set.local",
        "10-0-0-1.n.pod.set.local",
    ];
    for (name, rtype) in names.iter().flat_map(|n| ["A", "SRV", "TXT", "PTR", "SOA", "NS", "MX"].map(|t| (n, t))) {
        let question = format!("{name} {rtype}");
        let mut q = query(&question);
        let step = kubernetes.query(&mut q).unwrap();
        let exists = step == Step::Wait || q.reply.rcode() == Some(Rcode::NOERROR);
        let (zone, offset) = kubernetes.zones.find(q.name()).unwrap();
        assert_eq!(kubernetes.knows(&Request { question: &q.question, zone, offset }), exists, "{question}");
        assert!(q.reply.is_live() && kubernetes.answers(&q), "{question}");
    }
    assert!(!kubernetes.answers(&query("example.org A")));
}
