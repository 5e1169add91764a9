//! Every ```corefile block of a plugin's README starts the daemon, so that what users copy works.
//!
//! A block runs in an empty folder, on ports that are free: those that it names are replaced, those that directives have by
//! themselves are given. A kubernetes directive that names no API server gets a simulated one. A refusal counts as well
//! if a file that the reader is to have is missing, or for "not supported yet".

use api::corefile::{Corefile, Source};
use fancy_regex::{Captures, Regex};
use poddns::plugins::{Row, standard};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::{Api, Port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readme_corefiles_start() {
    let api = Api::start([]).await.expect("an API server");
    let mut refused = Vec::new();
    for row in standard().0.iter().filter(|row| matches!(row, Row::Built(_))) {
        let path = format!("plugins/{}/README.md", row.name());
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).expect("a README");
        let corefiles = blocks(&text);
        assert!(!corefiles.is_empty(), "{path} has no corefile block");
        for corefile in corefiles {
            refused.extend(
                tokio::task::block_in_place(|| refusal(&corefile, &api))
                    .map(|why| format!("{path}: {why}\n{corefile}")),
            );
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// The Corefile that kubeadm installs has built directives only, in one block for all names.
#[test]
fn the_example_corefile_is_understood() {
    let table = standard();
    let built = |name: &str| table.0.iter().any(|row| row.name() == name && matches!(row, Row::Built(_)));
    let text = include_str!("../../Corefile.example");
    let parsed = Corefile::parse(&Source::new("Corefile.example", text), "53", &built, &|_| None).expect("no mistakes");
    assert!(parsed.warnings.is_empty());
    let [block] = &parsed.blocks[..] else { panic!("one block: {}", parsed.blocks.len()) };
    assert_eq!(block.keys.iter().map(|k| (k.zone.as_str(), k.port)).collect::<Vec<_>>(), [(".", 53)]);
    for name in
        ["errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop", "reload", "loadbalance"]
    {
        assert!(block.directive(name).is_some(), "{name}");
    }
}

/// The texts between "```corefile" and "```".
fn blocks(readme: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut lines = readme.lines();
    while lines.by_ref().any(|l| l.trim() == "```corefile") {
        out.push(lines.by_ref().take_while(|l| l.trim() != "```").map(|l| format!("{l}\n")).collect());
    }
    out
}

/// Why the daemon does not start with this Corefile; `None` where it does.
fn refusal(corefile: &str, api: &Api) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let mut ports = Ports::default();
    let corefile = with_cluster(&ports.replace(corefile), &path("kubeconfig"));
    fs::write(path("Corefile"), corefile).expect("written");
    fs::write(path("kubeconfig"), api.kubeconfig()).expect("written");
    let log = File::create(path("log")).expect("a log");
    let daemon = Command::new(crate::program())
        .args(["-conf", "Corefile", "-dns.port", &ports.of("53")])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn();
    let mut daemon = Daemon(daemon.expect("the daemon runs"));
    let said = daemon.wait_for_words(&path("log"))?;
    let excused = said.contains("not supported yet") || said.contains("no such file or directory");
    (!excused).then_some(said)
}

/// A daemon that ends with its owner.
struct Daemon(Child);

impl Daemon {
    /// What it said before it ended; `None` once it serves.
    fn wait_for_words(&mut self, log: &Path) -> Option<String> {
        let begin = Instant::now();
        let banner = Regex::new(r"(?m)^(CoreDNS|poddns)-\d").expect("an expression");
        loop {
            let ended = self.0.try_wait().expect("a child of ours");
            let said = fs::read_to_string(log).expect("a log");
            if ended.is_some() {
                return Some(said);
            }
            if banner.is_match(&said).expect("an expression that ends") {
                return None;
            }
            if begin.elapsed() > PATIENCE {
                return Some(format!("neither starts nor ends: {said}"));
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Free ports in place of those that a Corefile has.
#[derive(Default)]
struct Ports(HashMap<String, Port>);

impl Ports {
    /// The free port for one that is written, the same one each time.
    fn of(&mut self, written: &str) -> String {
        self.0.entry(written.to_owned()).or_insert_with(Port::free).number().to_string()
    }

    fn replace(&mut self, corefile: &str) -> String {
        let own = Regex::new(r"(?m)^([ \t]*)(health|ready|prometheus)([ \t]*\{?[ \t]*)$").expect("an expression");
        let given = own.replace_all(corefile, |c: &Captures<'_, str>| {
            let usual = match &c[2] {
                "health" => ":8080",
                "ready" => ":8181",
                _ => "localhost:9153",
            };
            format!("{}{} {usual}{}", &c[1], &c[2], &c[3])
        });
        let address = r"(?m)(?<=^|[ \t,])((?:\w+://)?(?:[^\s:\[\]{}]*|\[[^\]\s]*\]):)(\d{2,5})(?=[\s,]|$)";
        let address = Regex::new(address).expect("an expression");
        address.replace_all(&given, |c: &Captures<'_, str>| format!("{}{}", &c[1], self.of(&c[2]))).into_owned()
    }
}

/// A Corefile whose kubernetes directives have an API server.
fn with_cluster(corefile: &str, kubeconfig: &Path) -> String {
    if Regex::new(r"(?m)^\s*(endpoint|kubeconfig|manifests)\b")
        .expect("an expression")
        .is_match(corefile)
        .unwrap_or(false)
    {
        return corefile.to_owned();
    }
    let line = Regex::new(r"(?m)^([ \t]*kubernetes\b[^{\n]*)(\{[ \t]*)?$").expect("an expression");
    let property = format!("kubeconfig {}", kubeconfig.display());
    line.replace_all(corefile, |c: &Captures<'_, str>| {
        let close = if c.get(2).is_some() { "" } else { "\n}" };
        format!("{} {{\n{property}{close}", &c[1])
    })
    .into_owned()
}

const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::{Ports, blocks, with_cluster};
    use std::path::Path;

    #[test]
    fn blocks_and_ports() {
        let readme =
            "text\n```corefile\n.:53 {\n    health\n    forward . [::1]:53 fd00::10 9.9.9.9\n}\n```\n```\nno\n```\n";
        let found = blocks(readme);
        assert_eq!(found.len(), 1);
        let mut ports = Ports::default();
        let replaced = ports.replace(&found[0]);
        let (dns, health) = (ports.of("53"), ports.of("8080"));
        assert_eq!(
            replaced,
            format!(".:{dns} {{\n    health :{health}\n    forward . [::1]:{dns} fd00::10 9.9.9.9\n}}\n")
        );
        let cluster = with_cluster("kubernetes a.b {\n ttl 5\n}\nkubernetes c\n", Path::new("/k"));
        assert_eq!(cluster, "kubernetes a.b  {\nkubeconfig /k\n ttl 5\n}\nkubernetes c {\nkubeconfig /k\n}\n");
    }
}
