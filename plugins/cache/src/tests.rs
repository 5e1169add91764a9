//! Dialogues with a cache over a plugin that counts what it is asked.

use super::*;
use crate::rules::{Limits, Prefetch, Rules, Stale};
use crate::store::Store;
use api::server::{Answering, Server, Site};
use api::task::{Work, set_host};
use api::test::{query, text};
use api::{Chain, Clock, Link, Name, Owner, Panics, RecordType, Run, Section};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};

/// Answers: `nx` does not exist, `live` is always up to date, `fail` fails, `cut` is truncated, all else has an address, the last
/// octet of which tells how often was asked. From the second time on `then-X-…` is what the name `X` is.
#[derive(Clone, Default)]
struct Upstream(Arc<AtomicUsize>);

impl Plugin for Upstream {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let number = self.0.fetch_add(1, Relaxed) + 1;
        let name = q.name().to_string();
        let authenticated = q.flags() & flag::AD;
        let reply = q.respond();
        reply.set_flags(flag::RA | flag::AD, flag::RA | authenticated);
        let address = Ipv4Addr::new(127, 0, 0, number as u8);
        let first = name.split('.').next().unwrap_or_default();
        let kind = match first.split('-').collect::<Vec<_>>()[..] {
            ["then", kind] if number > 1 => kind,
            _ => first,
        };
        match kind {
            "nx" => {
                reply.set_rcode(Rcode::NXDOMAIN);
                reply.push(Section::Authority, Owner::Suffix(first.len() + 1), RecordType::SOA, 60, |d| {
                    d.octets(&[0; 22]);
                });
            }
            "fail" => reply.set_rcode(Rcode::SERVFAIL),
            "silent" => return Ok(Step::Wait),
            _ => {
                reply.push_address(Section::Answer, Owner::Question, 300, address.into());
                reply.push_address(Section::Additional, Owner::Question, 200, Ipv4Addr::LOCALHOST.into());
                if kind == "live" {
                    reply.set_live();
                }
                if kind == "cut" {
                    reply.set_flags(flag::TC, flag::TC);
                }
            }
        }
        Ok(Step::Done)
    }

    /// Answers after ten seconds.
    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            q.respond().push_address(Section::Answer, Owner::Question, 300, Ipv4Addr::BROADCAST.into());
            Ok(Step::Done)
        })
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
        prefetch: None,
        stale: None,
    }
}

fn stale() -> Stale {
    Stale { limit: 3_600, mode: Mode::Immediate, ttl: 0, recheck: Duration::ZERO, prefer_positive: false }
}

struct Dialogue {
    chain: Arc<Chain>,
    server: Arc<dyn Server>,
    asked: Arc<AtomicUsize>,
    clock: Clock,
    background: Rc<RefCell<Vec<Work>>>,
}

/// A server of one block.
struct Serving(Arc<Chain>);

impl Server for Serving {
    fn sites(&self) -> &[Site] {
        static SITES: std::sync::OnceLock<[Site; 1]> = std::sync::OnceLock::new();
        let text = |text: &str| Arc::from(text);
        SITES.get_or_init(|| [Site { index: 0, server: text("dns://:53"), zone: text("."), view: text("") }])
    }

    fn answer(&self, q: Box<Query>) -> Answering {
        Box::pin(std::future::ready(q))
    }

    fn answer_below(&self, _site: usize, directive: &'static str, mut q: Box<Query>) -> Answering {
        let chain = self.0.clone();
        Box::pin(async move {
            assert_eq!(directive, "cache");
            if let Run::Wait(at) = chain.run_below(&mut q, 0) {
                assert_eq!(chain.finish(&mut q, at).await, Run::Done);
            }
            q
        })
    }
}

impl Dialogue {
    fn new(rules: Rules) -> Dialogue {
        let (upstream, clock) = (Upstream::default(), Clock::manual());
        let asked = upstream.0.clone();
        let store = Arc::new(Store::new(rules.success.capacity, rules.denial.capacity, clock.now()));
        let keeper = Arc::new(Keeper::new(rules, store, clock.clone()));
        let links = vec![
            Link { name: "cache", plugin: Box::new(Cache { keeper, live: Offered::default() }) },
            Link { name: "upstream", plugin: Box::new(upstream) },
        ];
        let chain = Arc::new(Chain::new(links, Panics::End));
        let background = Rc::<RefCell<Vec<Work>>>::default();
        let begun = background.clone();
        set_host(Box::new(move |_, work| {
            begun.borrow_mut().push(work);
            true
        }));
        Dialogue { server: Arc::new(Serving(chain.clone())), chain, asked, clock, background }
    }

    fn query(&self, question: &str) -> Query {
        let mut q = query(question);
        q.received = self.clock.now();
        q.set_server(&self.server);
        q
    }

    /// The reply, and how often the upstream has been asked for it.
    fn ask(&self, question: &str) -> (String, usize) {
        let before = self.asked.load(Relaxed);
        let mut q = self.query(question);
        assert_eq!(self.chain.run(&mut q), Run::Done);
        (text(&q), self.asked.load(Relaxed) - before)
    }

    /// The same, the reply as the code, the first address and its TTL.
    fn brief(&self, question: &str) -> (String, usize) {
        let (reply, asked) = self.ask(question);
        (brief(&reply), asked)
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Lets what has begun in the background come to its end, and tells how much that was.
    fn settle(&self) -> usize {
        let works = self.background.take();
        let mut cx = Context::from_waker(Waker::noop());
        let number = works.len();
        works.into_iter().for_each(|mut work| assert!(work.as_mut().poll(&mut cx).is_ready()));
        number
    }
}

/// `CODE ADDRESS TTL`, or `CODE` alone; with the number of the information for the client, if there is one.
fn brief(reply: &str) -> String {
    let code = reply.split_whitespace().next().unwrap_or_default();
    let record = reply.lines().find(|line| line.starts_with("answer"));
    let words = record.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let answer = words.map(|w| format!(" {} {}", w[5], w[2])).unwrap_or_default();
    let info = reply.lines().find(|line| line.starts_with("info")).map(|line| format!(" {line}")).unwrap_or_default();
    format!("{code}{answer}{info}").trim_end().to_owned()
}

#[test]
fn a_hit_counts_down_and_is_authoritative() {
    let d = Dialogue::new(rules());
    let records = |ttl: u32| format!("\nanswer A.x. {ttl} IN A 127.0.0.1\nadditional A.x. {ttl} IN A 127.0.0.1");
    assert_eq!(d.ask("A.x A"), (format!("NOERROR rd ra{}", records(200)), 1));
    d.later(150);
    assert_eq!(d.ask("A.x A"), (format!("NOERROR aa rd ra{}", records(50)), 0));
    assert_eq!(d.ask("a.X A +nord"), (format!("NOERROR aa ra{}", records(50)), 0), "owners keep their letters");
    d.later(50);
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

#[test]
fn what_is_used_often_is_asked_for_before_it_expires() {
    let prefetch = Some(Prefetch { amount: 2, gap: Some(Duration::from_secs(60)), percentage: 10 });
    let d = Dialogue::new(Rules { prefetch, ..rules() });
    let brief = |n: u8, ttl: u32| format!("NOERROR 127.0.0.{n} {ttl}");
    assert_eq!(d.brief("a.x A"), (brief(1, 200), 1));
    d.later(150);
    assert_eq!((d.brief("a.x A"), d.settle()), ((brief(1, 50), 0), 0), "one use, and not yet");
    d.later(29);
    assert_eq!((d.brief("a.x A"), d.settle()), ((brief(1, 21), 0), 0), "two, and not yet");
    d.later(1);
    assert_eq!(d.brief("a.x A"), (brief(1, 20), 0));
    assert_eq!(d.brief("A.x A"), (brief(1, 20), 0), "while it is asked for");
    assert_eq!(d.settle(), 1, "once, whoever asks");
    assert_eq!(d.brief("a.x A"), (brief(2, 200), 0));
    assert_eq!(d.asked.load(Relaxed), 2);
    d.later(190);
    assert_eq!((d.brief("a.x A"), d.settle()), ((brief(2, 10), 0), 0), "a gap that is too long");
    assert_eq!((d.brief("a.x A"), d.settle()), ((brief(2, 10), 0), 1));
}

#[test]
fn what_has_expired_is_answered_and_asked_for() {
    let d = Dialogue::new(Rules { stale: Some(Stale { recheck: Duration::from_secs(30), ..stale() }), ..rules() });
    let said = |n: u8, ttl: u32, info: &str| format!("NOERROR 127.0.0.{n} {ttl}{info}");
    assert_eq!(d.brief("a.x A"), (said(1, 200, ""), 1));
    d.later(200 + 3_599);
    assert_eq!(d.brief("a.X A"), (said(1, 0, " info 3"), 0));
    assert_eq!(d.brief("a.x A"), (said(1, 0, " info 3"), 0));
    assert_eq!(d.settle(), 1);
    assert_eq!(d.brief("a.x A"), (said(2, 200, ""), 0));
    d.later(200 + 3_600);
    assert_eq!(d.brief("a.x A"), (said(3, 200, ""), 1), "too old");

    let d = Dialogue::new(Rules { stale: Some(Stale { recheck: Duration::from_secs(30), ..stale() }), ..rules() });
    assert_eq!(d.brief("then-fail.x A"), (said(1, 200, ""), 1));
    d.later(201);
    for settled in [1, 0] {
        assert_eq!(d.brief("then-fail.x A"), (said(1, 0, " info 3"), 0));
        assert_eq!(d.settle(), settled, "nobody asks soon after a failure");
    }
    d.later(30);
    assert_eq!((d.brief("then-fail.x A").1, d.settle()), (0, 1));

    assert_eq!(d.brief("nx.x A"), ("NXDOMAIN".into(), 1));
    d.later(61);
    assert_eq!(d.brief("nx.x A"), ("NXDOMAIN info 19".into(), 0));
    assert_eq!(d.brief("fail.x A"), ("SERVFAIL".into(), 1));
    assert_eq!(d.brief("fail.x A"), ("SERVFAIL info 13".into(), 0));
}

#[test]
fn an_upstream_is_asked_before_what_has_expired_is_answered() {
    let verify = Stale { mode: Mode::Verify(Duration::ZERO), ttl: 7, ..stale() };
    let d = Dialogue::new(Rules { stale: Some(verify), ..rules() });
    assert_eq!(d.brief("a.x A"), ("NOERROR 127.0.0.1 200".into(), 1));
    d.later(300);
    assert_eq!(d.brief("a.x A"), ("NOERROR 127.0.0.2 200".into(), 1));
    let d = Dialogue::new(Rules { stale: Some(verify), ..rules() });
    d.ask("then-fail.x A");
    d.later(300);
    assert_eq!(d.brief("then-fail.x A"), ("NOERROR 127.0.0.1 7 info 3".into(), 1));
    let d = Dialogue::new(Rules { stale: Some(verify), ..rules() });
    d.ask("then-nx.x A");
    d.later(300);
    assert_eq!(d.brief("then-nx.x A"), ("NXDOMAIN".into(), 1));
    let d = Dialogue::new(Rules { stale: Some(Stale { prefer_positive: true, ..verify }), ..rules() });
    d.ask("then-nx.x A");
    d.later(300);
    assert_eq!(d.brief("then-nx.x A"), ("NOERROR 127.0.0.1 7 info 3".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_for_ever_and_the_exchange_goes_on() {
    let verify = Stale { mode: Mode::Verify(Duration::from_secs(1)), ..stale() };
    let d = Dialogue::new(Rules { stale: Some(verify), ..rules() });
    d.ask("then-silent.x A");
    d.later(300);
    for others in [1, 0] {
        let mut q = d.query("then-silent.x A");
        let Run::Wait(at) = d.chain.run(&mut q) else { panic!("it does not wait") };
        assert_eq!(d.chain.finish(&mut q, at).await, Run::Done);
        assert_eq!(brief(&text(&q)), "NOERROR 127.0.0.1 0 info 3");
        assert_eq!(d.background.borrow().len(), 1, "{others}: of those who wait one goes on");
    }
    let work = d.background.borrow_mut().pop().expect("there is one");
    work.await;
    assert_eq!(d.brief("then-silent.x A"), ("NOERROR 255.255.255.255 250".into(), 0));
}

/// A reply that somebody else wrote.
struct Says(Vec<u8>);

impl Plugin for Says {
    fn query(&self, q: &mut Query) -> Result<Step> {
        q.reply.adopt(&self.0).map_err(|_| api::Error::msg("malformed"))?;
        q.reply.set_id(q.id());
        Ok(Step::Done)
    }
}

#[test]
fn what_nobody_has_asked_for_is_not_kept() {
    let (a, cname, dname) = (RecordType::A, RecordType::CNAME, RecordType(39));
    let (x, y) = (b"\x01x\x04test\0", b"\x01y\x04test\0");
    type Records<'a> = &'a [(&'a [u8], RecordType, u16, u32)];
    let cases: &[(&str, Records<'_>, bool)] = &[
        ("an answer", &[(x, a, 1, 60)], true),
        ("an alias", &[(x, cname, 1, 60), (y, a, 1, 60)], true),
        ("in another order", &[(y, a, 1, 60), (x, cname, 1, 60)], true),
        ("an alias from above", &[(b"\x04test\0", dname, 1, 60), (x, cname, 1, 60), (y, a, 1, 60)], true),
        ("an alias that leads nowhere", &[(x, cname, 1, 60)], false),
        ("another name", &[(y, a, 1, 60)], false),
        ("another name too", &[(x, a, 1, 60), (y, a, 1, 60)], false),
        ("another name behind an alias", &[(x, cname, 1, 60), (y, a, 1, 60), (b"\x01z\0", a, 1, 60)], false),
        ("another class", &[(x, a, 3, 60)], false),
        ("another class too", &[(x, a, 1, 60), (x, a, 3, 60)], false),
    ];
    for (what, records, kept) in cases {
        let mut message = b"\0\0\x81\x80\0\x01\0\0\0\0\0\0\x01x\x04test\0\0\x01\0\x01".to_vec();
        message[7] = records.len() as u8;
        for (owner, rtype, class, ttl) in *records {
            let data = if *rtype == a { &[127, 0, 0, 1][..] } else { y };
            message.extend_from_slice(owner);
            [rtype.0, *class].into_iter().for_each(|n| message.extend_from_slice(&n.to_be_bytes()));
            message.extend_from_slice(&ttl.to_be_bytes());
            message.extend_from_slice(&[0, data.len() as u8]);
            message.extend_from_slice(data);
        }
        let clock = Clock::manual();
        let store = Arc::new(Store::new(100, 100, clock.now()));
        let keeper = Arc::new(Keeper::new(rules(), store, clock));
        let links = vec![
            Link { name: "cache", plugin: Box::new(Cache { keeper, live: Offered::default() }) },
            Link { name: "says", plugin: Box::new(Says(message)) },
        ];
        let chain = Chain::new(links, Panics::End);
        let mut q = query("x.test A");
        assert_eq!(chain.run(&mut q), Run::Done);
        let first = text(&q);
        let mut q = query("x.test A");
        assert_eq!(chain.run(&mut q), Run::Done);
        assert_eq!(text(&q).contains(" aa "), *kept, "{what}: {first}");
    }
}

#[test]
fn a_ttl_with_the_highest_bit_set_is_none() {
    let mut q = query("a. A");
    q.respond().push_address(Section::Answer, Owner::Question, 1 << 31, Ipv4Addr::LOCALHOST.into());
    assert_eq!(rules().ttl(&q.reply, api::Kind::Answer), 5);
}
