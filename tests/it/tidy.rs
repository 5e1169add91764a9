//! The shape of the tree: the arrows of `docs/architecture.md` proved from `cargo metadata` and the text, the table of
//! directives against the folders, names of metrics against the list of CoreDNS's.

use fancy_regex::Regex;
use poddns::plugins::{Row, standard};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

#[test]
fn plugins_depend_on_the_contract_and_on_no_other_plugin() {
    for package in workspace().iter().filter(|p| p.folder.starts_with("plugins")) {
        for dependency in package.dependencies.iter().filter(|d| is_ours(d)) {
            let allowed = dependency.name == CONTRACT || dependency.name == TESTKIT && dependency.kind == "dev";
            assert!(allowed, "{} depends on {}", package.name, dependency.name);
        }
    }
}

#[test]
fn the_contract_knows_no_network() {
    let all = workspace();
    let contract = all.iter().find(|p| p.name == CONTRACT).expect("the contract's package");
    for dependency in contract.dependencies.iter().filter(|d| d.kind != "dev") {
        let name = dependency.name.as_str();
        let banned = ["kube", "k8s-openapi", "hyper", "hyper-util", "rustls", "tokio-rustls", "clap"];
        assert!(!banned.contains(&name), "the contract depends on {name}");
        let of_tokio: Vec<_> = dependency.features.iter().filter(|f| name == "tokio" && is_runtime(f)).collect();
        assert!(of_tokio.is_empty(), "the contract uses tokio's {of_tokio:?}");
    }
    contract_layers();
}

/// Query, reply and name know no engine; the engine knows no configuration.
fn contract_layers() {
    let layers: [(&str, &[&str]); 6] = [
        ("query.rs", &["chain", "setup", "corefile"]),
        ("query/", &["chain", "setup", "corefile"]),
        ("reply/", &["chain", "setup", "corefile"]),
        ("name.rs", &["chain", "setup", "corefile"]),
        ("wire.rs", &["chain", "setup", "corefile"]),
        ("chain.rs", &["setup", "corefile"]),
    ];
    for (place, above) in layers {
        for file in sources("plugins/api/src").iter().filter(|f| f.path.starts_with(format!("plugins/api/src/{place}")))
        {
            for module in above {
                assert!(!file.has(&format!(r"\bcrate::{module}\b")), "{} names {module}", file.name());
            }
        }
    }
}

#[test]
fn a_dependency_stays_where_it_belongs() {
    for package in workspace() {
        for dependency in package.dependencies.iter().filter(|d| d.kind != "dev") {
            let name = dependency.name.as_str();
            let kubernetes = ["kube", "k8s-openapi"].contains(&name);
            assert!(!kubernetes || package.name == KUBERNETES, "{} depends on {name}", package.name);
            assert!(name != "serde_yaml" || package.name == CONTRACT, "{} depends on {name}", package.name);
            assert_ne!(name, TESTKIT, "{} depends on the test kit outside its tests", package.name);
        }
    }
    let users: Vec<String> = sources("plugins")
        .iter()
        .chain(&sources("src"))
        .filter(|f| f.has(r"\bserde_yaml::"))
        .map(Source::name)
        .collect();
    assert!(users.len() <= 1, "serde_yaml is used in more than one module: {users:?}");
}

#[test]
fn only_the_table_names_plugins() {
    let crates: Vec<String> = workspace()
        .iter()
        .filter(|p| p.folder.starts_with("plugins") && p.name != CONTRACT)
        .map(|p| p.name.replace('-', "_"))
        .collect();
    for file in sources("src").iter().filter(|f| f.path != Path::new(TABLE)) {
        for name in &crates {
            assert!(!file.has(&format!(r"\b{name}::")), "{} names {name}", file.name());
        }
    }
    let table = Source::read(Path::new(TABLE));
    let branch = r"\b(if|match|for|while|loop)\b(?! self)";
    assert!(!table.has(&format!("(?m)^[^\"]*{branch} .*\\{{$")), "{TABLE} has logic");
}

#[test]
fn the_table_is_that_of_coredns_and_every_built_directive_has_a_folder() {
    let known: Vec<&str> = include_str!("data/directives.txt").lines().collect();
    let table = standard();
    let rows: Vec<&str> = table.0.iter().map(Row::name).filter(|name| known.contains(name)).collect();
    assert_eq!(rows, known, "the order of CoreDNS's plugin.cfg");
    let built: BTreeSet<&str> = table.0.iter().filter(|r| matches!(r, Row::Built(_))).map(Row::name).collect();
    for name in &built {
        for file in ["Cargo.toml", "README.md", "src/lib.rs"] {
            assert!(root().join("plugins").join(name).join(file).is_file(), "plugins/{name}/{file} is missing");
        }
    }
    for package in workspace().iter().filter(|p| p.folder.starts_with("plugins") && p.name != CONTRACT) {
        let name = package.folder.file_name().expect("a folder").to_string_lossy().into_owned();
        assert!(built.contains(name.as_str()), "plugins/{name} is not in the table");
    }
}

#[test]
fn tasks_are_spawned_in_few_places() {
    let allowed = [
        "src/tcp.rs",
        "src/udp/",
        "src/waiting.rs",
        "src/worker.rs",
        "src/beside.rs",
        "src/tasks.rs",
        "src/output/",
        "plugins/api/src/task.rs",
    ];
    for file in sources("src").iter().chain(&sources("plugins")) {
        let may = allowed.iter().any(|a| file.name().starts_with(a));
        assert!(
            may || !file.has(r"\b(tokio::spawn|task::spawn|spawn_local|thread::(spawn|Builder))\b"),
            "{} spawns",
            file.name()
        );
    }
}

#[test]
fn plugins_read_no_clock() {
    for file in sources("plugins").iter().filter(|f| f.path != Path::new("plugins/api/src/clock.rs")) {
        let reads = file.has(r"\b(Instant|SystemTime|Timestamp|Zoned)::now\b");
        assert!(!reads, "{} reads a clock", file.name());
    }
}

#[test]
fn nothing_prints_past_the_log() {
    let allowed = ["src/output/", "src/boot.rs"];
    for file in sources("src").iter().chain(&sources("plugins")) {
        let may = allowed.iter().any(|a| file.name().starts_with(a));
        assert!(may || !file.has(r"\b(e?print(ln)?|dbg)!"), "{} prints", file.name());
    }
}

#[test]
fn unsafe_code_is_at_system_calls_only() {
    // System calls on batches, and about memory; sockets and timers that are watched for some events only, which the runtime has no
    // safe way for.
    let allowed = [
        "src/memory.rs",
        "src/udp/batch.rs",
        "src/udp/watch.rs",
        "plugins/forward/src/socket.rs",
        "plugins/forward/src/socket/batch.rs",
    ];
    for file in sources("src").iter().chain(&sources("plugins")).chain(&sources("tests")) {
        let may = allowed.iter().any(|a| file.path == Path::new(a));
        assert!(may || !file.has(r"\bunsafe\s*(\{|fn\b|impl\b|extern\b)"), "{} is unsafe", file.name());
    }
}

#[test]
fn every_metric_is_one_of_coredns_or_documented() {
    let known: BTreeSet<&str> = METRICS.lines().filter_map(|line| line.split(' ').next()).collect();
    let name = Regex::new(r#""(coredns_[a-z0-9_]+)""#).expect("an expression");
    for file in sources("src").iter().chain(&sources("plugins")) {
        let readme = fs::read_to_string(root().join(file.readme())).unwrap_or_default();
        for metric in name.captures_iter(file.text.as_str()).map(|c| c.expect("a match")[1].to_owned()) {
            let documented = known.contains(metric.as_str()) || readme.contains(&metric);
            assert!(documented, "{}: {metric} is not of CoreDNS, and not in {}", file.name(), file.readme().display());
        }
    }
}

/// Those that CoreDNS has, too, have its type, labels and buckets.
#[test]
fn metrics_of_coredns_are_as_there() {
    let table = standard();
    let of_plugins = table.0.iter().filter_map(|row| match row {
        Row::Built(def) => Some(def.metrics),
        Row::NotYet(_) => None,
    });
    let mut compared = 0;
    for metric in of_plugins.flatten().chain(api::traffic::ALL) {
        let known = METRICS.lines().find(|line| line.split(' ').next() == Some(metric.name()));
        if let Some(known) = known {
            // Where no page of CoreDNS was seen the buckets are not known.
            let unknown = known.contains(" histogram ") && known.ends_with(" -");
            let ours = metric.shape();
            let ours = if unknown { ours.rsplit_once(' ').map_or("", |(begin, _)| begin) } else { &ours };
            assert_eq!(ours, if unknown { known.trim_end_matches(" -") } else { known });
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared} metrics were compared");
}

/// CoreDNS's metrics: name, type, labels, bounds of buckets.
const METRICS: &str = include_str!("data/metrics.txt");

/// A package of the workspace.
struct Package {
    name: String,
    /// Relative to the root.
    folder: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// `normal`, `dev` or `build`.
    kind: String,
    features: Vec<String>,
}

fn workspace() -> Vec<Package> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let folder = manifest.parent().and_then(|f| f.strip_prefix(root()).ok()).expect("a folder of ours").to_owned();
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let dependency = |d: &Value| Dependency {
        name: text(&d["name"]),
        kind: d["kind"].as_str().unwrap_or("normal").to_owned(),
        features: list(&d["features"]).iter().map(text).collect(),
    };
    Package {
        name: text(&value["name"]),
        folder,
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
    }
}

fn is_ours(dependency: &Dependency) -> bool {
    dependency.name.starts_with("poddns")
}

fn is_runtime(feature: &str) -> bool {
    matches!(feature, "full" | "net" | "rt" | "rt-multi-thread")
}

/// A source file without comments and without its tests.
struct Source {
    /// Relative to the root.
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).expect("a source file");
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().map(|line| COMMENT.replace(line, "").into_owned() + "\n");
        Self { path: path.to_owned(), text: lines.collect() }
    }

    fn has(&self, pattern: &str) -> bool {
        Regex::new(pattern).expect("an expression").is_match(&self.text).expect("an expression that ends")
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Where its metrics are documented: the README of its folder below `plugins`, or that of the project.
    fn readme(&self) -> PathBuf {
        let parts: Vec<_> = self.path.iter().take(2).collect();
        if parts[0] == "plugins" { parts.iter().collect::<PathBuf>().join("README.md") } else { "README.md".into() }
    }
}

/// The sources below a folder but for files of tests.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let path = folder.join(entry.expect("an entry").file_name());
            let aside = ["tests", "benches", "tests.rs"].iter().any(|name| path.ends_with(name));
            let is_test = aside || path.ends_with("api/src/test.rs");
            if root().join(&path).is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test {
                files.push(Source::read(&path));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has sources");
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A comment that stands alone or behind code.
static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(^|\s)//.*$").expect("an expression"));

const CONTRACT: &str = "poddns-plugin";
const KUBERNETES: &str = "poddns-kubernetes";
const TESTKIT: &str = "poddns-testkit";
const TABLE: &str = "src/plugins.rs";
