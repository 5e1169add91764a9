use super::*;
use crate::cluster::Cluster;
use crate::index::{Index, Kind, Options, Writer};
use crate::setup::{Pods, Rules};
use crate::zones::Zones;
use api::corefile::value;
use api::services::{Endpoints, External, ExternalAnswer, ExternalName, Live};
use api::test::{query, text};
use api::{Fallthrough, Plugin, Rcode, Step};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A cluster with a service of each kind in namespace `n`, whose names fall through as `fallthrough` says.
pub fn kubernetes(fallthrough: Fallthrough) -> Kubernetes {
    kubernetes_with(fallthrough, |_| ())
}

/// The same, and what `more` adds.
fn kubernetes_with(fallthrough: Fallthrough, more: impl FnOnce(&mut Writer)) -> Kubernetes {
    let (index, mut writer) = Index::new(&[Kind::Service], Options { external: true, ..Options::default() });
    let metadata = |name: &str| json!({"name": name, "namespace": "n"});
    writer.put_namespace(&Deserialize::deserialize(&json!({"name": "n"})).unwrap());
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    for (name, spec) in [
        ("web", json!({"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]})),
        ("headless", json!({"clusterIP": "None"})),
        ("out", json!({"type": "ExternalName", "externalName": "example.org"})),
        (
            "ext",
            json!({"clusterIP": "10.96.0.2", "externalIPs": ["192.0.2.1", "2001:db8::1", "lb.example"], "ports": ports}),
        ),
    ] {
        let service = json!({"metadata": metadata(name), "spec": spec});
        writer.put_service(&Deserialize::deserialize(&service).unwrap(), 1);
    }
    let labels = json!({"name": "h-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "headless"}});
    let slice = json!({"metadata": labels, "endpoints": [{"addresses": ["10.244.0.1"]}]});
    writer.put_slice(&Deserialize::deserialize(&slice).unwrap(), 1);
    more(&mut writer);
    writer.end_list(Kind::Service, 1);
    let imports = imports(index.clone());
    let (namespaces, local, search) = (Vec::new(), Vec::new(), Vec::new());
    let (ttl, pods, zonal, ignore_empty) = (5, Pods::Insecure, true, false);
    let rules = Rules { ttl, pods, zonal, ignore_empty, namespaces, local, search };
    let cluster = Arc::new(Cluster { index, imports: Some(imports) });
    let mut zones = Zones::new(&value::names(&["cluster.local", "set.local", "in-addr.arpa"])).unwrap();
    zones.set_multicluster(&value::names(&["set.local"]));
    zones.set_fallthrough(&fallthrough);
    Kubernetes { zones, rules, cluster }
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

#[test]
fn services_are_seen_from_outside() {
    let kubernetes = kubernetes(Fallthrough::default());
    let (ext, headless) = ("ext.n.example. 60 IN", "10-244-0-1.headless.n.example. 60 IN A 10.244.0.1");
    let srv = |target: &str, port: u16, weight| format!("answer ext.n.Example. 5 IN SRV 0 {weight} {port} {target}");
    for (question, endpoints, want) in [
        ("n.Example A", Endpoints::Hidden, "NOERROR aa rd".to_owned()),
        ("x.Example A", Endpoints::Hidden, "no such name".into()),
        ("web.n.Example A", Endpoints::Shown, "no such name".into()),
        (
            "ext.n.Example AAAA",
            Endpoints::Hidden,
            "NOERROR aa rd\nanswer ext.n.Example. 60 IN AAAA 2001:db8::1\nlb.example.".into(),
        ),
        (
            "any.ext.n.example A",
            Endpoints::Hidden,
            "NOERROR aa rd\nanswer any.ext.n.example. 60 IN A 192.0.2.1\nlb.example.".into(),
        ),
        ("_x._tcp.ext.n.example A", Endpoints::Hidden, "no such name".into()),
        ("a.b.c.ext.n.example A", Endpoints::Hidden, "no such name".into()),
        (
            "ext.n.Example SRV",
            Endpoints::Hidden,
            [
                "NOERROR aa rd",
                &srv("ext.n.example.", 80, 16),
                &srv("lb.example.", 80, 16),
                &srv("ext.n.example.", 53, 16),
                &srv("lb.example.", 53, 16),
                &format!("additional {ext} A 192.0.2.1"),
                &format!("additional {ext} AAAA 2001:db8::1"),
                "lb.example.",
            ]
            .join("\n"),
        ),
        ("ext.n.example TXT", Endpoints::Hidden, "NOERROR aa rd".into()),
        ("headless.n.example A", Endpoints::Hidden, "no such name".into()),
        (
            "headless.n.example A",
            Endpoints::Shown,
            "NOERROR aa rd\nanswer headless.n.example. 60 IN A 10.244.0.1".into(),
        ),
        ("10-244-0-1.headless.n.example A", Endpoints::Shown, format!("NOERROR aa rd\nanswer {headless}")),
        ("_10-244-0-1.headless.n.example A", Endpoints::Shown, format!("NOERROR aa rd\nanswer _{headless}")),
        ("x.headless.n.example A", Endpoints::Shown, "no such name".into()),
        (
            "1.2.0.192.in-addr.arpa PTR",
            Endpoints::Hidden,
            "NOERROR aa rd\nanswer 1.2.0.192.in-addr.arpa. 60 IN PTR ext.n.first.".into(),
        ),
        ("1.0.96.10.in-addr.arpa PTR", Endpoints::Hidden, "no such name".into()),
    ] {
        let mut q = query(question);
        let zone = ["example", "in-addr.arpa"].map(|zone| Name::from_text(zone).unwrap());
        let (zone, offset) = zone.iter().find_map(|z| Some((z, q.name().below(z.as_ref())?))).unwrap();
        let primary = Name::from_text("first").unwrap();
        q.respond_authoritative(Rcode::NOERROR);
        let (zone, primary) = (zone.as_ref(), primary.as_ref());
        let asked = ExternalName { question: &q.question, zone, offset, primary, ttl: 60, endpoints };
        let mut hosts = Vec::new();
        let known = match External::answer(&kubernetes, &asked, &mut q.reply) {
            ExternalAnswer::Written => true,
            ExternalAnswer::NoSuchName => false,
            ExternalAnswer::Hosts(names) => {
                hosts = names;
                true
            }
        };
        assert_eq!(External::knows(&kubernetes, &asked), known, "{question}");
        let mut got = if known { text(&q) } else { "no such name".into() };
        hosts.iter().for_each(|host| got += &format!("\n{host}"));
        assert_eq!(got, want, "{question}");
    }
}

/// Adds the headless service `big` with 2,000 endpoints in 20 slices.
fn big(writer: &mut Writer) {
    let service = json!({"metadata": {"name": "big", "namespace": "n"}, "spec": {"clusterIP": "None"}});
    writer.put_service(&Deserialize::deserialize(&service).unwrap(), 1);
    for part in 0..20 {
        let endpoint =
            |at| json!({"addresses": [format!("10.250.{part}.{at}")], "hostname": format!("pod-{part}-{at}")});
        let slice = json!({"metadata": {"name": format!("big-{part}"), "namespace": "n", "labels": {"kubernetes.io/service-name": "big"}},
            "endpoints": (0..100).map(endpoint).collect::<Vec<_>>(), "ports": [{"name": "http", "port": 80}]});
        writer.put_slice(&Deserialize::deserialize(&slice).unwrap(), 1);
    }
}

/// The addresses in the answer to a question.
fn addresses(kubernetes: &Kubernetes, question: &str, transport: api::Transport) -> Vec<Vec<u8>> {
    let mut q = query(question);
    q.transport = transport;
    assert!(matches!(kubernetes.query(&mut q), Ok(Step::Done)));
    assert_eq!(q.reply.overflowed(), transport.is_datagram(), "what does not fit is said");
    let records = q.reply.records().filter(|record| record.section() == Section::Answer);
    records.map(|record| record.raw_data().to_vec()).collect()
}

#[test]
fn a_reply_costs_what_fits_it_and_begins_anywhere() {
    let kubernetes = kubernetes_with(Fallthrough::default(), big);
    for question in ["big.n.svc.cluster.local A", "_http._tcp.big.n.svc.cluster.local SRV"] {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..400 {
            let mut part = addresses(&kubernetes, question, api::Transport::Udp);
            assert!((20..=4 * 512 / 16).contains(&part.len()), "{question}: {}", part.len());
            let all = part.len();
            part.sort();
            part.dedup();
            assert_eq!(part.len(), all, "{question}: each once");
            seen.append(&mut part.into_iter().collect());
        }
        assert!(seen.len() > 1900, "{question}: all have their turn: {} of 2000", seen.len());
    }
    assert_eq!(addresses(&kubernetes, "big.n.svc.cluster.local A", api::Transport::Tcp).len(), 2000);
}
