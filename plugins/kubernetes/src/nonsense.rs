//! Objects that make no sense, read from an API server and from manifests: nothing wrong is answered, nothing panics, and a
//! counter grows.

use crate::Kubernetes;
use crate::cluster::{Cluster, Config, Source, Writers};
use crate::index::{Kind, Options};
use crate::manifests::Manifests;
use crate::metrics::not_understood;
use crate::selector::Selector;
use crate::setup::{Pods, Rules};
use crate::watch::{Record, Target};
use crate::zones::Zones;
use api::corefile::value;
use api::test::query;
use api::{Plugin, Section, Step};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One kind of nonsense.
struct Case {
    /// The kind that is counted; empty where nothing is wrong enough.
    counted: &'static str,
    object: Value,
    /// Questions, and how often they are answered: `-` is NXDOMAIN, `0` no records.
    answers: Vec<(&'static str, &'static str)>,
}

fn service(name: &str, spec: Value) -> Value {
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "n"}, "spec": spec})
}

fn slice(service: &str, endpoints: Value, ports: Value) -> Value {
    let labels = json!({"kubernetes.io/service-name": service});
    json!({"kind": "EndpointSlice", "metadata": {"name": "s", "namespace": "n", "labels": labels},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports})
}

fn case<const N: usize>(counted: &'static str, object: Value, answers: [(&'static str, &'static str); N]) -> Case {
    Case { counted, object, answers: answers.to_vec() }
}

fn cases() -> Vec<Case> {
    let long = "x".repeat(10_000);
    let web = "web.n.svc.cluster.local A";
    vec![
        case("", service("web", json!({"ports": [{"port": 80}]})), [("web.n.svc.cluster.local SRV", "0")]),
        case("services", service("web", json!({"clusterIP": "10.96.0.300"})), [(web, "-")]),
        case(
            "services",
            service("web", json!({"clusterIPs": ["10.96.0.1", "web", &long]})),
            [(web, "1"), ("1.0.96.10.in-addr.arpa PTR", "1")],
        ),
        case("services", service("web", json!({"clusterIP": {"a": 1}})), [(web, "-")]),
        case(
            "services",
            service("a.web", json!({"clusterIP": "10.96.0.1"})),
            [(web, "-"), ("1.0.96.10.in-addr.arpa PTR", "-")],
        ),
        case("services", service(&long, json!({"clusterIP": "10.96.0.1"})), [("1.0.96.10.in-addr.arpa PTR", "-")]),
        case("services", service("web", json!({"type": "ExternalName", "externalName": &long})), [(web, "-")]),
        case(
            "services",
            service(
                "web",
                json!({"clusterIP": "10.96.0.1", "ports": [{"name": "a"}, {"name": "b", "port": 70_000}, {"name": &long, "port": 1}]}),
            ),
            [(web, "1"), ("web.n.svc.cluster.local SRV", "1"), ("_a._tcp.web.n.svc.cluster.local SRV", "0")],
        ),
        case(
            "endpointslices",
            slice("h", json!([{"addresses": ["10.0.0.1.2", "db", &long, "10.0.0.9"], "hostname": &long}]), json!(null)),
            [
                ("h.n.svc.cluster.local A", "1"),
                ("10-0-0-9.h.n.svc.cluster.local A", "1"),
                ("db.h.n.svc.cluster.local A", "-"),
            ],
        ),
        case(
            "",
            slice("ghost", json!([{"addresses": ["10.0.0.1"]}]), json!([])),
            [("ghost.n.svc.cluster.local A", "-")],
        ),
        case("", slice("", json!([{"addresses": ["10.0.0.1"]}]), json!([])), [("1.0.0.10.in-addr.arpa PTR", "-")]),
        case(
            "",
            slice("h", json!([{"addresses": ["10.0.0.1"]}]), json!([{"name": "a", "port": null}])),
            [("h.n.svc.cluster.local SRV", "0")],
        ),
        case("endpointslices", slice("h", json!([7]), json!([])), [("h.n.svc.cluster.local A", "-")]),
        case("", slice(&long, json!([{"addresses": ["10.0.0.1"]}]), json!([])), [("1.0.0.10.in-addr.arpa PTR", "-")]),
        case("namespaces", json!({"kind": "Namespace", "metadata": {"name": &long}}), []),
        case(
            "pods",
            json!({"kind": "Pod", "metadata": {"name": &long, "namespace": "n.n"}, "status": {"podIP": "10.0.0.1"}}),
            [("10-0-0-1.n.pod.cluster.local A", "-")],
        ),
        case(
            "serviceimports",
            json!({"kind": "ServiceImport", "metadata": {"name": "web", "namespace": "n"},
                "spec": {"type": "ClusterSetIP", "ips": ["10.112.0.1", &long], "ports": [{"name": "a"}]}}),
            [("web.n.svc.set.local A", "1"), ("web.n.svc.set.local SRV", "0")],
        ),
    ]
}

const KINDS: [Kind; 6] =
    [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod, Kind::ServiceImport, Kind::ImportedSlice];

/// What is in the cluster besides.
fn others() -> [Value; 2] {
    [json!({"kind": "Namespace", "metadata": {"name": "n"}}), service("h", json!({"clusterIP": "None"}))]
}

#[test]
fn from_an_api_server() {
    check(|writers, object| {
        for object in others().iter().chain([object]) {
            let kind = KINDS.into_iter().find(|kind| object["kind"] == format!("{kind:?}")).unwrap();
            let mut writer = writers.of(kind).unwrap().lock().unwrap();
            let (record, now) = (&mut Record::default(), Duration::from_secs(7));
            let line = json!({"type": "ADDED", "object": object}).to_string();
            for _ in 0..2 {
                Target { kind, writer: &mut writer, record, now }.line(line.as_bytes()).unwrap();
            }
        }
        KINDS.iter().for_each(|kind| writers.of(*kind).unwrap().lock().unwrap().end_list(*kind, 7));
    });
}

#[test]
fn from_manifests() {
    let folder = std::env::temp_dir().join(format!("poddns-nonsense-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let manifests = Manifests { paths: vec![folder.clone()], config: config() };
    check(|writers, object| {
        let items: Vec<Value> = others().into_iter().chain([object.clone()]).collect();
        std::fs::write(folder.join("a.json"), json!({"kind": "List", "items": items}).to_string()).unwrap();
        let problems = manifests.load(writers, 7).unwrap();
        assert!(problems.iter().all(|line| line.len() < 1000), "{problems:?}");
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Both tests look at the same counters.
static COUNTERS: Mutex<()> = Mutex::new(());

fn check(fill: impl Fn(&Writers, &Value)) {
    let _alone = COUNTERS.lock().unwrap();
    for case in cases() {
        let (cluster, writers) = Cluster::empty(&config());
        let kinds = ["services", "endpointslices", "namespaces", "pods", "serviceimports"];
        let counts = || kinds.map(|kind| not_understood(kind).value());
        let before = counts();
        fill(&writers, &case.object);
        let grown = counts().into_iter().zip(before).zip(kinds).filter(|((now, before), _)| now > before);
        let grown: Vec<&str> = grown.map(|(_, kind)| kind).collect();
        let shown: String = case.object.to_string().chars().take(300).collect();
        // Tests that run beside this one count, too, but nothing that this one says is all right.
        assert!(case.counted.is_empty() || grown.contains(&case.counted), "{grown:?}: {shown}");
        assert!(cluster.synced(), "{shown}");
        let kubernetes = kubernetes(cluster);
        for (question, expected) in case.answers {
            assert_eq!(ask(&kubernetes, question), expected, "{question}: {shown}");
        }
    }
}

fn config() -> Config {
    Config {
        source: Source::Manifests(Vec::new()),
        labels: Selector::default(),
        namespace_labels: Selector::default(),
        kinds: KINDS.to_vec(),
        options: Options::default(),
        kept_labels: Default::default(),
        snapshot: None,
    }
}

fn kubernetes(cluster: Cluster) -> Kubernetes {
    let mut zones = Zones::new(&value::names(&["cluster.local", "set.local", "in-addr.arpa"])).unwrap();
    zones.set_multicluster(&value::names(&["set.local"]));
    let (namespaces, local, search) = (Vec::new(), Vec::new(), Vec::new());
    let rules = Rules { ttl: 5, pods: Pods::Verified, zonal: false, ignore_empty: false, namespaces, local, search };
    Kubernetes { zones, rules, cluster: Arc::new(cluster) }
}

/// How many answers there are; `-` where the name does not exist.
fn ask(kubernetes: &Kubernetes, question: &str) -> String {
    let mut q = query(question);
    assert_eq!(kubernetes.query(&mut q).unwrap(), Step::Done, "{question}");
    match q.reply.rcode() {
        Some(api::Rcode::NOERROR) => q.reply.records().filter(|r| r.section() == Section::Answer).count().to_string(),
        _ => "-".into(),
    }
}
