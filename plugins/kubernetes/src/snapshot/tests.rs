use super::*;
use crate::cluster::Source;
use crate::connect::Place;
use crate::index::{KeptLabels, Options, Writer};
use crate::selector::Selector;
use serde_json::{Value, json};
use tempfile::TempDir;

const KINDS: [Kind; 6] =
    [Kind::Service, Kind::EndpointSlice, Kind::Namespace, Kind::Pod, Kind::ServiceImport, Kind::ImportedSlice];

fn config() -> Config {
    let place = Place::Endpoint { url: "http://192.0.2.1".into(), tls: None };
    Config {
        source: Source::Api { place, qps: 0.0, burst: 0, inflight: 0, resync: Duration::ZERO },
        labels: Selector::default(),
        namespace_labels: Selector::default(),
        kinds: KINDS.into(),
        options: Options { pod_names: false, zones: true, external: true },
        kept_labels: KeptLabels::All,
        snapshot: None,
    }
}

fn fill(writers: &Writers, objects: &[Value]) {
    let mut record = Record::default();
    for object in objects.iter().map(ToString::to_string) {
        let kind = kind_of(&object).unwrap();
        let writer = &mut writers.of(kind).unwrap().lock().unwrap();
        let mut target = Target { kind, writer, record: &mut record, now: Duration::from_secs(5) };
        target.object(&object).unwrap();
    }
}

/// Everything that an index can hold, in the API's words.
fn objects() -> Vec<Value> {
    let service = |name: &str, spec: Value| json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    vec![
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        service(
            "web",
            json!({"clusterIPs": ["10.96.0.1", "fd00::1"], "ports": [{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]}),
        ),
        service("odd", json!({"clusterIPs": ["fd00:0096::0011", "::ffff:10.0.0.7"]})),
        service(
            "outside",
            json!({"clusterIP": "10.96.0.9", "externalIPs": ["192.0.2.1", "2001:DB8::1", "lb.example.org", ""]}),
        ),
        service("headless", json!({"clusterIP": "None"})),
        service("alias", json!({"type": "ExternalName", "externalName": "www.example.org"})),
        service("address", json!({"type": "ExternalName", "externalName": "192.0.2.1"})),
        service("early", json!({"clusterIP": ""})),
        service("strange", json!({"clusterIP": "some.name"})),
        json!({"kind": "EndpointSlice", "metadata": {"name": "headless-1", "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "headless"}}, "ports": [{"name": "http", "port": 80}, {"name": "none"}],
            "endpoints": [{"addresses": ["10.244.0.1"], "hostname": "Web-0", "zone": "North-1"}, {"addresses": ["10.244.0.2", "fd00::2"]},
                {"addresses": ["fd00:0::0005"]}, {"addresses": ["10.244.0.3"], "conditions": {"ready": false}},
                {"addresses": ["host.example.org"], "hostname": "a.b"}]}),
        json!({"kind": "EndpointSlice", "metadata": {"name": "nobody-s", "namespace": "shop"}, "endpoints": [{"addresses": ["10.244.0.9"]}]}),
        json!({"kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web", "tier": ""}}, "status": {"podIP": "10.244.0.1"}}),
        json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}, "status": {"podIP": "fd00:0::0007"}}),
        json!({"kind": "ServiceImport", "metadata": {"name": "far", "namespace": "shop"},
            "spec": {"type": "ClusterSetIP", "ips": ["10.97.0.1"], "ports": [{"name": "http", "port": 80}]}}),
        json!({"kind": "ServiceImport", "metadata": {"name": "far-headless", "namespace": "shop"}, "spec": {"type": "Headless"}}),
        json!({"kind": "EndpointSlice", "metadata": {"name": "far-headless-1", "namespace": "shop",
            "labels": {"multicluster.kubernetes.io/service-name": "far-headless", "multicluster.kubernetes.io/source-cluster": "north"}},
            "endpoints": [{"addresses": ["10.245.0.1"], "hostname": "a"}]}),
    ]
}

/// All that an index holds, in an order of its own.
fn dumped(cluster: &Cluster) -> Vec<String> {
    let mut all: Vec<String> = dump::objects(cluster).map(|object| object.to_string()).collect();
    all.sort();
    all
}

async fn written(folder: &TempDir) -> (Snapshot, Cluster) {
    let (cluster, writers) = Cluster::empty(&config());
    fill(&writers, &objects());
    let snapshot = Snapshot::new(folder.path().join("snapshot.yaml"), &config());
    snapshot.write(&cluster, Duration::from_secs(7)).await.unwrap();
    (snapshot, cluster)
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, before) = written(&folder).await;
    let (after, writers) = Cluster::empty(&config());
    let restored = snapshot.restore(&writers).unwrap();
    assert_eq!(restored, Some(Restored { objects: 16, written: Duration::from_secs(7) }));
    assert!(after.synced() && !after.listed());
    assert_eq!(dumped(&after), dumped(&before));
    assert!(dumped(&after).iter().any(|object| object.contains("\"zone\":\"north-1\"")));
    for address in ["10.96.0.1", "fd00::1", "fd00:96::11", "10.0.0.7"] {
        let found = |cluster: &Cluster| cluster.index.cluster_address(address.parse().unwrap(), |_| Some(())).is_some();
        assert_eq!(found(&after), found(&before), "{address}");
    }
    for address in ["10.244.0.1", "10.244.0.2", "fd00::2", "fd00::5", "10.244.0.3", "10.244.0.9"] {
        let found = |cluster: &Cluster| {
            cluster.index.endpoint_address(address.parse().unwrap(), |s, e| Some(s.written_host(e).to_vec()))
        };
        assert_eq!(found(&after), found(&before), "{address}");
    }
    let outside = |cluster: &Cluster| {
        let found = cluster.index.external(b"\x07outside\x04shop").expect("it has addresses outside");
        (found.names.to_vec(), found.addresses.canonical().collect::<Vec<_>>(), found.addresses.len())
    };
    assert_eq!(outside(&after), outside(&before));
    assert_eq!(outside(&after).0, [&b"\x02lb\x07example\x03org\0"[..], b"\0"].map(Into::into));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn a_list_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, _) = written(&folder).await;
    let (cluster, writers) = Cluster::empty(&config());
    snapshot.restore(&writers).unwrap();
    let each = |apply: fn(&mut Writer, Kind)| {
        KINDS.iter().for_each(|&k| apply(&mut writers.of(k).unwrap().lock().unwrap(), k))
    };
    each(Writer::begin_list);
    fill(&writers, &objects()[..2]);
    each(|writer, kind| writer.end_list(kind, 9));
    assert!(cluster.listed());
    assert_eq!(dumped(&cluster).len(), 2, "what is not there any more is gone");
}

#[tokio::test]
async fn what_is_broken_or_of_others_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, _) = written(&folder).await;
    let text = std::fs::read_to_string(&snapshot.path).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    for (broken, words) in [
        (String::new(), "is empty"),
        ("kind: Service\n".into(), "is no snapshot of this version"),
        (text[..last + 1].into(), "is cut off"),
        (text[..text.len() - 1].into(), "unexpected end of file"),
        (text.replace("10.96.0.1", "10.96.0.2"), "does not have the checksum"),
        (format!("{text}---\n{{}}\n"), "goes on behind its end"),
    ] {
        std::fs::write(&snapshot.path, broken).unwrap();
        let (cluster, writers) = Cluster::empty(&config());
        let error = snapshot.restore(&writers).unwrap_err();
        assert!(error.contains(words), "{error} for {words}");
        assert!(!cluster.synced() && dumped(&cluster).is_empty());
    }
    std::fs::write(&snapshot.path, text).unwrap();
    let other = Snapshot::new(
        snapshot.path.clone(),
        &Config { options: Options { pod_names: true, ..Options::default() }, ..config() },
    );
    let error = other.restore(&Cluster::empty(&config()).1).unwrap_err();
    assert!(error.contains("another cluster"), "{error}");
}
