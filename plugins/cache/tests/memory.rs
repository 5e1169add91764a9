//! What the entries take of the process's memory: `cargo test -p poddns-cache --test memory -- --nocapture` shows it.
#![expect(clippy::print_stdout, reason = "figures are for people")]

use api::task::Carry;
use api::test::{links, query, world};
use api::{Chain, Clock, Link, Owner, Panics, Plugin, Query, RecordType, Result, Run, Section, Step};
use std::net::Ipv4Addr;

const ENTRIES: usize = 100_000;
/// Octets of memory for each octet of a message, and for each entry.
const FACTOR: f64 = 1.3;
const EACH: f64 = 64.0;

/// Answers with an alias and two addresses, as a service in a cloud would be.
struct Upstream;

impl Plugin for Upstream {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let reply = q.respond();
        reply.push(Section::Answer, Owner::Question, RecordType::CNAME, 300, |d| {
            d.under_question_compressed(b"\x03edg", 0);
        });
        for octet in [1, 2] {
            reply.push_address(Section::Answer, Owner::Under(b"\x03edg"), 60, Ipv4Addr::new(192, 0, 2, octet).into());
        }
        Ok(Step::Done)
    }
}

#[test]
fn entries_take_little_more_than_their_messages() {
    let mut cache =
        links(&poddns_cache::PLUGIN, "cache {\nsuccess 130000\n}", &world(Clock::system(), Carry::default()))
            .expect("a cache");
    cache.push(Link { name: "upstream", plugin: Box::new(Upstream) });
    let chain = Chain::new(cache, Panics::End);
    let questions: Vec<String> = (0..ENTRIES).map(|i| format!("host-{i:06}.shop.example. A")).collect();
    let mut q = query(&questions[0]);
    assert_eq!(chain.run(&mut q), Run::Done);
    let octets = q.reply.bytes().len();

    let before = resident();
    for question in &questions {
        let mut q = query(question);
        assert_eq!(chain.run(&mut q), Run::Done);
    }
    let taken = resident() - before;
    let is_kept = |question: &&String| {
        let mut q = query(question);
        assert_eq!(chain.run(&mut q), Run::Done);
        q.reply.flags() & api::wire::flag::AA != 0
    };
    let kept = 10 * questions.iter().step_by(10).filter(is_kept).count(); // most are: one of ten tells
    let budget = kept as f64 * (octets as f64 * FACTOR + EACH);
    println!(
        "{kept} entries of {octets} octets: {taken} octets of memory, {:.1} each; budget {:.1} each",
        taken as f64 / kept as f64,
        budget / kept as f64
    );
    assert!(kept > ENTRIES * 9 / 10, "{kept}");
    assert!((taken as f64) < budget, "{taken} of {budget}");
}

/// Octets of the process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident size");
    line.split_whitespace().next().and_then(|number| number.parse::<usize>().ok()).expect("a number") * 1024
}
