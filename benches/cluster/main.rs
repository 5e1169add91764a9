//! What a cluster costs: memory, the time to the first answer, and how soon a change is answered.
//!
//! ```text
//! cargo bench --bench cluster                                   # this build
//! cargo bench --bench cluster -- --services 1000,10000,50000    # how it grows
//! cargo bench --bench cluster -- --pods 100000                  # with `pods verified`
//! cargo bench --bench cluster -- NAME=BINARY …                  # other servers that take CoreDNS's flags, in the same run
//! ```
//!
//! Every server reads the same simulated API server, whose objects carry what those of real clusters carry.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

mod latency;
#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/objects.rs"]
mod objects;
mod server;

use latency::Latencies;
use server::Server;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::Api;

struct Arguments {
    services: Vec<usize>,
    endpoints: usize,
    pods: usize,
    servers: Vec<(String, PathBuf)>,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments { services: vec![10_000], endpoints: 10, pods: 0, servers: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().expect("a number");
            match &*word {
                "--services" => {
                    all.services = number().split(',').map(|n| n.parse().expect("numbers with commas")).collect();
                }
                "--endpoints" => all.endpoints = number().parse().expect("a number"),
                "--pods" => all.pods = number().parse().expect("a number"),
                "--bench" => (),
                other => {
                    let (name, path) = other.split_once('=').expect("NAME=BINARY");
                    all.servers.push((name.into(), path.into()));
                }
            }
        }
        if all.servers.is_empty() {
            all.servers.push(("poddns".into(), env!("CARGO_BIN_EXE_poddns").into()));
        }
        all
    }
}

fn main() {
    let arguments = Arguments::read();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!(
        "{:<10} {:>8} {:>6} {:>7} | {:>9} {:>9} {:>9} {:>9} {:>9}",
        "server", "services", "each", "pods", "start ms", "list MB", "rest MB", "relist MB", "seen ms"
    );
    for &services in &arguments.services {
        let objects = objects::cluster(services, arguments.endpoints, arguments.pods);
        let api = runtime.block_on(Api::start(objects)).expect("an API server");
        for (name, binary) in &arguments.servers {
            let mut server = Server::start(binary, &api.kubeconfig(), arguments.pods > 0);
            let start = server.wait_for_service(services - 1, services);
            std::thread::sleep(Duration::from_secs(3));
            let (peak, rest) = (server.peak(), server.resident());
            let bytes = server.metrics("poddns_kubernetes_index_bytes");
            let (relist, seen) = runtime.block_on(restart(&api, &server, &format!("restarted-{name}")));
            println!(
                "{name:<10} {services:>8} {:>6} {:>7} | {:>9.0} {:>9.1} {:>9.1} {:>9.1} {:>9.0}",
                arguments.endpoints,
                arguments.pods,
                start.as_secs_f64() * 1e3,
                peak,
                rest,
                relist,
                seen.as_secs_f64() * 1e3,
            );
            bytes.iter().for_each(|line| println!("    {line}"));
            if services == arguments.services[0] {
                Latencies::measure(&api, &server, services).print(name);
            }
        }
    }
}

/// The API server restarts with its history gone: the most memory that the relist takes, in MB, and how long after the
/// restart a new service is answered.
async fn restart(api: &Api, server: &Server, name: &str) -> (f64, Duration) {
    server.forget_peak();
    api.down().await;
    api.compact();
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.put(objects::service(name, "10.200.0.1"));
    let begin = Instant::now();
    api.up().await.expect("the API server's port");
    server.wait_for(&format!("{name}.ns0.svc.cluster.local"), [10, 200, 0, 1]);
    let seen = begin.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    (server.peak(), seen)
}
