//! The daemon and an API server that goes away: what clients, `/ready`, metrics and the log see of it.
//!
//! How soon everything else is noticed that can go wrong there is tested in `plugins/kubernetes/src/watch/tests`.

use super::server::{Daemon, page};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::dns::{Message, Name, Question};
use testkit::{Api, Port};

fn service(name: &str) -> Value {
    json!({"kind": "Service", "metadata": {"namespace": "d", "name": name}, "spec": {"clusterIP": "10.96.0.7"}})
}

/// The response code for the A records of a service.
fn rcode(port: u16, service: &str) -> u16 {
    let name = Name::from_text(&format!("{service}.d.svc.cluster.local.")).expect("a name");
    let query = Message { questions: vec![Question { name, rtype: 1, class: 1 }], ..Message::default() };
    let to = ([127, 0, 0, 1], port).into();
    let reply = testkit::ask(to, &query.to_wire(), Duration::from_secs(5)).expect("a reply, always");
    Message::parse(&reply).expect("a message").rcode()
}

#[test]
fn an_outage_is_said_once_and_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let objects = [json!({"kind": "Namespace", "metadata": {"name": "d"}}), service("old")];
    let api = runtime.block_on(Api::start(objects)).expect("started");
    let (dns, ready, metrics) = (Port::free(), Port::free(), Port::free());
    let daemon = Daemon::serving(&format!(
        ".:{} {{\n bind 127.0.0.1\n ready :{}\n prometheus 127.0.0.1:{}\n kubernetes cluster.local {{\n  endpoint {}\n }}\n}}\n",
        dns.number(),
        ready.number(),
        metrics.number(),
        api.url()
    ));
    assert_eq!((rcode(dns.number(), "old"), rcode(dns.number(), "new")), (0, 3));
    for (round, compacted) in [(1, false), (2, true)] {
        runtime.block_on(api.down());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) {
            assert_eq!(rcode(dns.number(), "old"), 0);
            assert!(page(ready.number(), "/ready").starts_with("HTTP/1.1 200"));
            sleep(Duration::from_millis(50));
        }
        if compacted {
            api.compact();
        }
        let name = if compacted { "newer" } else { "new" };
        api.put(service(name));
        runtime.block_on(api.up()).expect("up");
        let begin = Instant::now();
        while rcode(dns.number(), name) != 0 {
            assert_eq!(rcode(dns.number(), "old"), 0);
            assert!(begin.elapsed() < Duration::from_secs(2), "{name} is not known yet");
        }
        while daemon.log().matches("answers again, after").count() < round {
            assert!(begin.elapsed() < Duration::from_secs(2), "{}", daemon.log());
            sleep(Duration::from_millis(10));
        }
    }
    let log = daemon.log();
    assert_eq!(log.matches("cannot be reached: connection refused; answers stay as they are").count(), 2, "{log}");
    assert_eq!(log.matches("answers again, after").count(), 2, "{log}");
    let metrics = page(metrics.number(), "/metrics");
    let expired =
        |l: &&str| l.contains("poddns_kubernetes_relists_total") && l.contains("\"services\",reason=\"expired\"");
    assert!(metrics.lines().find(expired).is_some_and(|l| l.ends_with(" 1")), "{metrics}");
}
