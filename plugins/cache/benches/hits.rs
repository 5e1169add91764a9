//! What an answer from the cache costs: `cargo bench -p poddns-cache --bench hits [-- THREADS]`; for instructions put
//! `valgrind --tool=callgrind` in front of the binary.
#![expect(clippy::print_stdout, reason = "figures are for people")]

use api::task::Carry;
use api::test::{links, query, world};
use api::{Chain, Clock, Link, Owner, Panics, Plugin, Query, Result, Run, Section, Step};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NAMES: usize = 1_000;

/// Answers with two addresses.
struct Upstream;

impl Plugin for Upstream {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let reply = q.respond();
        for octet in [1, 2] {
            reply.push_address(Section::Answer, Owner::Question, 3_600, Ipv4Addr::new(192, 0, 2, octet).into());
        }
        Ok(Step::Done)
    }
}

fn main() {
    let threads = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1);
    let setup = world(Clock::system(), Carry::default());
    let mut cache = links(&poddns_cache::PLUGIN, "cache", &setup).expect("a cache");
    cache.push(Link { name: "upstream", plugin: Box::new(Upstream) });
    let chain = Arc::new(Chain::new(cache, Panics::End));
    let packets = |letters: &str| -> Vec<Vec<u8>> {
        (0..NAMES).map(|i| query(&format!("host-{i}.shop.{letters} A")).packet().to_vec()).collect()
    };
    let (same, others) = (packets("example."), packets("eXample."));
    run(&chain, &same, 1);
    for (what, packets) in [("many names", &same[..]), ("one name", &same[..1]), ("other letters", &others[..])] {
        let began: Vec<_> = (0..threads)
            .map(|_| {
                let (chain, packets) = (chain.clone(), packets.to_vec());
                std::thread::spawn(move || run(&chain, &packets, 1_000_000 / packets.len()))
            })
            .collect();
        let took: Vec<Duration> = began.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        let nanos = took.iter().sum::<Duration>().as_nanos() / threads as u128 / 1_000_000;
        println!("{what}: {nanos} ns on each of {threads} threads");
    }
}

/// Asks for all names so many times.
#[expect(clippy::disallowed_methods, reason = "it is the time of the machine that is measured")]
fn run(chain: &Chain, packets: &[Vec<u8>], times: usize) -> Duration {
    let mut q = Query::default();
    let began = Instant::now();
    for packet in (0..times).flat_map(|_| packets) {
        q.parse(packet).expect("a query");
        q.received = began;
        assert_eq!(chain.run(&mut q), Run::Done);
    }
    began.elapsed()
}
