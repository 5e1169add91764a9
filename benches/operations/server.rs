//! A server as a process.

use crate::memory::megabytes;
use crate::{Bench, Subject, question};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// The ports of a server, which it may share with its successor.
#[derive(Clone)]
pub struct Ports {
    /// Queries come in here.
    pub dns: Arc<Port>,
    health: Arc<Port>,
    ready: Arc<Port>,
    metrics: Arc<Port>,
}

impl Ports {
    /// Ports that are free.
    pub fn free() -> Ports {
        let [dns, health, ready, metrics] = std::array::from_fn(|_| Arc::new(Port::free()));
        Ports { dns, health, ready, metrics }
    }

    /// The pages on them.
    pub fn pages(&self) -> Vec<(u16, &'static str)> {
        vec![(self.health.number(), "/health"), (self.ready.number(), "/ready"), (self.metrics.number(), "/metrics")]
    }
}

/// A server; it ends with its owner.
pub struct Server {
    child: Child,
    folder: TempDir,
    corefile: String,
    ports: Ports,
}

impl Server {
    /// Starts a binary that takes CoreDNS's flags, and waits until it serves.
    pub fn start(bench: &Bench, subject: &Subject, ports: &Ports) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("kubeconfig"), bench.api.kubeconfig()).expect("written");
        let corefile = corefile(bench, ports);
        fs::write(folder.path().join("Corefile"), &corefile).expect("written");
        let log = File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new(&subject.binary);
        command.args(["-conf", "Corefile"]).current_dir(folder.path());
        command.stdout(log.try_clone().expect("a file")).stderr(log).stdin(Stdio::null());
        let child = bench.cores.spawn(&mut command).expect("the server runs");
        let server = Server { child, folder, corefile, ports: ports.clone() };
        server.wait_for("linux/", 1);
        // What it says may be said before all is open.
        let to = ([127, 0, 0, 1], ports.dns.number()).into();
        while testkit::ask(to, &question("s.d.svc.cluster.local."), Duration::from_millis(500)).is_err() {
            sleep(Duration::from_millis(5));
        }
        server
    }

    /// Writes the Corefile anew; in every other round with one block more.
    pub fn edit(&self, round: usize) {
        let more = format!("test.example:{} {{\n whoami\n}}\n", self.ports.dns.number());
        let more = if round % 2 == 1 { &more } else { "" };
        fs::write(self.folder.path().join("Corefile"), format!("{}{more}", self.corefile)).expect("written");
    }

    /// Waits until it has said something so often.
    pub fn wait_for(&self, words: &str, times: usize) {
        let begin = Instant::now();
        while self.log().matches(words).count() < times {
            assert!(begin.elapsed() < Duration::from_secs(60), "not said {times} times: {words}\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Resident memory, in MB.
    pub fn resident(&self) -> f64 {
        megabytes(self.child.id(), "VmRSS:").expect("it runs")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Stops it; how long that took, and whether it ended well.
    pub fn stop(mut self) -> (Duration, bool) {
        let begin = Instant::now();
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("a child of ours");
        (begin.elapsed(), status.code() == Some(0))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn corefile(bench: &Bench, ports: &Ports) -> String {
    let Ports { dns, health, ready, metrics } = ports;
    let upstream = bench.upstream.port();
    format!(
        ".:{dns} {{\n bind 127.0.0.1\n errors\n health 127.0.0.1:{}\n ready 127.0.0.1:{}\n prometheus 127.0.0.1:{}\n \
         kubernetes cluster.local {{\n  kubeconfig kubeconfig\n }}\n cache 3600\n forward . 127.0.0.1:{upstream}\n loadbalance\n}}\n\
         slow.test:{dns} {{\n bind 127.0.0.1\n forward . 127.0.0.1:{upstream}\n}}\n",
        health.number(),
        ready.number(),
        metrics.number(),
        dns = dns.number(),
    )
}

/// A page, whole.
pub fn page(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}
