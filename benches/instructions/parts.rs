//! Parts of the way of a query, each by itself.

use crate::cases::{Case, ROUND, Work};
use crate::cluster::{self, A, Cluster, SERVICES, host, service};
use crate::objects;
use api::server::{Answering, Server, Site};
use api::task::Carry;
use api::test::{links, world};
use api::{Chain, Clock, Link, Owner, Panics, Plugin, Query, Result, Run, Section, Step, Ways};
use poddns::parts::{Admission, admit, seal};
use poddns_kubernetes::parts::Services;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A part.
pub struct Part {
    name: &'static str,
    set_up: fn() -> Box<dyn Work>,
}

/// All parts, in the order of the way.
pub const ALL: &[Part] = &[
    Part { name: "parse", set_up: || Box::new(Parse::of(question)) },
    Part { name: "parse, EDNS", set_up: || Box::new(Parse::of(question_with_edns)) },
    Part { name: "dispatch, 8 plugins", set_up: || Box::new(Dispatch::new()) },
    Part { name: "index look-up", set_up: || Box::new(LookUp::from(0)) },
    Part { name: "index look-up, no such name", set_up: || Box::new(LookUp::from(SERVICES)) },
    Part { name: "cache look-up, hit", set_up: || Box::new(Hit::new()) },
    Part { name: "seal", set_up: || Box::new(Seal::of(question)) },
    Part { name: "seal, EDNS", set_up: || Box::new(Seal::of(question_with_edns)) },
];

impl Case for Part {
    fn name(&self) -> &'static str {
        self.name
    }

    fn set_up(&self, _: &Cluster) -> Box<dyn Work> {
        (self.set_up)()
    }
}

/// A question for a service.
fn question(n: usize) -> Vec<u8> {
    cluster::question(&service(n), A)
}

fn question_with_edns(n: usize) -> Vec<u8> {
    cluster::with_edns(question(n))
}

/// From a message to a query.
struct Parse {
    message: fn(usize) -> Vec<u8>,
    messages: Vec<Vec<u8>>,
    q: Box<Query>,
}

impl Parse {
    fn of(message: fn(usize) -> Vec<u8>) -> Parse {
        let mut q = Box::default();
        assert_eq!(admit(&message(0), &mut q), Admission::Query);
        Parse { message, messages: Vec::new(), q }
    }
}

impl Work for Parse {
    fn prepare(&mut self, first: usize) {
        self.messages = round(first).map(self.message).collect();
    }

    fn work(&mut self) {
        for message in &self.messages {
            black_box(admit(message, &mut self.q));
        }
    }
}

/// From the first plugin of a chain to the last one and back.
struct Dispatch {
    chain: Chain,
    q: Query,
}

/// A plugin that has nothing to do, on both ways.
struct Idle;

impl Plugin for Idle {
    fn ways(&self) -> Ways {
        Ways::Both
    }

    fn query(&self, _: &mut Query) -> Result<Step> {
        Ok(Step::Next)
    }
}

/// A plugin that has the answer already.
struct Last;

impl Plugin for Last {
    fn query(&self, _: &mut Query) -> Result<Step> {
        Ok(Step::Done)
    }
}

impl Dispatch {
    fn new() -> Dispatch {
        let mut links: Vec<Link> = (0..8).map(|_| Link { name: "idle", plugin: Box::new(Idle) }).collect();
        links.push(Link { name: "last", plugin: Box::new(Last) });
        let (chain, mut q) = (Chain::new(links, Panics::Catch), Query::default());
        assert_eq!(chain.run(&mut q), Run::Done);
        Dispatch { chain, q }
    }
}

impl Work for Dispatch {
    fn prepare(&mut self, first: usize) {
        self.q.parse(&question(first)).expect("a question");
    }

    fn work(&mut self) {
        for _ in 0..ROUND {
            let _end = black_box(self.chain.run(&mut self.q));
        }
    }
}

/// From the labels of a name to the service.
struct LookUp {
    /// Services as the API server has them.
    objects: Vec<String>,
    services: Services,
    from: usize,
    owners: Vec<Vec<u8>>,
}

impl LookUp {
    /// Of services with the numbers from `from` on, which there are as far as they are those of the cluster.
    fn from(from: usize) -> LookUp {
        let objects = objects::cluster(SERVICES, 0, 0);
        let services = objects.iter().filter(|object| object["kind"] == "Service");
        let objects: Vec<String> = services.map(ToString::to_string).collect();
        let services = index(&objects);
        assert_eq!(services.knows(&owner(from)), from < SERVICES);
        LookUp { objects, services, from, owners: Vec::new() }
    }
}

fn index(objects: &[String]) -> Services {
    Services::read(objects.iter().map(String::as_str)).expect("JSON")
}

/// The labels of a service and its namespace.
fn owner(n: usize) -> Vec<u8> {
    let label = |text: String| [&[text.len() as u8], text.as_bytes()].concat();
    [label(format!("service-{n}")), label(objects::namespace(n, SERVICES))].concat()
}

impl Work for LookUp {
    /// Each index hashes with a key of its own, and so the figure is one of many keys.
    fn prepare(&mut self, first: usize) {
        self.services = index(&self.objects);
        self.owners = round(first).map(|n| owner(self.from + n % SERVICES)).collect();
    }

    fn work(&mut self) {
        for owner in &self.owners {
            black_box(self.services.knows(owner));
        }
    }
}

/// From a question to the reply that `cache` has.
struct Hit {
    cache: Box<dyn Plugin>,
    server: Arc<dyn Server>,
    queries: Vec<Query>,
}

/// A server of one block, for what is counted.
struct Block([Site; 1]);

impl Server for Block {
    fn sites(&self) -> &[Site] {
        &self.0
    }

    fn answer(&self, q: Box<Query>) -> Answering {
        Box::pin(std::future::ready(q))
    }
}

impl Hit {
    /// A cache with replies to all questions.
    fn new() -> Hit {
        let world = world(Clock::system(), Carry::default());
        let mut links = links(&poddns_cache::PLUGIN, "cache 3600", &world).expect("a line of a Corefile");
        let cache = links.pop().expect("a plugin").plugin;
        let site = Site { index: 0, server: "dns://:53".into(), zone: ".".into(), view: "".into() };
        let mut hit = Hit { cache, server: Arc::new(Block([site])), queries: queries() };
        hit.prepare(0);
        for q in &mut hit.queries {
            assert_eq!(hit.cache.query(q).expect("no error"), Step::Next);
            answer(q);
            assert_eq!(hit.cache.reply(q).expect("no error"), Step::Done);
            assert_eq!(hit.cache.query(q).expect("no error"), Step::Done);
        }
        hit
    }
}

impl Work for Hit {
    fn prepare(&mut self, first: usize) {
        for (q, n) in self.queries.iter_mut().zip(round(first)) {
            q.parse(&cluster::question(&host(n % ROUND), A)).expect("a question");
            q.set_server(&self.server);
            q.set_site(0);
        }
    }

    fn work(&mut self) {
        for q in &mut self.queries {
            let _step = black_box(self.cache.query(q));
        }
    }
}

/// From a reply to the message that is sent.
struct Seal {
    message: fn(usize) -> Vec<u8>,
    queries: Vec<Query>,
}

impl Seal {
    fn of(message: fn(usize) -> Vec<u8>) -> Seal {
        let mut all = Seal { message, queries: queries() };
        all.prepare(0);
        assert!(all.queries.iter_mut().all(|q| seal(q).is_some_and(|reply| reply[7] == 1)));
        all
    }
}

impl Work for Seal {
    fn prepare(&mut self, first: usize) {
        for (q, n) in self.queries.iter_mut().zip(round(first)) {
            q.parse(&(self.message)(n)).expect("a question");
            answer(q);
        }
    }

    fn work(&mut self) {
        for q in &mut self.queries {
            black_box(seal(q));
        }
    }
}

/// The numbers of a round.
fn round(first: usize) -> std::ops::Range<usize> {
    first..first + ROUND
}

fn queries() -> Vec<Query> {
    std::iter::repeat_with(Query::default).take(ROUND).collect()
}

/// Replies with an address.
fn answer(q: &mut Query) {
    let address = Ipv4Addr::new(192, 0, 2, 1).into();
    q.respond().push_address(Section::Answer, Owner::Question, 3_600, address);
}
