//! Dialogues with a cache over a plugin that counts what it is asked.

use super::*;
use crate::rules::Limits;
use api::test::{query, text};
use api::{Chain, Link, Name, Owner, Panics, Rcode, RecordType, Run, Section};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Answers: `nx` does not exist, `live` is always up to date, `fail` fails, `cut` is truncated, all else has an address.
#[derive(Clone, Default)]
struct Upstream(Arc<AtomicUsize>);

impl Plugin for Upstream {
    fn query(&self, q: &mut Query) -> Result<Step> {
        self.0.fetch_add(1, Relaxed);
        let name = q.name().to_string();
        let authenticated = q.flags() & flag::AD;
        let reply = q.respond();
        reply.set_flags(flag::RA | flag::AD, flag::RA | authenticated);
        match name.split('.').next().unwrap_or_default() {
            "nx" => {
                reply.set_rcode(Rcode::NXDOMAIN);
                reply.push(Section::Authority, Owner::Suffix(3), RecordType::SOA, 60, |d| d.octets(&[0; 22]));
            }
            "fail" => reply.set_rcode(Rcode::SERVFAIL),
            first => {
                reply.push_address(Section::Answer, Owner::Question, 300, Ipv4Addr::LOCALHOST.into());
                reply.push_address(Section::Additional, Owner::Question, 200, Ipv4Addr::LOCALHOST.into());
                if first == "live" {
                    reply.set_live();
                }
                if first == "cut" {
                    reply.set_flags(flag::TC, flag::TC);
                }
            }
        }
        Ok(Step::Done)
    }
}

fn rules() -> Rules {
    let limits = Limits { capacity: 100, max: 250, min: 5 };
    let zones = || [Name::root()].into();
    Rules {
        zones: zones(),
        success: limits,
        denial: limits,
        servfail: 5,
        no_success: [].into(),
        no_denial: [].into(),
        keep_ttl: false,
    }
}

struct Dialogue {
    chain: Chain,
    asked: Arc<AtomicUsize>,
    later: Duration,
}

impl Dialogue {
    fn new(rules: Rules) -> Dialogue {
        let upstream = Upstream::default();
        let asked = upstream.0.clone();
        let store = Arc::new(Store::new(rules.success.capacity, rules.denial.capacity));
        let (live, clock) = (Offered::default(), Clock::system());
        let cache = Cache { rules, store, live, label: String::new(), counters: PerSite::default(), clock };
        let links = vec![
            Link { name: "cache", plugin: Box::new(cache) },
            Link { name: "upstream", plugin: Box::new(upstream) },
        ];
        Dialogue { chain: Chain::new(links, Panics::End), asked, later: Duration::ZERO }
    }

    /// The reply, and how often the upstream has been asked for it.
    fn ask(&self, question: &str) -> (String, usize) {
        let before = self.asked.load(Relaxed);
        let mut q = query(question);
        q.received += self.later;
        assert_eq!(self.chain.run(&mut q), Run::Done);
        (text(&q), self.asked.load(Relaxed) - before)
    }
}

#[test]
fn a_hit_counts_down_and_is_authoritative() {
    let mut d = Dialogue::new(rules());
    let records = |ttl: u32| format!("\nanswer A.x. {ttl} IN A 127.0.0.1\nadditional A.x. {ttl} IN A 127.0.0.1");
    assert_eq!(d.ask("A.x A"), (format!("NOERROR rd ra{}", records(200)), 1));
    d.later = Duration::from_secs(150);
    assert_eq!(d.ask("A.x A"), (format!("NOERROR aa rd ra{}", records(50)), 0));
    assert_eq!(d.ask("a.X A +nord"), (format!("NOERROR aa ra{}", records(50)), 0), "owners keep their letters");
    d.later = Duration::from_secs(200);
    assert_eq!(d.ask("A.x A").1, 1, "expired");
}

#[test]
fn what_shares_an_entry() {
    let d = Dialogue::new(rules());
    for (question, asked) in
        [("a. A", 1), ("a. AAAA", 1), ("a. A +do", 1), ("a. A CH", 1), ("a. A +bufsize=4096", 0), ("a. A", 0)]
    {
        assert_eq!(d.ask(question).1, asked, "{question}");
    }
}

#[test]
fn what_is_not_kept() {
    let d = Dialogue::new(Rules { servfail: 0, no_success: [Name::from_text("off").unwrap()].into(), ..rules() });
    for question in ["live.x A", "cut.x A", "fail.x A", "a.off A"] {
        assert_eq!((d.ask(question).1, d.ask(question).1), (1, 1), "{question}");
    }
    assert!(d.ask("live.x A").0.contains(" 200 IN A"), "what is not kept has a TTL within the bounds too");
    let d = Dialogue::new(rules());
    for question in ["nx.x A", "fail.x A", "a.x A"] {
        assert_eq!((d.ask(question).1, d.ask(question).1), (1, 0), "{question}");
    }
}

#[test]
fn authenticated_data_is_for_those_who_understand_it() {
    let d = Dialogue::new(rules());
    assert!(d.ask("a.x A").0.starts_with("NOERROR rd ra\n"));
    assert!(d.ask("a.x A +do").0.starts_with("NOERROR rd ra ad\n"));
    assert!(d.ask("a.x A +do").0.starts_with("NOERROR aa rd ra ad\n"));
}

#[test]
fn memory_is_bounded() {
    let d = Dialogue::new(rules());
    (0..5_000).for_each(|i| drop(d.ask(&format!("n{i}.x A"))));
    let kept = (0..5_000).filter(|i| d.ask(&format!("n{i}.x A")).1 == 0).count();
    assert!((1..=1_024).contains(&kept), "{kept}");
}
