//! An answer from memory allocates nothing; a wait for an upstream allocates what is under way, and no more.

use allocation_counter::measure;
use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;
use testkit::dns::{Edns, Message};

/// The default Corefile of Kubernetes over the example cluster, without what opens sockets.
const CLUSTER: &str = "
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests examples/cluster/manifests
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    cache 30
    loadbalance
}
";

#[test]
fn cluster_names_are_answered_without_allocating() {
    let mut server = InProcess::start(&standard(), CLUSTER).expect("a server");
    for (name, rtype, code, answers) in [
        ("shop.default.svc.cluster.local", A, 0, 1),
        ("SHOP.default.svc.cluster.local", AAAA, 0, 1),
        ("_http._tcp.shop.default.svc.cluster.local", SRV, 0, 1),
        ("db.data.svc.cluster.local", A, 0, 3),
        ("_postgres._tcp.db.data.svc.cluster.local", SRV, 0, 3),
        ("db-0.db.data.svc.cluster.local", A, 0, 1),
        ("10-244-1-11.default.pod.cluster.local", A, 0, 1),
        ("3.14.96.10.in-addr.arpa", PTR, 0, 1),
        ("shop.default.svc.cluster.local", PTR, 0, 0),
        ("nosuch.default.svc.cluster.local", A, 3, 0),
        ("cluster.local", SOA, 0, 1),
    ] {
        let message = question(name, rtype);
        for transport in [Transport::Udp, Transport::Tcp] {
            // Buffers grow with the first replies. There are two that take turns where records are put in another order, which
            // happens at random.
            (0..64).for_each(|_| assert!(server.answer(&message, transport).is_some()));
            let reply = server.answer(&message, transport).expect("a reply");
            let shown = (reply[3] & 15, u16::from_be_bytes([reply[6], reply[7]]));
            assert_eq!(shown, (code, answers), "{name} {rtype}");
            let counted = measure(|| assert!(server.answer(&message, transport).is_some()));
            assert_eq!(counted.count_total, 0, "{name} {rtype}: {counted:?}");
        }
    }
}

#[test]
fn lines_of_the_corefile_are_answered_without_allocating() {
    let corefile = ".:53 {\n errors\n hosts {\n 192.0.2.1 a.example\n 192.0.2.2 a.example\n }\n loadbalance\n}\n";
    answers_without_allocating(corefile, 2);
}

#[test]
fn lines_about_queries_are_made_without_allocating() {
    api::lines::install(|line| assert!(line.contains("a.example. udp"), "{line}"));
    let corefile = ".:53 {\n log\n errors\n hosts {\n 192.0.2.1 a.example\n }\n}\n";
    answers_without_allocating(corefile, 1);
}

/// Asks for `a.example`, which has so many addresses: once buffers have grown, that allocates nothing.
fn answers_without_allocating(corefile: &str, addresses: u8) {
    let mut server = InProcess::start(&standard(), corefile).expect("a server");
    let message = question("a.example", A);
    for warm in [true; 64].into_iter().chain([false]) {
        let counted = measure(|| assert!(server.answer(&message, Transport::Udp).is_some_and(|r| r[7] == addresses)));
        assert!(warm || counted.count_total == 0, "{counted:?}");
    }
}

#[test]
fn views_are_chosen_without_allocating() {
    let corefile = r"
.:53 {
    view none {
        expr incidr(client_ip(), '10.0.0.0/8') or name() matches '^x' or size() > 500
    }
    whoami
}
.:53 {
    view those {
        expr type() in ['A', 'AAAA'] and name() endsWith '.example.' and len(name()) in 5..100
        expr not do() and bufsize() <= 4096 and hasPrefix(name(), 'a') and server_ip() != ''
    }
    hosts {
        192.0.2.1 a.example
    }
}
";
    let mut server = InProcess::start(&standard(), corefile).expect("a server");
    let message = question("a.example", A);
    for warm in [true; 64].into_iter().chain([false]) {
        let counted = measure(|| assert!(server.answer(&message, Transport::Udp).is_some_and(|r| r[7] == 1)));
        assert!(warm || counted.count_total == 0, "{counted:?}");
    }
}

#[test]
fn names_that_are_not_searched_for_are_answered_without_allocating() {
    let folder = tempfile::tempdir().expect("a folder");
    let client =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: default}\nstatus: {podIP: 127.0.0.1}\n";
    std::fs::write(folder.path().join("client.yaml"), client).expect("a file");
    let manifests = format!("manifests examples/cluster/manifests {}", folder.path().display());
    let corefile = CLUSTER
        .replace("errors", "errors\n autopath @kubernetes")
        .replace("pods insecure", "pods verified")
        .replace("manifests examples/cluster/manifests", &manifests);
    let mut server = InProcess::start(&standard(), &corefile).expect("a server");
    for (name, searched, answers) in [
        ("shop.default.svc.cluster.local", false, 1),
        ("db.data.svc.cluster.local", false, 3),
        ("nosuch.data.svc.cluster.local", false, 0),
        ("db.data.default.svc.cluster.local", true, 4),
    ] {
        let message = question(name, A);
        (0..64).for_each(|_| assert!(server.answer(&message, Transport::Udp).is_some()));
        let counted = measure(|| assert!(server.answer(&message, Transport::Udp).is_some_and(|r| r[7] == answers)));
        assert_eq!(counted.count_total > 0, searched, "{name}: {counted:?}");
    }
}

#[test]
fn services_are_seen_from_outside_without_allocating() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n\
        spec: {clusterIP: 10.96.9.9, externalIPs: [192.0.2.1, '2001:db8::1'], ports: [{name: http, port: 80}]}\n";
    std::fs::write(folder.path().join("web.yaml"), services).expect("a file");
    let manifests = format!("manifests examples/cluster/manifests {}", folder.path().display());
    let corefile = CLUSTER
        .replace("errors", "errors\n k8s_external example.org 192.0.2.0/24 {\n headless\n }")
        .replace("manifests examples/cluster/manifests", &manifests);
    let mut server = InProcess::start(&standard(), &corefile).expect("a server");
    for (name, rtype, code, answers) in [
        ("web.default.example.org", A, 0, 1),
        ("WEB.default.Example.org", AAAA, 0, 1),
        ("_http._tcp.web.default.example.org", SRV, 0, 1),
        ("db.data.example.org", A, 0, 3),
        ("_postgres._tcp.db.data.example.org", SRV, 0, 3),
        ("db-0.db.data.example.org", A, 0, 1),
        ("1.2.0.192.in-addr.arpa", PTR, 0, 1),
        ("shop.default.example.org", A, 3, 0),
        ("example.org", SOA, 0, 1),
    ] {
        let message = question(name, rtype);
        (0..64).for_each(|_| assert!(server.answer(&message, Transport::Udp).is_some()));
        let reply = server.answer(&message, Transport::Udp).expect("a reply");
        assert_eq!((reply[3] & 15, u16::from_be_bytes([reply[6], reply[7]])), (code, answers), "{name} {rtype}");
        let counted = measure(|| assert!(server.answer(&message, Transport::Udp).is_some()));
        assert_eq!(counted.count_total, 0, "{name} {rtype}: {counted:?}");
    }
}

#[test]
fn what_was_asked_before_is_answered_without_allocating() {
    let elsewhere =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let answer = serde_json::json!({
        "*": { "answer": ["a.example. 60 IN CNAME b.A.example.", "b.A.example. 60 IN A 192.0.2.1"] }
    });
    let script = serde_json::from_value(answer).expect("a script");
    let upstream = elsewhere.block_on(testkit::Upstream::start(script)).expect("an upstream");
    let properties = "prefetch 100000\n serve_stale 1h verify 1s";
    let corefile =
        format!(".:53 {{\n errors\n cache {{\n {properties}\n }}\n forward . 127.0.0.1:{}\n}}\n", upstream.port());
    let mut server = InProcess::start(&standard(), &corefile).expect("a server");
    server.answer(&question("a.example", A), Transport::Udp).expect("a reply");
    for name in ["a.example", "A.exAmple"] {
        let message = question(name, A);
        for warm in [true; 8].into_iter().chain([false]) {
            let counted = measure(|| {
                let reply = server.answer(&message, Transport::Udp).expect("a reply");
                assert_eq!((reply[2] & 4, reply[7]), (4, 2), "it is from the cache");
            });
            assert!(warm || counted.count_total == 0, "{name}: {counted:?}");
        }
    }
}

#[test]
fn a_wait_allocates_what_is_under_way_and_no_more() {
    let elsewhere =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let answer = serde_json::json!({ "*": { "answer": ["a.example. 60 IN A 192.0.2.1"] } });
    let script = serde_json::from_value(answer).expect("a script");
    let upstream = elsewhere.block_on(testkit::Upstream::start(script)).expect("an upstream");
    let corefile = format!(".:53 {{\n errors\n forward . 127.0.0.1:{}\n}}\n", upstream.port());
    let mut server = InProcess::start(&standard(), &corefile).expect("a server");
    let message = question("a.example", A);
    let mut ask = || {
        measure(|| {
            let reply = server.answer(&message, Transport::Udp).expect("a reply");
            assert_eq!(reply[3] & 15, 0);
        })
        .count_total
    };
    // A worker opens some hundred sockets before it uses one again, and exchanges them later, which allocates too.
    (0..600).for_each(|_| assert!(ask() > 0));
    let fewest = (0..8).map(|_| ask()).min();
    // The plugin's future.
    assert_eq!(fewest, Some(1));
}

/// A question with an OPT record for payloads of 1,232 octets.
pub(crate) fn question(name: &str, rtype: u16) -> Vec<u8> {
    let edns = Some(Edns { size: 1232, ..Edns::default() });
    Message { edns, ..Message::query(name, rtype) }.to_wire()
}

const A: u16 = 1;
const SOA: u16 = 6;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SRV: u16 = 33;
