//! What clients and scrapers notice of reloads, stops and successors under load.
//!
//! ```text
//! cargo bench --bench operations                                     # this build: 100 of each at 20,000 queries a second
//! cargo bench --bench operations -- --times 20 --rate 5000           # a short look
//! cargo bench --bench operations -- --only reload NAME=BINARY …      # other servers that take CoreDNS's flags, in the same run
//! ```
//!
//! The exit status is 1 when a server called `poddns` does not reach one of the bars.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

#[path = "../common/cores.rs"]
mod cores;
#[path = "../common/memory.rs"]
mod memory;
mod reloads;
mod report;
mod scraper;
mod server;
mod stops;

use cores::Cores;
use report::Row;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use testkit::dns::Message;
use testkit::{Api, Plan, Port, Upstream};
use tokio::runtime::{Builder, Runtime};

/// A server that is measured.
pub struct Subject {
    name: String,
    binary: PathBuf,
}

/// What surrounds the servers.
pub struct Bench {
    _runtime: Runtime,
    cores: Cores,
    api: Api,
    upstream: Upstream,
    /// Reloads, stops, successors.
    times: usize,
    /// Queries a second.
    rate: usize,
}

/// Names outside of the cluster that are asked for.
const NAMES: usize = 1_000;
/// Clients over UDP; over TCP, with a connection that they keep; over TCP, with one for each query.
const CLIENTS: [usize; 3] = [180, 18, 2];

impl Bench {
    /// Clients that ask for names of the cluster, for others, and for such as are not kept.
    pub fn plan(&self, port: &Port) -> Plan {
        let cluster = ["s.d.svc.cluster.local.", "no.d.svc.cluster.local."].map(question);
        let queries = (0..NAMES).flat_map(|n| {
            let kept = question(&format!("n{n}.example.org."));
            [cluster[0].clone(), kept.clone(), cluster[1].clone(), kept]
        });
        let mut queries: Vec<_> = queries.collect();
        queries.push(question("slow.test."));
        let [udp, tcp, fresh] = CLIENTS;
        let pace = Duration::from_secs(CLIENTS.iter().sum::<usize>() as u64) / self.rate as u32;
        Plan { server: ([127, 0, 0, 1], port.number()).into(), udp, tcp, fresh, pace, queries }
    }
}

fn question(name: &str) -> Vec<u8> {
    Message::query(name, 1).to_wire()
}

struct Arguments {
    only: Vec<String>,
    times: usize,
    rate: usize,
    subjects: Vec<Subject>,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments { only: Vec::new(), times: 100, rate: 20_000, subjects: Vec::new() };
        let mut words = std::env::args().skip(1);
        let number = |word: Option<String>| word.and_then(|n| n.parse().ok()).expect("a number");
        while let Some(word) = words.next() {
            match &*word {
                "--only" => all.only = words.next().expect("names").split(',').map(str::to_owned).collect(),
                "--times" => all.times = number(words.next()),
                "--rate" => all.rate = number(words.next()),
                "--bench" => (),
                other => {
                    let (name, path) = other.split_once('=').expect("NAME=BINARY");
                    let binary = std::fs::canonicalize(path).expect("a binary");
                    all.subjects.push(Subject { name: name.into(), binary });
                }
            }
        }
        if all.subjects.is_empty() {
            all.subjects.push(Subject { name: OURS.into(), binary: env!("CARGO_BIN_EXE_poddns").into() });
        }
        all
    }
}

type Scenario = fn(&Bench, &Subject) -> Row;
const SCENARIOS: [(&str, Scenario); 3] =
    [("reload", reloads::reload), ("stop", stops::stop), ("successor", stops::successor)];

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let cores = Cores::share_out();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let service =
        json!({"kind": "Service", "metadata": {"namespace": "d", "name": "s"}, "spec": {"clusterIP": "10.96.0.7"}});
    let objects = [json!({"kind": "Namespace", "metadata": {"name": "d"}}), service];
    let api = runtime.block_on(Api::start(objects)).expect("an API server");
    let upstream = runtime.block_on(Upstream::start(script())).expect("an upstream");
    let bench = Bench { _runtime: runtime, cores, api, upstream, times: arguments.times, rate: arguments.rate };
    let mut ours = Vec::new();
    report::head();
    for (_, scenario) in
        SCENARIOS.iter().filter(|(name, _)| arguments.only.is_empty() || arguments.only.iter().any(|o| o == name))
    {
        for subject in &arguments.subjects {
            let row = scenario(&bench, subject);
            row.print();
            ours.extend((subject.name == OURS).then_some(row));
        }
    }
    let fails: Vec<String> = ours.iter().flat_map(Row::fails).collect();
    fails.iter().for_each(|fail| println!("FAILS {fail}"));
    if fails.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the upstream answers: names that are kept for long, and one that takes its time.
fn script() -> testkit::upstream::Script {
    let kept = (0..NAMES).map(|n| {
        let name = format!("n{n}.example.org");
        let answer = format!("{name}. 3600 IN A 10.0.0.1");
        (format!("{name} a"), json!({"answer": [answer]}))
    });
    let slow = ("slow.test a".to_owned(), json!({"answer": ["slow.test. 5 IN A 10.0.0.2"], "delay": 0.03}));
    let script: serde_json::Map<_, _> = kept.chain([slow]).collect();
    serde_json::from_value(script.into()).expect("a script")
}

/// The name of the server that has to reach the bars.
const OURS: &str = "poddns";
