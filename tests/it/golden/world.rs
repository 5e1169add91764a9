//! The folder, ports, upstreams and cluster that one scenario runs in, and the daemon itself.

use super::scenario::Scenario;
use super::shown::LOCAL;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fancy_regex::{Captures, Regex};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use tempfile::TempDir;
use testkit::{Api, Port, Upstream};
use tokio::process::{Child, Command};

pub(super) struct World {
    folder: TempDir,
    ports: Mutex<Vec<(String, Port)>>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) api: Option<Api>,
    /// The last serial seen of each zone.
    pub(super) serials: Mutex<HashMap<String, u32>>,
    /// Whether this machine's own addresses may be in the replies.
    pub(super) local: bool,
}

impl World {
    /// All that has to be there before the daemon starts.
    pub(super) async fn new(scenario: &Scenario) -> io::Result<Self> {
        let mut world = Self {
            // As long a name as the recordings were made with: columns of error messages depend on it.
            folder: tempfile::Builder::new().prefix("play").rand_bytes(8).tempdir()?,
            ports: Mutex::default(),
            upstreams: Vec::new(),
            api: None,
            serials: Mutex::default(),
            local: scenario.objects.is_some() || mentions_local(scenario),
        };
        for script in &scenario.upstreams {
            world.upstreams.push(Upstream::start(script.clone()).await?);
        }
        if let Some(objects) = &scenario.objects {
            let objects: Vec<Value> = objects.iter().map(|o| world.filled(o)).collect();
            let api = Api::start(objects).await?;
            if let Some(faults) = &scenario.api {
                api.fault(|f| f.merge(faults).expect("known faults"));
            }
            fs::write(world.path("kubeconfig"), api.kubeconfig())?;
            world.api = Some(api);
        }
        for (name, text) in &scenario.files {
            world.write(name, text)?;
        }
        if let Some(corefile) = &scenario.corefile {
            world.write("Corefile", corefile)?;
        }
        Ok(world)
    }

    /// Starts the daemon; what it prints goes to the file `log`.
    pub(super) fn spawn(&self, scenario: &Scenario) -> io::Result<Child> {
        let log = File::create(self.path("log"))?;
        let stdin = match &scenario.stdin {
            Some(name) => File::open(self.path(name))?.into(),
            None => Stdio::null(),
        };
        let conf = || vec!["-conf".to_owned(), self.text_of("Corefile")];
        let words = scenario.command.as_ref().map_or_else(conf, |c| c.iter().map(|a| self.fill(a)).collect());
        Command::new(crate::program())
            .args(words)
            .args(scenario.args.iter().map(|a| self.fill(a)))
            .current_dir(self.folder.path())
            .envs(OFFLINE)
            .envs(scenario.env.iter().map(|(k, v)| (k, self.fill(v))))
            .stdin(stdin)
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
    }

    /// What `poddns check` has against the Corefile, with which the daemon starts; `None` where it is fine.
    pub(super) async fn objection(&self, scenario: &Scenario) -> io::Result<Option<String>> {
        if scenario.command.is_some() || scenario.corefile.is_none() || std::env::var_os("PODDNS").is_some() {
            return Ok(None);
        }
        let port = scenario.args.iter().position(|arg| arg == "-dns.port").and_then(|at| scenario.args.get(at + 1));
        let port = port.map_or_else(|| "53".into(), |port| self.fill(port));
        let out = Command::new(crate::program())
            .args(["check", "-dns.port", &port, &self.text_of("Corefile")])
            .current_dir(self.folder.path())
            .envs(OFFLINE)
            .envs(scenario.env.iter().map(|(k, v)| (k, self.fill(v))))
            .stdin(Stdio::null())
            .output()
            .await?;
        Ok((!out.status.success()).then(|| String::from_utf8_lossy(&out.stdout).into_owned()))
    }

    /// What the daemon has printed so far.
    pub(super) fn log(&self) -> String {
        fs::read(self.path("log")).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// The port that a word stands for, if it was named yet.
    pub(super) fn port(&self, word: &str) -> Option<u16> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.iter().find(|p| p.0 == word).map(|p| p.1.number())
    }

    /// A text with its `@WORD@`s replaced.
    pub(super) fn fill(&self, text: &str) -> String {
        WORD.replace_all(text, |c: &Captures<'_, str>| self.meaning(&c[1])).into_owned()
    }

    fn meaning(&self, word: &str) -> String {
        match word {
            "DIR" => return self.folder.path().display().to_string(),
            "KUBECONFIG" => return self.text_of("kubeconfig"),
            "LOCAL" => return LOCAL.iter().find(|a| a.is_ipv4()).expect("an address that is not loopback").to_string(),
            _ => {}
        }
        if let Some(n) = word.strip_prefix("UPSTREAM") {
            let n: usize = n.parse().unwrap_or(1);
            return format!("127.0.0.1:{}", self.upstreams[n - 1].port());
        }
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        if !ports.iter().any(|p| p.0 == word) {
            ports.push((word.to_owned(), Port::free()));
        }
        ports.iter().find(|p| p.0 == word).map(|p| p.1.number().to_string()).unwrap_or_default()
    }

    pub(super) fn filled(&self, object: &Value) -> Value {
        serde_json::from_str(&self.fill(&object.to_string())).expect("JSON still")
    }

    /// Writes a file of the scenario's folder at once, as an editor that renames does.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder"))?;
        let data = match text.strip_prefix("base64:") {
            Some(data) => self.fill_bytes(&BASE64_STANDARD.decode(data).expect("base64")),
            None => self.fill(text).into_bytes(),
        };
        let beside = self.path(&format!("{name}.tmp"));
        fs::write(&beside, data)?;
        fs::rename(beside, path)
    }

    /// As [`Self::fill`], of bytes that may be no text: each octet is a character meanwhile.
    fn fill_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let text: String = bytes.iter().map(|b| char::from(*b)).collect();
        self.fill(&text).chars().map(|c| c as u8).collect()
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    /// A text without what differs from run to run.
    pub(super) fn blank(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, port) in self.ports.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text = text.replace(&port.number().to_string(), &format!("@{word}@"));
        }
        for (i, upstream) in self.upstreams.iter().enumerate() {
            let (word, port) = (format!("@UPSTREAM{}@", i + 1), upstream.port());
            text =
                text.replace(&format!("127.0.0.1:{port}"), &word).replace(&format!(":{port}:"), &format!(":{word}:"));
        }
        for (pattern, by) in BLANKS.iter() {
            text = pattern.replace_all(&text, *by).into_owned();
        }
        text.replace(&self.folder.path().display().to_string(), "@DIR@")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        // A name may lead out of its folder (`/abs`); it is joined as it stands, as the recordings were made.
        Path::new(self.folder.path()).join(name)
    }

    fn text_of(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// The exit status; of a process that a signal ended, the signal's number below zero.
pub(super) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

fn mentions_local(scenario: &Scenario) -> bool {
    let texts = scenario.files.values().chain(&scenario.corefile).chain(scenario.env.values());
    let replies = scenario.steps.iter().flatten().filter_map(|s| s.reply.as_ref());
    texts.into_iter().any(|t| t.contains("@LOCAL@")) || replies.into_iter().any(|r| r.to_string().contains("@LOCAL@"))
}

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("an expression")
}

static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"@([A-Z]+\d*)@"));

static BLANKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    vec![
        (regex(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "), ""),
        (regex(r"(\d:)\d+->"), "${1}…->"),
        (regex(r"(lookup \S+) on \S+:\d+: .*"), "${1} on …"),
        (regex(r"^\w+/\w+, go\S+, \S*$"), "OS/ARCH, GOVERSION, COMMIT"),
    ]
});

/// Keeps cloud libraries from asking the machine's metadata service.
const OFFLINE: [(&str, &str); 2] = [("AWS_EC2_METADATA_DISABLED", "true"), ("GCE_METADATA_HOST", "127.0.0.1:1")];
