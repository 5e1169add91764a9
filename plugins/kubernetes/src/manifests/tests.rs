use super::*;
use crate::cluster::{Cluster, Source};
use crate::index::{Index, Options};
use crate::selector::Selector;
use api::task::StopSource;
use std::sync::Arc;

const CLUSTER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: d}
---
apiVersion: v1
kind: List
items:
- kind: Service
  metadata: {name: web, namespace: d, labels: {app: web}}
  spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
- kind: Service
  metadata: {name: other}
  spec: {clusterIP: 10.96.0.2}
";

struct Fixture {
    folder: PathBuf,
    index: Arc<Index>,
    writers: Writers,
    manifests: Manifests,
}

impl Fixture {
    /// A folder of its own for each test; tests of one process have different names.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("poddns-manifests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = Config {
            source: Source::Manifests(vec![folder.clone()]),
            labels: Selector::default(),
            namespace_labels: Selector::default(),
            kinds: vec![Kind::Service, Kind::EndpointSlice, Kind::Namespace, Kind::Pod],
            options: Options::default(),
            kept_labels: Default::default(),
            snapshot: None,
        };
        let (cluster, writers) = Cluster::empty(&config);
        let manifests = Manifests { paths: vec![folder.clone()], config };
        Fixture { folder, index: cluster.index, writers, manifests }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn load(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.display());
        let problems = self.manifests.load(&self.writers, 7).unwrap();
        problems.into_iter().map(|p| p.replace(&folder, "")).collect()
    }

    fn has(&self, service: &str, namespace: &str) -> bool {
        let label = |l: &str| [&[l.len() as u8], l.as_bytes()].concat();
        self.index.service(&[label(service), label(namespace)].concat()).is_some()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn lists_documents_and_folders_are_read() {
    let f = Fixture::new("read");
    f.write("a.yaml", CLUSTER);
    f.write(
        "b.json",
        r#"{"kind": "Service", "metadata": {"name": "j", "namespace": "d"}, "spec": {"clusterIP": "None"}}"#,
    );
    f.write("c.txt", "not read");
    f.write("d.yml", "---\n# nothing\n---\nkind: Deployment\nmetadata: {name: x}\n");
    assert_eq!(f.load(), Vec::<String>::new());
    assert!(f.has("web", "d") && f.has("other", "default") && f.has("j", "d"));
    assert!(f.index.synced() && f.index.serial() == 7 && f.index.namespace_exists(b"\x01d"));
}

#[test]
fn imports_are_read_and_kinds_of_other_groups_are_not() {
    let mut f = Fixture::new("imports");
    f.manifests.config.kinds.extend([Kind::ServiceImport, Kind::ImportedSlice]);
    let (cluster, writers) = Cluster::empty(&f.manifests.config);
    f.writers = writers;
    let labels = "{multicluster.kubernetes.io/service-name: web, multicluster.kubernetes.io/source-cluster: east}";
    f.write(
        "a.yaml",
        &format!(
            "kind: Namespace\nmetadata: {{name: d}}\n---\n\
             {{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: {{name: web, namespace: d}}, \
             spec: {{type: Headless}}}}\n---\n\
             {{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-1, namespace: d, labels: {labels}}}, \
             endpoints: [{{addresses: [10.0.0.1]}}]}}\n---\n\
             {{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {{name: k, namespace: d}}}}\n"
        ),
    );
    assert_eq!(f.load(), Vec::<String>::new());
    let imports = cluster.imports.as_ref().unwrap();
    let web = imports.service(b"\x03web\x01d").unwrap();
    assert_eq!(imports.slices_of(&web).map(|slice| slice.len()).sum::<usize>(), 1);
    assert!(cluster.synced() && cluster.index.service(b"\x03web\x01d").is_none());
    assert!(cluster.index.service(b"\x01k\x01d").is_none(), "a Service of Knative is another kind");
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_served() {
    let f = Fixture::new("broken");
    f.write("a.yaml", CLUSTER);
    f.write(
        "b.yaml",
        "kind: Service\nmetadata: {name: one, namespace: d}\n---\nkind: Service\nmetadata:\n  name: [\n---\n\
         kind: Service\nmetadata: {name: three, namespace: d}\nspec: {ports: [{port: 80}, {port: many}]}\n---\n\
         metadata: {name: four}\n---\nkind: Service\nmetadata: {name: a.b, namespace: d}\n---\n\
         kind: Service\nmetadata: {name: six, namespace: d}\n",
    );
    let problems = f.load();
    let expected = [
        "b.yaml: document 2, line ",
        "b.yaml: document 3: spec.ports[1].port: invalid type: string \"many\"",
        "b.yaml: document 4: has no `kind`",
        "b.yaml: document 5: metadata.name: \"d/a.b\" is no DNS label",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, start) in problems.iter().zip(expected) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert!(f.has("web", "d") && f.has("one", "d") && f.has("six", "d") && !f.has("three", "d"));
}

#[test]
fn selectors_and_phases_count() {
    let mut f = Fixture::new("selectors");
    f.manifests.config.labels = Selector::parse("app=web").unwrap();
    f.manifests.config.namespace_labels = Selector::parse("team").unwrap();
    let pod = |name: &str, phase: &str, ip: &str| {
        format!(
            "---\nkind: Pod\nmetadata: {{name: {name}, namespace: d, labels: {{app: web}}}}\nstatus: {{phase: {phase}, podIP: {ip}}}\n"
        )
    };
    f.write("a.yaml", &(CLUSTER.to_owned() + &pod("p", "Running", "10.0.0.1") + &pod("q", "Failed", "10.0.0.2")));
    assert_eq!(f.load(), ["manifests hold no Namespace: services without one have no name"]);
    assert!(f.has("web", "d") && !f.has("other", "default") && !f.index.namespace_exists(b"\x01d"));
    let known = |ip: &str| f.index.pod_address(ip.parse().unwrap(), |_| Some(())).is_some();
    assert!(known("10.0.0.1") && !known("10.0.0.2"));
}

#[tokio::test]
async fn changes_are_followed() {
    let f = Fixture::new("changes");
    f.write("a.yaml", CLUSTER);
    let source = StopSource::default();
    let following = f.manifests.clone().follow(f.writers.clone(), Clock::system(), source.listen());
    let changing = async {
        wait_for(|| f.has("web", "d")).await;
        f.write("a.yaml", &CLUSTER.replace("web", "shop"));
        wait_for(|| f.has("shop", "d") && !f.has("web", "d")).await;
        f.write("b.yaml", "kind: Service\nmetadata: {name: new, namespace: d}\n");
        wait_for(|| f.has("new", "d")).await;
        std::fs::remove_file(f.folder.join("b.yaml")).unwrap();
        wait_for(|| !f.has("new", "d") && f.has("shop", "d")).await;
        source.stop();
    };
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(following, changing) }).await.unwrap();
}

#[test]
fn endpoints_follow_from_pods_that_come_and_go() {
    let f = Fixture::new("pods");
    let pod = |name: &str, ip: &str| {
        format!(
            "---\nkind: Pod\nmetadata: {{name: {name}, namespace: d, labels: {{app: w}}}}\n\
             status: {{podIP: {ip}, conditions: [{{type: Ready, status: \"True\"}}]}}\n"
        )
    };
    let known = |ip: &str| f.index.endpoint_address(ip.parse().unwrap(), |s, _| Some(s.name.to_vec())).is_some();
    f.write(
        "a.yaml",
        &(CLUSTER.to_owned() + "- {kind: Service, metadata: {name: w, namespace: d}, spec: {selector: {app: w}}}\n"),
    );
    f.write("b.yaml", &pod("one", "10.0.0.1"));
    assert_eq!(f.load(), Vec::<String>::new());
    assert!(known("10.0.0.1"));
    f.write("b.yaml", &(pod("one", "10.0.0.9") + &pod("two", "10.0.0.2")));
    f.load();
    assert!(known("10.0.0.9") && known("10.0.0.2") && !known("10.0.0.1"));
    f.write("c.yaml", "{kind: EndpointSlice, metadata: {name: w-1, namespace: d, labels: {kubernetes.io/service-name: w}}, endpoints: [{addresses: [10.0.0.3]}]}\n");
    f.load();
    assert!(known("10.0.0.3") && !known("10.0.0.9") && !known("10.0.0.2"), "a slice says all");
}

#[test]
fn the_last_of_objects_with_one_name_counts() {
    let f = Fixture::new("twice");
    f.write("a.yaml", CLUSTER);
    f.write("b.yaml", "kind: Service\nmetadata: {name: web, namespace: d}\nspec: {clusterIP: 10.96.0.9}\n");
    assert_eq!(f.load(), ["a.yaml: document 2, items[0]: stands once more in b.yaml: document 1, which counts"]);
    let at = |ip: &str| f.index.cluster_address(ip.parse().unwrap(), |_| Some(())).is_some();
    assert!(at("10.96.0.9") && !at("10.96.0.1"));
}

async fn wait_for(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_path_that_is_missing_is_named() {
    let f = Fixture::new("missing");
    let manifests = Manifests { paths: vec![f.folder.join("gone")], ..f.manifests.clone() };
    assert!(manifests.check().unwrap_err().contains("gone"));
    f.write("a.yaml", CLUSTER);
    f.load();
    assert!(manifests.load(&f.writers, 8).is_err() && f.has("web", "d"), "nothing changes");
}
