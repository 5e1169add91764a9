//! The servers that are measured, and what each has to be told.

use crate::stage::Stage;
use crate::works::{Asked, Logging, Transport, Work};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server.
pub struct Subject {
    pub name: String,
    pub kind: Kind,
}

/// How a server is told what to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// This program: the limit.
    Echo,
    /// A binary that takes CoreDNS's flags.
    Corefile(PathBuf),
    /// Servers that are installed on this machine.
    Nsd(PathBuf),
    Knot(PathBuf),
    Unbound(PathBuf),
}

/// The peers that are installed. Prints a line for each, also for those that are not.
pub fn peers() -> Vec<Subject> {
    [peer("nsd", "-v", Kind::Nsd), peer("knotd", "-V", Kind::Knot), peer("unbound", "-V", Kind::Unbound)]
        .into_iter()
        .flatten()
        .collect()
}

fn peer(name: &str, version: &str, kind: fn(PathBuf) -> Kind) -> Option<Subject> {
    let Some(path) = find(name) else {
        println!("{name} is not installed: left out");
        return None;
    };
    println!("{name}: {}", first_line(&path, version).unwrap_or_default());
    Some(Subject { name: name.into(), kind: kind(path) })
}

/// A program on the PATH, or where Debian has servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(servers).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What a program says first about its version.
fn first_line(program: &Path, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).ok()?;
    Some(said.lines().next()?.trim().to_owned())
}

impl Subject {
    /// Whether it can do this work.
    pub fn can_do(&self, work: &Work) -> bool {
        match self.kind {
            Kind::Echo => work.transport == Transport::Udp,
            Kind::Corefile(_) => true,
            Kind::Nsd(_) | Kind::Knot(_) => work.asked == Asked::Cluster && work.logging == Logging::Off,
            Kind::Unbound(_) => work.asked != Asked::Cluster,
        }
    }

    /// The command that starts it on a port; what it has to be told is written to `folder`, where it is to run.
    pub fn command(&self, work: &Work, stage: &Stage, port: u16, folder: &Path) -> Command {
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file in a folder of ours");
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder);
            command
        };
        match &self.kind {
            Kind::Echo => {
                let program = std::env::current_exe().expect("this program");
                run(&program, &["--echo", &port.to_string()])
            }
            Kind::Corefile(binary) => {
                write("kubeconfig", stage.kubeconfig());
                write("Corefile", corefile(work, stage, port));
                run(binary, &["-conf", "Corefile"])
            }
            Kind::Nsd(binary) => {
                write("conf", nsd(stage, port, folder));
                run(binary, &["-d", "-c", "conf"])
            }
            Kind::Knot(binary) => {
                write("conf", knot(stage, port, folder));
                run(binary, &["-c", "conf"])
            }
            Kind::Unbound(binary) => {
                write("conf", unbound(work, stage, port));
                run(binary, &["-d", "-c", "conf"])
            }
        }
    }
}

/// The Corefile that Kubernetes ships (`Corefile.example`), with addresses of this run.
fn corefile(work: &Work, stage: &Stage, port: u16) -> String {
    let mut text = String::new();
    for line in SHIPPED.lines().filter_map(|line| line.split('#').next()) {
        let line = line.trim_end();
        match line.split_whitespace().next() {
            Some(".:53") => writeln!(text, ".:{port} {{"),
            Some("errors") if work.logging == Logging::On => writeln!(text, "errors\nlog"),
            Some("health") => writeln!(text, "health {PAGE} {{"),
            Some("ready") => writeln!(text, "ready {PAGE}"),
            Some("prometheus") => writeln!(text, "prometheus {PAGE}"),
            Some("kubernetes") => writeln!(text, "{line}\nkubeconfig kubeconfig"),
            Some("forward") => writeln!(text, "forward . {} {{", stage.upstream()),
            _ => writeln!(text, "{line}"),
        }
        .expect("a string takes all");
    }
    text
}

/// Nobody reads these pages: any port will do.
const PAGE: &str = "127.0.0.1:0";

const SHIPPED: &str = include_str!("../../Corefile.example");

fn nsd(stage: &Stage, port: u16, folder: &Path) -> String {
    let (folder, zone) = (folder.display(), stage.zone().display());
    format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n zonesdir: \"{folder}\"\n database: \"\"\n \
         pidfile: \"{folder}/pid\"\n xfrdfile: \"\"\n zonelistfile: \"{folder}/zones\"\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n\
         zone:\n name: cluster.local\n zonefile: \"{zone}\"\n"
    )
}

fn knot(stage: &Stage, port: u16, folder: &Path) -> String {
    let (folder, zone) = (folder.display(), stage.zone().display());
    format!(
        "server:\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  rundir: \"{folder}\"\n\
         database:\n  storage: \"{folder}\"\n\
         zone:\n  - domain: cluster.local\n    file: \"{zone}\"\n    journal-content: none\n"
    )
}

fn unbound(work: &Work, stage: &Stage, port: u16) -> String {
    let upstream = stage.upstream();
    let no_cache = if work.asked == Asked::Misses { "yes" } else { "no" };
    format!(
        "server:\n interface: 127.0.0.1@{port}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n use-syslog: no\n pidfile: \"\"\n \
         num-threads: 1\n do-not-query-localhost: no\n module-config: \"iterator\"\n outgoing-range: 4096\n \
         num-queries-per-thread: 2048\n\
         remote-control:\n control-enable: no\n\
         forward-zone:\n name: \".\"\n forward-addr: {}@{}\n forward-no-cache: {no_cache}\n",
        upstream.ip(),
        upstream.port(),
    )
}
