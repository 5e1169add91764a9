//! Whole queries, from a message to its reply.

use crate::cases::{Case, ROUND, Work};
use crate::cluster::{self, A, Cluster, ENDPOINTS, SERVICES, service};
use crate::objects;
use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;

/// A kind of queries.
#[derive(Clone, Copy)]
pub struct Whole {
    name: &'static str,
    rtype: u16,
    /// The name that is asked for, by a number.
    question: fn(usize) -> String,
    /// The name that is asked for when it is measured.
    measured: fn(usize) -> String,
    /// Records in the answer, and response code, that are expected.
    expected: fn(usize) -> (u16, u8),
    transport: Transport,
    /// What is in the server block besides.
    more: &'static str,
    edns: bool,
}

/// All kinds.
pub const ALL: &[Whole] = &[
    whole("A", A, service, |n| if objects::is_headless(n) { (ENDPOINTS as u16, 0) } else { (1, 0) }),
    whole("A of a cluster address", A, |n| service(plain(n)), |_| (1, 0)),
    Whole { edns: true, ..whole("A of a cluster address, EDNS", A, |n| service(plain(n)), |_| (1, 0)) },
    whole("A headless, 10 endpoints", A, |n| service(headless(n)), |_| (ENDPOINTS as u16, 0)),
    whole("A of an endpoint's name", A, endpoint, |_| (1, 0)),
    whole("AAAA", AAAA, service, |_| (0, 0)),
    whole("SRV of a cluster address", SRV, |n| port(plain(n)), |_| (1, 0)),
    whole("SRV headless, 10 endpoints, cut", SRV, |n| port(headless(n)), |n| (if n < 10 { 7 } else { 6 }, 0)),
    Whole {
        edns: true,
        ..whole("SRV headless, 10 endpoints, EDNS", SRV, |n| port(headless(n)), |_| (ENDPOINTS as u16, 0))
    },
    whole("search path miss", A, |n| format!("{}.{}.svc.cluster.local", service(n), space(n)), |_| (0, 3)),
    whole("search path miss, foreign", A, |n| format!("www.example.org.{}.svc.cluster.local", space(n)), |_| (0, 3)),
    whole("PTR of a cluster address", PTR, |n| reverse(&objects::cluster_address(plain(n))), |_| (1, 0)),
    whole("cache hit", A, host, |_| (1, 0)),
    Whole { edns: true, ..whole("cache hit, EDNS", A, host, |_| (1, 0)) },
    Whole { measured: |n| host(n).replace('o', "O"), ..whole("cache hit, other letters", A, host, |_| (1, 0)) },
    Whole {
        measured: |n| format!("new-{n}.example.org"),
        ..whole("forwarded miss", A, |n| format!("old-{n}.example.org"), |_| (1, 0))
    },
    Whole { transport: Transport::Tcp, ..whole("A of a cluster address, TCP", A, |n| service(plain(n)), |_| (1, 0)) },
    Whole { more: "log", ..whole("A of a cluster address, log", A, |n| service(plain(n)), |_| (1, 0)) },
];

const PTR: u16 = 12;
const AAAA: u16 = 28;
const SRV: u16 = 33;

const fn whole(
    name: &'static str,
    rtype: u16,
    question: fn(usize) -> String,
    expected: fn(usize) -> (u16, u8),
) -> Whole {
    Whole { name, rtype, question, measured: question, expected, transport: Transport::Udp, more: "", edns: false }
}

fn host(n: usize) -> String {
    cluster::host(n % 50)
}

fn space(n: usize) -> String {
    objects::namespace(n, SERVICES)
}

fn port(n: usize) -> String {
    format!("_http._tcp.{}", service(n))
}

fn endpoint(n: usize) -> String {
    let n = headless(n);
    format!("service-{n}-{}.{}", n % ENDPOINTS, service(n))
}

/// A headless service.
fn headless(n: usize) -> usize {
    let n = n % SERVICES;
    n - n % 5
}

/// A service with a cluster address.
fn plain(n: usize) -> usize {
    let n = n % SERVICES;
    if objects::is_headless(n) { n + 1 } else { n }
}

fn reverse(address: &str) -> String {
    let mut octets: Vec<&str> = address.split('.').collect();
    octets.reverse();
    format!("{}.in-addr.arpa", octets.join("."))
}

impl Case for Whole {
    fn name(&self) -> &'static str {
        self.name
    }

    /// A server that has answered all questions once.
    fn set_up(&self, cluster: &Cluster) -> Box<dyn Work> {
        let mut server = InProcess::start(&standard(), &cluster.corefile(self.more)).expect("a server");
        for n in 0..SERVICES {
            let reply = server.answer(&self.message(&(self.question)(n)), self.transport).expect("a reply");
            let got = (u16::from_be_bytes([reply[6], reply[7]]), reply[3] & 15);
            assert_eq!(got, (self.expected)(n), "{}: {}", self.name, (self.question)(n));
        }
        Box::new(Asking { case: *self, server, queries: Vec::new() })
    }
}

impl Whole {
    fn message(&self, name: &str) -> Vec<u8> {
        let message = cluster::question(name, self.rtype);
        if self.edns { cluster::with_edns(message) } else { message }
    }
}

/// A server that is asked.
struct Asking {
    case: Whole,
    server: InProcess,
    queries: Vec<Vec<u8>>,
}

impl Work for Asking {
    fn prepare(&mut self, first: usize) {
        let case = self.case;
        self.queries = (first..first + ROUND).map(|n| case.message(&(case.measured)(n))).collect();
    }

    fn work(&mut self) {
        for query in &self.queries {
            std::hint::black_box(self.server.answer(query, self.case.transport));
        }
    }
}
