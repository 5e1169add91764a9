use super::entry::first_label;
use super::*;
use crate::objects;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Whether an object moves the serial.
fn moved(f: &mut Fixture, object: serde_json::Value) -> bool {
    let before = f.index.serial();
    f.put(object);
    f.index.serial() != before
}

/// An index and its writer, fed with objects as the API writes them.
struct Fixture {
    index: Arc<Index>,
    writer: Writer,
    now: u32,
}

const KINDS: [Kind; 4] = [Kind::Service, Kind::EndpointSlice, Kind::Namespace, Kind::Pod];

impl Fixture {
    fn new() -> Self {
        let (index, writer) = Index::new(&KINDS, Options::default());
        Fixture { index, writer, now: 0 }
    }

    fn put(&mut self, object: serde_json::Value) -> &mut Self {
        self.now += 1;
        let text = object.to_string();
        match object["kind"].as_str().unwrap() {
            "Service" => self.writer.put_service(&serde_json::from_str(&text).unwrap(), self.now),
            "EndpointSlice" => self.writer.put_slice(&serde_json::from_str(&text).unwrap(), self.now),
            "ServiceImport" => self.writer.put_import(&serde_json::from_str(&text).unwrap(), self.now),
            "Pod" => self.writer.put_pod(&serde_json::from_str(&text).unwrap(), self.now),
            _ => self.writer.put_namespace(&serde_json::from_str::<objects::Namespace>(&text).unwrap().metadata),
        }
        self
    }

    fn delete(&mut self, kind: Kind, name: &str) -> &mut Self {
        self.now += 1;
        let text = json!({"name": name, "namespace": "d"}).to_string();
        let metadata: objects::Metadata = serde_json::from_str(&text).unwrap();
        match kind {
            Kind::Service | Kind::ServiceImport => self.writer.delete_service(&metadata, self.now),
            Kind::EndpointSlice | Kind::ImportedSlice => self.writer.delete_slice(&metadata, self.now),
            Kind::Pod => self.writer.delete_pod(&metadata, self.now),
            Kind::Namespace => self.writer.delete_namespace(&metadata),
        }
        self
    }

    /// Addresses of the endpoint `host` of service `service` in namespace `d`.
    fn endpoint(&self, host: &str, service: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (slice, entry) in self.index.endpoints(&wire(&[host, service, "d"])).iter() {
            let addresses: Vec<IpAddr> = slice.addresses.canonical().collect();
            found.insert(addresses.get(entry).map_or("odd".into(), |a| a.to_string()));
        }
        found
    }

    /// Host labels that an address has as an endpoint.
    fn names(&self, address: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.index.endpoint_address(address.parse().unwrap(), |slice, entry| {
            let mut space = HostSpace::default();
            let host = text(slice.host(entry, &mut space));
            found.insert(format!("{host}.{}", text(first_label(&slice.owner))));
            None::<()>
        });
        found
    }

    fn service_at(&self, address: &str) -> Option<String> {
        self.index.cluster_address(address.parse().unwrap(), |s| Some(text(first_label(&s.owner))))
    }
}

fn wire(labels: &[&str]) -> Vec<u8> {
    labels.iter().flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect()
}

fn text(label: &[u8]) -> String {
    String::from_utf8_lossy(&label[1..]).into_owned()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|t| t.to_string()).collect()
}

fn service(name: &str, ips: &[&str]) -> serde_json::Value {
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "d"},
           "spec": {"clusterIP": ips.first(), "clusterIPs": ips, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
}

/// Endpoints are `ADDRESS`, `ADDRESS=HOST`, or `!ADDRESS` for one that is not ready.
fn slice(name: &str, service: &str, endpoints: &[&str]) -> serde_json::Value {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|text| {
            let (address, host) = text.split_once('=').unwrap_or((text, ""));
            let ready = !address.starts_with('!');
            json!({"addresses": [address.trim_start_matches('!')], "conditions": {"ready": ready}, "hostname": host})
        })
        .collect();
    json!({"kind": "EndpointSlice", "metadata": {"name": name, "namespace": "d",
           "labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints,
           "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]})
}

#[test]
fn a_service_is_found_by_name_and_by_address() {
    let mut f = Fixture::new();
    f.put(service("web", &["10.96.0.1", "fd00::1"])).put(service("Caps", &["10.96.0.2"]));
    let web = f.index.service(&wire(&["web", "d"])).unwrap();
    let Backing::Addresses(addresses) = &web.definition.as_ref().unwrap().backing else { panic!("has addresses") };
    assert_eq!((addresses.v4().len(), addresses.v6().len()), (1, 1));
    assert_eq!(f.service_at("10.96.0.1").as_deref(), Some("web"));
    assert_eq!(f.service_at("fd00::1").as_deref(), Some("web"));
    assert!(f.index.service(&wire(&["caps", "d"])).is_none());
    assert_eq!(f.service_at("10.96.0.2").as_deref(), Some("Caps"));
    drop(web);
    f.put(service("web", &["10.96.0.9"]));
    assert_eq!(f.service_at("10.96.0.1"), None);
    assert_eq!(f.service_at("10.96.0.9").as_deref(), Some("web"));
    f.delete(Kind::Service, "web");
    assert!(f.index.service(&wire(&["web", "d"])).is_none());
    assert_eq!(f.service_at("10.96.0.9"), None);
}

#[test]
fn endpoints_are_found_by_host_and_by_address() {
    let mut f = Fixture::new();
    f.put(slice(
        "h-1",
        "h",
        &["10.0.0.1", "10.0.0.2=Two", "!10.0.0.3", "fd00::", "::1", "10.0.0.4=two", "10.0.0.5=a.b"],
    ));
    let cases = [
        ("10-0-0-1", &["10.0.0.1"][..]),
        ("two", &["10.0.0.2", "10.0.0.4"]),
        ("10-0-0-2", &[]),
        ("10-0-0-3", &[]),
        ("fd00--0", &["fd00::"]),
        ("fd00--", &[]),
        ("--1", &["::1"]),
        ("a", &[]),
        ("010-0-0-1", &[]),
    ];
    for (host, addresses) in cases {
        assert_eq!(f.endpoint(host, "h"), set(addresses), "{host}");
    }
    assert!(f.endpoint("two", "other").is_empty());
    assert_eq!(f.names("10.0.0.2"), set(&["Two.h"]));
    assert_eq!(f.names("fd00::"), set(&["fd00--0.h"]));
    f.put(slice("x-1", "x", &["10.0.0.1=alias"]));
    assert_eq!(f.names("10.0.0.1"), set(&["10-0-0-1.h", "alias.x"]));
}

#[test]
fn hosts_with_the_same_end_are_told_apart() {
    let mut f = Fixture::new();
    f.put(slice("h-1", "h", &["10.0.0.1=A-service-1", "10.0.0.2=b-service-1", "10.0.0.3=-1", "10.0.0.4=a-service-1"]));
    f.put(slice("h-2", "h", &["10.0.0.5=a-SERVICE-1", "10.0.0.6=\u{10}-service-1"]));
    assert_eq!(f.endpoint("a-service-1", "h"), set(&["10.0.0.1", "10.0.0.4", "10.0.0.5"]));
    assert_eq!(f.endpoint("b-service-1", "h"), set(&["10.0.0.2"]));
    assert_eq!(f.endpoint("-1", "h"), set(&["10.0.0.3"]));
    assert_eq!(f.endpoint("\u{10}-service-1", "h"), set(&["10.0.0.6"]), "0 differs in the same bit as letters");
    assert!(f.endpoint("0-service-1", "h").is_empty() && f.endpoint("service-1", "h").is_empty());
}

#[test]
fn an_address_that_is_not_canonical_has_no_reverse_name() {
    let mut f = Fixture::new();
    f.put(slice("h-1", "h", &["fd00:0:0:0::7", "::ffff:10.0.0.9"])).put(service("v6", &["fd00:0096::0011"]));
    assert_eq!(f.endpoint("fd00-0-0-0--7", "h"), set(&["odd"]));
    assert!(f.names("fd00::7").is_empty() && f.names("10.0.0.9").is_empty());
    assert_eq!(f.service_at("fd00:96::11"), None);
    assert!(f.index.service(&wire(&["v6", "d"])).is_some());
}

#[test]
fn slices_come_change_and_go() {
    let mut f = Fixture::new();
    f.put(slice("h-1", "h", &["10.0.0.1", "10.0.0.2=two"])).put(slice("h-2", "h", &["10.0.0.3"]));
    f.put(service("h", &["None"]));
    let slices = |f: &Fixture| f.index.service(&wire(&["h", "d"])).map_or(0, |s| f.index.slices_of(&s).count());
    assert_eq!(slices(&f), 2);
    f.put(slice("h-1", "h", &["10.0.0.2=second", "10.0.0.4"]));
    assert!(f.endpoint("two", "h").is_empty() && f.names("10.0.0.1").is_empty());
    assert_eq!(f.endpoint("second", "h"), set(&["10.0.0.2"]));
    assert!(!f.index.service(&wire(&["h", "d"])).unwrap().overlap);
    f.put(slice("h-2", "h", &["10.0.0.4"]));
    assert!(f.index.service(&wire(&["h", "d"])).unwrap().overlap);
    f.put(slice("h-2", "other", &["10.0.0.4"]));
    assert_eq!(slices(&f), 1);
    assert_eq!(f.names("10.0.0.4"), set(&["10-0-0-4.h", "10-0-0-4.other"]));
    f.delete(Kind::Service, "h");
    assert!(f.index.service(&wire(&["h", "d"])).unwrap().definition.is_none());
    f.delete(Kind::EndpointSlice, "h-1").delete(Kind::EndpointSlice, "h-2");
    assert!(f.index.service(&wire(&["h", "d"])).is_none() && f.names("10.0.0.4").is_empty());
}

#[test]
fn a_list_removes_what_it_does_not_name() {
    let mut f = Fixture::new();
    f.put(service("old", &["10.96.0.1"])).put(service("kept", &["10.96.0.2"]));
    f.put(slice("old-1", "old", &["10.0.0.1"])).put(json!({"kind": "Namespace", "metadata": {"name": "gone"}}));
    for kind in KINDS {
        f.writer.begin_list(kind);
    }
    f.put(service("kept", &["10.96.0.2"])).put(service("new", &["10.96.0.3"]));
    assert!(f.index.service(&wire(&["old", "d"])).is_some(), "nothing goes before the list is complete");
    for kind in KINDS {
        assert!(!f.index.synced());
        f.writer.end_list(kind, 100);
    }
    assert!(f.index.synced() && f.index.serial() == 100);
    assert!(f.index.service(&wire(&["old", "d"])).is_none() && f.names("10.0.0.1").is_empty());
    assert!(f.index.service(&wire(&["kept", "d"])).is_some() && f.index.service(&wire(&["new", "d"])).is_some());
    assert!(!f.index.namespace_exists(&wire(&["gone"])));
}

#[test]
fn the_serial_follows_the_changes_that_count() {
    let mut f = Fixture::new();
    assert!(moved(&mut f, service("a", &["10.96.0.1"])));
    assert!(!moved(&mut f, service("a", &["10.96.0.2"])), "cluster address");
    let mut ports = service("a", &["10.96.0.2"]);
    ports["spec"]["ports"][0]["port"] = 81.into();
    assert!(moved(&mut f, ports), "ports");
    assert!(moved(&mut f, slice("a-1", "a", &["10.0.0.1", "10.0.0.2"])));
    assert!(!moved(&mut f, slice("a-1", "a", &["10.0.0.1", "10.0.0.2"])), "nothing changed");
    assert!(moved(&mut f, slice("a-1", "a", &["10.0.0.2", "10.0.0.1"])), "order");
    assert!(!moved(&mut f, json!({"kind": "Namespace", "metadata": {"name": "n"}})));
}

#[test]
fn namespaces_and_pods() {
    let mut f = Fixture::new();
    let pod = |name: &str, ip: &str| json!({"kind": "Pod", "metadata": {"name": name, "namespace": "d"}, "status": {"podIP": ip}});
    let known = |f: &Fixture, ip: &str| f.index.pod_address(ip.parse().unwrap(), |p| Some(p.namespace.exists()));
    f.put(pod("p", "10.0.0.1"));
    assert_eq!(known(&f, "10.0.0.1"), Some(false));
    f.put(json!({"kind": "Namespace", "metadata": {"name": "d"}}));
    assert_eq!(known(&f, "10.0.0.1"), Some(true));
    assert!(f.index.namespace_exists(&wire(&["d"])));
    let mut dying = pod("p", "10.0.0.1");
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    f.put(dying);
    assert!(known(&f, "10.0.0.1").is_some());
    f.put(pod("p", "10.0.0.2"));
    assert!(known(&f, "10.0.0.1").is_none() && known(&f, "10.0.0.2").is_some());
    f.delete(Kind::Pod, "p").delete(Kind::Namespace, "d");
    assert!(known(&f, "10.0.0.2").is_none() && !f.index.namespace_exists(&wire(&["d"])));
}

#[test]
fn labels_of_pods_are_shared_and_move_no_serial() {
    let mut f = Fixture::new();
    let pod = |name: &str, ip: &str, app: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "namespace": "d",
        "labels": {"app": app, "other": name}}, "status": {"podIP": ip}})
    };
    let labels = |f: &Fixture, ip: &str| f.index.pod_address(ip.parse().unwrap(), |p| Some(p.labels.clone())).unwrap();
    f.put(pod("p", "10.0.0.1", "a"));
    assert!(labels(&f, "10.0.0.1").is_none(), "nobody asks for them");
    f.writer.keep_labels(KeptLabels::Some(vec!["app".into()]));
    f.put(pod("p", "10.0.0.1", "a")).put(pod("q", "10.0.0.2", "a"));
    let (one, two) = (labels(&f, "10.0.0.1").unwrap(), labels(&f, "10.0.0.2").unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &two) && one.get("app") == Some("a") && one.get("other").is_none());
    assert!(!moved(&mut f, pod("p", "10.0.0.1", "b")));
    assert_eq!(labels(&f, "10.0.0.1").unwrap().get("app"), Some("b"));
    assert!(moved(&mut f, pod("p", "10.0.0.3", "b")));
}

#[test]
fn nonsense_is_remarked_and_left_out() {
    let long = "x".repeat(64);
    let cases = [
        json!({"kind": "Service", "metadata": {"name": long, "namespace": "d"}}),
        json!({"kind": "Service", "metadata": {"name": "", "namespace": "d"}}),
        json!({"kind": "Service", "metadata": {"name": "a.b", "namespace": "d"}}),
        json!({"kind": "Service", "metadata": {"name": "a"}}),
        json!({"kind": "Service", "metadata": {"name": "a", "namespace": "d"}, "spec": {"clusterIP": "a..b"}}),
        json!({"kind": "Service", "metadata": {"name": "a", "namespace": "d"}, "spec": {"clusterIP": "1.2.3.4", "ports": [{"port": 70000}]}}),
        json!({"kind": "Service", "metadata": {"name": "a", "namespace": "d"}, "spec": {"type": "ExternalName", "externalName": long}}),
        json!({"kind": "EndpointSlice", "metadata": {"name": "a"}}),
        json!({"kind": "ServiceImport", "metadata": {"name": "a.b", "namespace": "d"}}),
        json!({"kind": "ServiceImport", "metadata": {"name": "a", "namespace": "d"}, "spec": {"ips": ["web"]}}),
        slice("a", "a", &["10.0.0.1=a..b"]),
        slice("a", "a", &[".."]),
        json!({"kind": "Pod", "metadata": {"name": "p"}, "status": {"podIP": "10.0.0.1"}}),
        json!({"kind": "Namespace", "metadata": {"name": ""}}),
    ];
    for object in cases {
        let mut f = Fixture::new();
        f.put(object.clone());
        assert_eq!(f.writer.take_remarks().len(), 1, "{object}");
    }
}

#[test]
fn zones_are_kept_where_they_have_names() {
    let endpoints = json!([{"addresses": ["10.0.0.1"], "zone": "US-a"}, {"addresses": ["10.0.0.2"]},
                           {"addresses": ["fd00::1"], "zone": "us-a"}, {"addresses": ["fd00::2"], "zone": "a..b"},
                           {"addresses": ["10.0.0.3"], "zone": "eu.west"}]);
    let mut object = slice("h-1", "h", &[]);
    object["endpoints"] = endpoints;
    for zones in [false, true] {
        let (index, writer) = Index::new(&KINDS, Options { zones, ..Options::default() });
        let mut f = Fixture { index, writer, now: 0 };
        f.put(object.clone());
        let h = f.index.service(&wire(&["h", "d"])).unwrap();
        let slice = f.index.slices_of(&h).next().unwrap();
        let found: Vec<_> = (0..slice.len()).map(|e| slice.zone(e).map(<[u8]>::to_vec)).collect();
        let (a, west) = (Some(wire(&["us-a"])), Some(wire(&["eu", "west"])));
        let kept = vec![a.clone(), None, west, a, None];
        assert_eq!(found, if zones { kept } else { vec![None; 5] });
        assert_eq!(f.writer.take_remarks().len(), usize::from(zones));
        let mut moved = object.clone();
        moved["endpoints"][1]["zone"] = "us-b".into();
        f.put(moved);
        assert_eq!(f.index.serial(), if zones { 2 } else { 1 });
    }
}

#[test]
fn imports_stand_beside_the_cluster() {
    let mut own = Fixture::new();
    let (index, writer) = Index::of_imports(own.index.clone(), &[Kind::ServiceImport], Options::default());
    let mut f = Fixture { index, writer, now: 100 };
    let import = |ips: &[&str], port: u16| {
        json!({"kind": "ServiceImport", "metadata": {"name": "h", "namespace": "d"},
               "spec": {"type": if ips.is_empty() { "Headless" } else { "ClusterSetIP" }, "ips": ips, "ports": [{"port": port}]}})
    };
    let imported = |cluster: &str, endpoints: &[&str]| {
        let mut slice = slice(&format!("h-{cluster}"), "", endpoints);
        slice["metadata"]["labels"] = json!({"multicluster.kubernetes.io/service-name": "h", "multicluster.kubernetes.io/source-cluster": cluster});
        slice
    };
    let serials = |own: &Fixture, f: &Fixture| (own.index.serial(), f.index.serial());
    f.put(import(&[], 80)).put(imported("East", &["10.0.0.1", "10.0.0.2=Two"])).put(imported("", &["10.0.0.3"]));
    assert_eq!(serials(&own, &f), (103, 0), "what is new counts for the cluster's own zones");
    let at = |f: &Fixture, labels: &[&str]| {
        f.index.endpoints(&wire(labels)).iter().next().map(|(slice, _)| slice.has_cluster())
    };
    assert_eq!(at(&f, &["10-0-0-1", "east", "h", "d"]), Some(true));
    assert_eq!(at(&f, &["two", "east", "h", "d"]), Some(true));
    assert_eq!(at(&f, &["10-0-0-3", "h", "d"]), Some(false));
    for nothing in [&["two", "h", "d"][..], &["two", "west", "h", "d"], &["10-0-0-3", "east", "h", "d"]] {
        assert_eq!(at(&f, nothing), None, "{nothing:?}");
    }
    let h = f.index.service(&wire(&["h", "d"])).unwrap();
    assert_eq!(f.index.slices_of(&h).map(|s| s.len()).sum::<usize>(), 3);
    f.put(import(&["10.112.0.1"], 80));
    assert_eq!(serials(&own, &f), (103, 104), "type");
    f.put(import(&["10.112.0.2"], 80));
    assert_eq!(serials(&own, &f), (103, 104), "address");
    f.put(import(&["10.112.0.2"], 81)).put(imported("East", &["10.0.0.1"]));
    assert_eq!(serials(&own, &f), (103, 107), "ports, endpoints");
    f.delete(Kind::ServiceImport, "h").delete(Kind::ImportedSlice, "h-East");
    assert_eq!(serials(&own, &f), (109, 107));
    own.put(service("web", &["10.96.0.1"]));
    assert!(f.index.service(&wire(&["web", "d"])).is_none());
}

/// 10,000 services with 10 endpoints each, every fifth of them headless with host names. Measured in a process of its
/// own, where no other test uses memory.
#[test]
#[expect(clippy::print_stderr, reason = "the figure is what this is for")]
fn a_large_cluster_is_small_in_memory() {
    if std::env::var_os("ALONE").is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "--nocapture", "index::tests::a_large_cluster_is_small_in_memory"]).env("ALONE", "1");
        return assert!(alone.status().unwrap().success());
    }
    let mut f = Fixture::new();
    let before = resident();
    for i in 0..10_000u32 {
        let name = format!("service-{i}");
        let headless = i % 5 == 0;
        let ip = if headless { "None".into() } else { format!("10.96.{}.{}", i >> 8, i & 255) };
        f.put(service(&name, &[&ip]));
        let endpoints: Vec<String> = (0..10)
            .map(|j| {
                let k = i * 10 + j;
                let host = if headless { format!("={name}-{j}") } else { String::new() };
                format!("10.{}.{}.{}{host}", 128 + (k >> 16), (k >> 8) & 255, k & 255)
            })
            .collect();
        let endpoints: Vec<&str> = endpoints.iter().map(|e| &**e).collect();
        f.put(slice(&format!("{name}-abcde"), &name, &endpoints));
    }
    let grown = resident() - before;
    eprintln!("10,000 services with 10 endpoints each: {grown} octets, {} for a service", grown / 10_000);
    let known = f.index.bytes(Kind::Service) + f.index.bytes(Kind::EndpointSlice);
    eprintln!("of which services {}, slices {}", f.index.bytes(Kind::Service), f.index.bytes(Kind::EndpointSlice));
    assert!(grown < 18 << 20, "{grown}");
    // The rest is the gaps that the allocator leaves.
    assert!(known * 3 > grown && known < grown, "{known} of {grown} are accounted for");
    assert_eq!(f.endpoint("service-4000-7", "service-4000").len(), 1);
}

/// Resident memory of this process in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn load_balancer(ingress: serde_json::Value, port: u16) -> serde_json::Value {
    json!({"kind": "Service", "metadata": {"name": "lb", "namespace": "d"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": port}], "externalIPs": ["192.0.2.1", "2001:DB8::1"]},
        "status": {"loadBalancer": {"ingress": ingress}}})
}

#[test]
fn what_is_seen_from_outside_is_kept_where_somebody_asks() {
    for (external, want) in [(false, None), (true, Some(2))] {
        let (index, writer) = Index::new(&KINDS, Options { external, ..Options::default() });
        let mut f = Fixture { index, writer, now: 0 };
        f.put(load_balancer(json!([]), 80));
        assert_eq!(f.index.external(&wire(&["lb", "d"])).map(|e| e.addresses.len()), want);
    }
}

#[test]
fn what_is_seen_from_outside_changes_with_its_service() {
    let (index, writer) = Index::new(&KINDS, Options { external: true, ..Options::default() });
    let mut f = Fixture { index, writer, now: 0 };
    let seen = |f: &Fixture, address: &str| {
        let found = f.index.external_address(address.parse().unwrap(), |e| Some(e.names.len()));
        (found, f.index.external(&wire(&["lb", "d"])).is_some(), f.index.external_serial())
    };
    f.put(load_balancer(json!([{"ip": "192.0.2.2", "hostname": "a.example"}]), 80));
    assert_eq!(seen(&f, "192.0.2.1"), (Some(0), true, 0));
    assert_eq!(seen(&f, "192.0.2.2"), (Some(0), true, 0));
    // Nobody finds an address that is written otherwise than it would be printed.
    assert_eq!(seen(&f, "2001:db8::1"), (None, true, 0));
    f.put(load_balancer(json!([{"hostname": "a.example"}, {}]), 80));
    assert_eq!(seen(&f, "192.0.2.1"), (Some(2), true, 2));
    assert_eq!(seen(&f, "192.0.2.2"), (None, true, 2));
    f.put(load_balancer(json!([{"hostname": "a.example"}, {}]), 80));
    assert_eq!(seen(&f, "192.0.2.1"), (Some(2), true, 2));
    f.put(load_balancer(json!([{"hostname": "a.example"}, {}]), 81));
    assert_eq!(seen(&f, "192.0.2.1"), (Some(2), true, 4));
    let ports = f.index.external(&wire(&["lb", "d"])).map(|e| e.ports[0].number);
    assert_eq!(ports, Some(Some(81)));
    f.put(json!({"kind": "Service", "metadata": {"name": "lb", "namespace": "d"}, "spec": {"clusterIP": "10.96.0.1"}}));
    assert_eq!(seen(&f, "192.0.2.1"), (None, false, 5));
    f.put(load_balancer(json!([{"hostname": ".."}]), 80));
    assert_eq!(seen(&f, "192.0.2.1"), (Some(0), true, 6));
    f.delete(Kind::Service, "lb");
    assert_eq!(seen(&f, "192.0.2.1"), (None, false, 6));
    f.put(load_balancer(json!([]), 80));
    f.writer.begin_list(Kind::Service);
    f.writer.end_list(Kind::Service, 9);
    assert_eq!(seen(&f, "192.0.2.1"), (None, false, 6));
}
