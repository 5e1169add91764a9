//! All upstreams are black holes, and clients ask as ever.

use super::{GOOD_MANNERS, SECOND};
use crate::load::Plan;
use crate::message::{GOOD, Question};
use crate::report::{Row, milliseconds};
use crate::server::{Block, Server};
use crate::tally::{Outcomes, Tally};
use crate::upstream::{Fault, Upstream};
use crate::{Bench, Subject};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Api;

/// Streams of the plan.
const CLUSTER: usize = 0;
const HITS: usize = 1;
const EXTERNAL: usize = 2;

/// Questions a second that nobody answers.
const RATE: u32 = 10_000;

/// Names of the cluster, and names in the cache.
const NAMES: usize = 200;

/// Names of the cluster and cache hits at rest, beside ten times as many names of the cluster, and beside as many questions that nobody
/// answers: what the load itself costs, its own core above all, is no fault of the black hole.
pub fn blackhole(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let runtime = bench.runtime.handle();
    let api = runtime.block_on(Api::start((0..NAMES).map(service).chain([namespace()]))).expect("an API server");
    let upstreams = [0; 2].map(|_| Upstream::start(runtime, GOOD_MANNERS));
    let addresses = upstreams.each_ref().map(Upstream::address);
    let block = Block::forward(addresses.iter().map(String::as_str))
        .file("kubeconfig", api.kubeconfig())
        .line("kubernetes cluster.local {\n  kubeconfig kubeconfig\n }")
        .line("cache 300");
    let server = Server::start(bench, subject, &block)?;
    let warm = Plan::default().add(HITS, 1000, (Duration::ZERO, SECOND / 5), hit);
    assert_eq!(warm.run(runtime, server.address()).all().bad(), 0, "the cache is warm");
    let rest = served(bench.part).run(runtime, server.address());
    let full = served(bench.part).add(EXTERNAL, RATE, (Duration::ZERO, bench.part), cluster);
    let full = full.run(runtime, server.address());
    assert_eq!(rest.all().bad() + full.all().bad(), 0, "all is answered while upstreams are alive");
    for upstream in &upstreams {
        upstream.behave(Fault::BlackHole);
        upstream.take();
    }
    let (busy, seen) = saturate(bench, &server, &upstreams);
    let counters = refusals(&server);
    Ok(vec![
        beside("blackhole cluster", subject, CLUSTER, [&rest, &full, &busy], bench.part * 2),
        beside("blackhole hits", subject, HITS, [&rest, &full, &busy], bench.part * 2),
        external(subject, &busy.stream(EXTERNAL), &seen, &counters),
    ])
}

/// What was seen from outside of the clients, at saturation, later, and at the end.
struct Seen {
    resident: [f64; 3],
    packets: [usize; 3],
    /// From the second sight to the third.
    between: Duration,
}

fn saturate(bench: &Bench, server: &Server, upstreams: &[Upstream]) -> (Outcomes, Seen) {
    let times = [1, 2, 6].map(|part| bench.part * part);
    let plan = served(times[2]).add(EXTERNAL, RATE, (Duration::ZERO, times[2]), super::fresh("external"));
    let load = plan.start(bench.runtime.handle(), server.address());
    let seen = times.map(|time| {
        load.until(time);
        (server.resident(), upstreams.iter().map(Upstream::count).sum())
    });
    let seen = Seen {
        resident: seen.map(|(resident, _)| resident),
        packets: seen.map(|(_, packets)| packets),
        between: times[2] - times[1],
    };
    (load.finish(), seen)
}

/// A thousand questions a second for names of the cluster, and as many for names in the cache.
fn served(until: Duration) -> Plan {
    Plan::default().add(CLUSTER, 1000, (Duration::ZERO, until), cluster).add(HITS, 1000, (Duration::ZERO, until), hit)
}

/// One stream at rest, beside as many questions that are answered, and beside those that nobody answers; `settled` is when a server
/// knows that nobody does.
fn beside(
    scenario: &str,
    subject: &Subject,
    stream: usize,
    [rest, full, busy]: [&Outcomes; 3],
    settled: Duration,
) -> Row {
    let (rest, full, later) = (rest.stream(stream), full.stream(stream), busy.stream_from(stream, settled));
    let (p50, p99, later) = (rest.latency(0.5), rest.latency(0.99), later.latency(0.99));
    let busy = busy.stream(stream);
    Row::new(scenario, &subject.name, &busy)
        .note(format!("p99 from {} s on {} ms", settled.as_secs(), milliseconds(later)))
        .note(format!("at rest p50 {} ms, p99 {} ms", milliseconds(p50), milliseconds(p99)))
        .note(format!("beside as many that are answered p99 {} ms", milliseconds(full.latency(0.99))))
        .at_most("p99", busy.latency(0.99), full.latency(0.99) * 2)
        .none_of("losses and other bad outcomes", busy.bad())
}

fn external(subject: &Subject, tally: &Tally, seen: &Seen, counters: &[String]) -> Row {
    let [first, later, last] = seen.resident;
    let highest = first.max(later).max(last);
    let packets = (seen.packets[2] - seen.packets[1]) as f64 / seen.between.as_secs_f64();
    let codes: Vec<String> = tally.codes.iter().map(|(code, number)| format!("rcode {code}: {number}")).collect();
    Row::new("blackhole external", &subject.name, tally)
        .note(codes.join(" "))
        .note(format!("RSS {first:.1}, {later:.1}, {last:.1} MB"))
        .note(format!("{} packets to the dead, {packets:.1}/s at the end", seen.packets[2]))
        .note(counters.join(" "))
        .bar("memory stays within 10 %", format!("{highest:.1} of {first:.1} MB"), highest <= first * 1.1)
        // Two upstreams, and one packet for where the time that was watched ends.
        .bar("at most one packet a second to each of the dead", format!("{packets:.1}/s"), packets <= 2.1)
        .none_of("questions without a reply", tally.lost)
        .bar("refusals are counted by cause", format!("{} counters", counters.len()), !counters.is_empty())
}

/// The counters of refused work that are not 0.
fn refusals(server: &Server) -> Vec<String> {
    const NAMES: [&str; 3] = ["shed_dropped_total", "concurrent_rejects_total", "coredns_forward_"];
    let is_counter = |line: &String| !line.starts_with('#') && NAMES.iter().any(|name| line.contains(name));
    let mut all = server.metrics();
    all.retain(|line| is_counter(line) && line.contains("_total") && !line.ends_with(" 0"));
    all
}

fn hit(n: usize) -> (Question, [u8; 4]) {
    (Question::a(format!("hit-{}.example.org", n % NAMES)), GOOD)
}

fn cluster(n: usize) -> (Question, [u8; 4]) {
    let number = n * 7 % NAMES;
    (Question::a(format!("service-{number}.default.svc.cluster.local")), address(number))
}

fn address(number: usize) -> [u8; 4] {
    [10, 96, 0, number as u8]
}

fn namespace() -> Value {
    json!({"kind": "Namespace", "metadata": {"name": "default"}})
}

fn service(number: usize) -> Value {
    let [a, b, c, d] = address(number);
    let address = format!("{a}.{b}.{c}.{d}");
    json!({"kind": "Service", "metadata": {"name": format!("service-{number}"), "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
}
