//! How soon a change is answered, and what changes do to queries.

use crate::objects;
use crate::server::{Client, Server};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use testkit::Api;

/// What was measured of one server, each sorted.
pub struct Latencies {
    seen: Vec<Duration>,
    seen_busy: Vec<Duration>,
    query: Vec<Duration>,
    query_busy: Vec<Duration>,
}

/// Changed objects a second while it is busy.
const RATE: u32 = 500;

impl Latencies {
    /// Changes services and looks until the answer changes, at rest, and while slices change and questions come without end.
    pub fn measure(api: &Api, server: &Server, services: usize) -> Latencies {
        let seen = changes(api, server, 300);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| load(server, &stop));
            let query = queries(server, services);
            scope.spawn(|| churn(api, services, &stop));
            let query_busy = queries(server, services);
            let seen_busy = changes(api, server, 300);
            stop.store(true, Relaxed);
            Latencies { seen, seen_busy, query, query_busy }
        })
    }

    /// Prints the median and the 99th percentile of each, in microseconds.
    pub fn print(&self, name: &str) {
        for (what, all) in [
            ("change to answer, at rest", &self.seen),
            ("change to answer, 500 changes a second and full load", &self.seen_busy),
            ("query, full load", &self.query),
            ("query, 500 changes a second and full load", &self.query_busy),
        ] {
            let at = |part: usize| all[(all.len() * part / 100).min(all.len() - 1)].as_secs_f64() * 1e6;
            println!("{name:<10} {what}: median {:.0} µs, p99 {:.0} µs, {} times", at(50), at(99), all.len());
        }
    }
}

fn changes(api: &Api, server: &Server, times: u32) -> Vec<Duration> {
    let client = Client::new(server.address());
    let mut all = Vec::new();
    for n in 0..times {
        let address = [10, 201, (n >> 8) as u8, n as u8];
        let [a, b, c, d] = address;
        let object = objects::service("changing", &format!("{a}.{b}.{c}.{d}"));
        let begin = Instant::now();
        api.put(object);
        while client.ask("changing.ns0.svc.cluster.local") != Some(address) {
            // A server that serves from a cache for its TTL would hold up the whole run.
            if begin.elapsed() > Duration::from_secs(40) {
                break;
            }
        }
        all.push(begin.elapsed());
        if begin.elapsed() > Duration::from_secs(1) && all.len() > 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(7));
    }
    all.sort_unstable();
    all
}

/// Asks for one service after the other, as soon as the last is answered.
fn queries(server: &Server, services: usize) -> Vec<Duration> {
    let client = Client::new(server.address());
    let mut all: Vec<Duration> = (0..20_000)
        .map(|n| {
            let name = objects::service_name(n * 7 % services, services);
            let begin = Instant::now();
            client.ask(&name);
            begin.elapsed()
        })
        .collect();
    all.sort_unstable();
    all
}

/// Questions without end.
fn load(server: &Server, stop: &AtomicBool) {
    let client = Client::new(server.address());
    while !stop.load(Relaxed) {
        client.ask("service-1.ns1.svc.cluster.local");
    }
}

/// Changes slices.
fn churn(api: &Api, services: usize, stop: &AtomicBool) {
    let begin = Instant::now();
    for n in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        let number = n as usize * 13 % services;
        api.put(objects::slice(number, &objects::namespace(number, services), 10, n as usize));
        let due = begin + Duration::from_secs(1) / RATE * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
