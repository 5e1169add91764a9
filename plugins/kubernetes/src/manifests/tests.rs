use super::*;
use crate::index::{Index, Options};
use api::task::StopSource;
use std::sync::{Arc, Mutex};

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
    writer: SharedWriter,
    manifests: Manifests,
}

impl Fixture {
    /// A folder of its own for each test; tests of one process have different names.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("poddns-manifests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (index, writer) = Index::new(&KINDS, Options::default());
        let paths = vec![folder.clone()];
        let all = Selector::default();
        let manifests = Manifests { paths, labels: all.clone(), namespace_labels: all, kinds: KINDS.to_vec() };
        Fixture { folder, index, writer: Arc::new(Mutex::new(writer)), manifests }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn load(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.display());
        let problems = self.manifests.load(&self.writer, 7).unwrap();
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
    f.manifests.labels = Selector::parse("app=web").unwrap();
    f.manifests.namespace_labels = Selector::parse("team").unwrap();
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
    let following = f.manifests.clone().follow(f.writer.clone(), Clock::system(), source.listen());
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
    assert!(manifests.load(&f.writer, 8).is_err() && f.has("web", "d"), "nothing changes");
}
