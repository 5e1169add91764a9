//! The kinds of queries.

use crate::objects;
use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;
use std::net::UdpSocket;

/// Queries that are measured of each kind.
pub const QUERIES: u64 = 1_000;
const SERVICES: usize = 1_000;
const ENDPOINTS: usize = 10;

/// A kind of queries.
pub struct Case {
    /// As it is shown.
    pub name: &'static str,
    rtype: u16,
    /// The name that is asked for, by the number of a service.
    question: fn(usize) -> String,
    /// The name that is asked for when it is measured.
    measured: fn(usize) -> String,
    /// Records in the answer, and response code, that are expected.
    expected: fn(usize) -> (u16, u8),
    transport: Transport,
    log: bool,
    edns: bool,
}

/// All kinds.
pub const ALL: &[Case] = &[
    case("A", A, service, |n| if objects::is_headless(n) { (ENDPOINTS as u16, 0) } else { (1, 0) }),
    case("A of a cluster address", A, |n| service(plain(n)), |_| (1, 0)),
    Case { edns: true, ..case("A of a cluster address, EDNS", A, |n| service(plain(n)), |_| (1, 0)) },
    case("A headless, 10 endpoints", A, |n| service(headless(n)), |_| (ENDPOINTS as u16, 0)),
    case("A of an endpoint's name", A, endpoint, |_| (1, 0)),
    case("AAAA", AAAA, service, |_| (0, 0)),
    case("SRV of a cluster address", SRV, |n| port(plain(n)), |_| (1, 0)),
    case("SRV headless, 10 endpoints, cut", SRV, |n| port(headless(n)), |n| (if n < 10 { 7 } else { 6 }, 0)),
    Case {
        edns: true,
        ..case("SRV headless, 10 endpoints, EDNS", SRV, |n| port(headless(n)), |_| (ENDPOINTS as u16, 0))
    },
    case("search path miss", A, |n| format!("{}.{}.svc.cluster.local", service(n), space(n)), |_| (0, 3)),
    case("search path miss, foreign", A, |n| format!("www.example.org.{}.svc.cluster.local", space(n)), |_| (0, 3)),
    case("PTR of a cluster address", PTR, |n| reverse(&objects::cluster_address(plain(n))), |_| (1, 0)),
    case("cache hit", A, host, |_| (1, 0)),
    Case { edns: true, ..case("cache hit, EDNS", A, host, |_| (1, 0)) },
    Case { measured: |n| host(n).replace('o', "O"), ..case("cache hit, other letters", A, host, |_| (1, 0)) },
    Case {
        measured: |n| format!("new-{n}.example.org"),
        ..case("forwarded miss", A, |n| format!("old-{n}.example.org"), |_| (1, 0))
    },
    Case { transport: Transport::Tcp, ..case("A of a cluster address, TCP", A, |n| service(plain(n)), |_| (1, 0)) },
    Case { log: true, ..case("A of a cluster address, log", A, |n| service(plain(n)), |_| (1, 0)) },
];

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SRV: u16 = 33;

const fn case(name: &'static str, rtype: u16, question: fn(usize) -> String, expected: fn(usize) -> (u16, u8)) -> Case {
    Case { name, rtype, question, measured: question, expected, transport: Transport::Udp, log: false, edns: false }
}

fn host(n: usize) -> String {
    format!("host-{}.example.org", n % 50)
}

fn space(n: usize) -> String {
    format!("ns{}", n % (SERVICES / 50))
}

fn service(n: usize) -> String {
    format!("service-{n}.{}.svc.cluster.local", space(n))
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
    n - n % 5
}

/// A service with a cluster address.
fn plain(n: usize) -> usize {
    if objects::is_headless(n) { n + 1 } else { n }
}

fn reverse(address: &str) -> String {
    let mut octets: Vec<&str> = address.split('.').collect();
    octets.reverse();
    format!("{}.in-addr.arpa", octets.join("."))
}

/// What the queries are about.
pub struct Cluster {
    folder: tempfile::TempDir,
    upstream: std::net::SocketAddr,
}

impl Cluster {
    /// A cluster as files, and an upstream that knows all names.
    pub fn new() -> Cluster {
        let folder = tempfile::tempdir().expect("a folder");
        let list =
            serde_json::json!({"kind": "List", "apiVersion": "v1", "items": objects::cluster(SERVICES, ENDPOINTS, 0)});
        std::fs::write(folder.path().join("objects.json"), list.to_string()).expect("a file");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let upstream = socket.local_addr().expect("its address");
        std::thread::spawn(move || serve(&socket));
        Cluster { folder, upstream }
    }

    /// The Corefile that Kubernetes ships, without what opens sockets.
    fn corefile(&self, log: bool) -> String {
        let (folder, upstream) = (self.folder.path().display(), self.upstream);
        let log = if log { "log" } else { "" };
        format!(
            ".:53 {{\nerrors\n{log}\nkubernetes cluster.local in-addr.arpa ip6.arpa {{\nmanifests {folder}\npods insecure\n\
             fallthrough in-addr.arpa ip6.arpa\nttl 30\n}}\nprometheus 127.0.0.1:0\nforward . {upstream}\ncache 3600\nloop\nreload\n\
             loadbalance\n}}\n"
        )
    }
}

/// An upstream: one address for every name.
fn serve(socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((n, peer)) = socket.recv_from(&mut buffer) {
        let end = 12 + buffer[12..n].iter().position(|&b| b == 0).expect("a name") + 5;
        let mut reply = buffer[..end].to_vec();
        (reply[2], reply[3]) = (0x81, 0x80);
        reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01");
        let _ = socket.send_to(&reply, peer);
    }
}

impl Case {
    /// Asks all questions, and then those that are measured.
    pub fn run(&self, cluster: &Cluster) {
        let mut server = InProcess::start(&standard(), &cluster.corefile(self.log)).expect("a server");
        for n in 0..QUERIES as usize {
            let reply = server.answer(&self.message(&(self.question)(n)), self.transport).expect("a reply");
            let got = (u16::from_be_bytes([reply[6], reply[7]]), reply[3] & 15);
            assert_eq!(got, (self.expected)(n), "{}: {}", self.name, (self.question)(n));
        }
        let queries: Vec<Vec<u8>> = (0..QUERIES as usize).map(|n| self.message(&(self.measured)(n))).collect();
        measured(&mut server, &queries, self.transport);
    }

    fn message(&self, question: &str) -> Vec<u8> {
        let mut message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in question.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&self.rtype.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        if self.edns {
            message[11] = 1;
            message.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
        }
        message
    }
}

/// What is counted.
#[inline(never)]
fn measured(server: &mut InProcess, queries: &[Vec<u8>], transport: Transport) {
    for query in queries {
        std::hint::black_box(server.answer(query, transport));
    }
}
