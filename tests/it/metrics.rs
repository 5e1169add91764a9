//! Labels on the metrics page that no recording shows yet.

use crate::server::{Daemon, PATIENCE, page};
use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;
use std::time::Instant;
use testkit::Port;

/// What is on the metrics page at this port once all of `lines` are there.
fn page_with(port: u16, lines: &[String]) -> String {
    let begin = Instant::now();
    loop {
        let page = page(port, "/metrics");
        if lines.iter().all(|wanted| page.lines().any(|line| line == wanted)) {
            return page;
        }
        assert!(begin.elapsed() < PATIENCE, "{lines:#?}\n{page}");
    }
}

/// Plugins are shown for every address of the first key, and for no other key (CoreDNS behaviour).
#[test]
fn plugins_are_enabled_at_every_address() {
    let (dns, other, metrics) = (Port::free(), Port::free(), Port::free());
    let (n, o, m) = (dns.number(), other.number(), metrics.number());
    let corefile =
        format!("a.test:{n} a.test:{o} b.test:{n} {{\n bind 127.0.0.1 127.0.0.2\n prometheus :{m}\n whoami\n}}\n");
    let _daemon = Daemon::serving(&corefile);
    let line = |plugin, host| {
        format!("coredns_plugin_enabled{{name=\"{plugin}\",server=\"dns://{host}:{n}\",view=\"\",zone=\"a.test.\"}} 1")
    };
    let hosts = ["127.0.0.1", "127.0.0.2"];
    let lines: Vec<String> = hosts.iter().flat_map(|host| ["prometheus", "whoami"].map(|p| line(p, host))).collect();
    let page = page_with(m, &lines);
    assert_eq!(page.lines().filter(|line| line.starts_with("coredns_plugin_enabled")).count(), lines.len(), "{page}");
}

/// The first query that is dropped is an increase, which `rate` can see.
#[test]
fn shed_shows_zeros() {
    let (dns, metrics) = (Port::free(), Port::free());
    let (n, m) = (dns.number(), metrics.number());
    let _daemon = Daemon::serving(&format!(".:{n} {{\n shed\n prometheus :{m}\n whoami\n}}\n"));
    let zero = |reason| format!("coredns_shed_dropped_total{{reason=\"{reason}\",server=\"dns://:{n}\"}} 0");
    page_with(m, &["query", "response"].map(zero));
}

/// `ANY` entries are counted by what was asked, under the zone of the entry, with templates as Go prints them.
#[test]
fn template_counts_by_zone_class_and_type() {
    let corefile =
        "a.test:53 b.test:53 {\n template ANY ANY x.a.test b.test {\n answer \"{{ .Nope.Nope }} A 192.0.2.1\"\n }\n}\n";
    let mut server = InProcess::start(&standard(), corefile).expect("a server");
    let mut ask = |name: &str, rtype: u16| {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend([rtype, 1].iter().flat_map(|n| n.to_be_bytes()));
        let reply = server.answer(&message, Transport::Udp).expect("a reply");
        assert_eq!(reply[3] & 15, 2, "{name}");
    };
    ask("x.a.test", 1);
    ask("y.x.a.test", 28);
    ask("x.a.test", 28);
    ask("x.a.test", 257);
    ask("b.test", 255);
    let page = api::metrics::page();
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("coredns_template_")).collect();
    for (rtype, zone, count) in
        [("A", "x.a.test.", 1), ("AAAA", "x.a.test.", 2), ("CAA", "x.a.test.", 1), ("ANY", "b.test.", 1)]
    {
        let labels = format!("class=\"IN\",server=\"dns://:53\",type=\"{rtype}\",view=\"\",zone=\"{zone}\"");
        let matches = format!("coredns_template_matches_total{{{labels}}} {count}");
        assert!(lines.contains(&&*matches), "{matches}\n{lines:#?}");
        let (class, rest) = labels.split_once(",server=\"dns://:53\",").expect("as it was made");
        let failures = format!(
            "coredns_template_template_failures_total{{{class},section=\"answer\",server=\"dns://:53\",\
             template=\"{{{{.Nope.Nope}}}} A 192.0.2.1\",{rest}}} {count}"
        );
        assert!(lines.contains(&&*failures), "{failures}\n{lines:#?}");
    }
}

/// The reply to a query that no block answers has a size, too: header, question, and the OPT with what of it is echoed.
#[test]
fn refused_queries_have_replies_of_a_size() {
    let mut server = InProcess::start(&standard(), "a.test:5399 {\n whoami\n}\n").expect("a server");
    let plain = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01x\x04test\0\0\x01\0\x01";
    let mut edns = plain.to_vec();
    edns[11] = 1;
    edns.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\x80\0\0\x11\0\x0a\0\x08cookies!\xfd\xe9\0\x01x"); // the cookie comes back
    let replies = [&plain[..], &edns].map(|query| server.answer(query, Transport::Udp).expect("a reply").len());
    assert_eq!(replies, [24, 24 + 11 + 12]);
    let sum = "coredns_dns_response_size_bytes_sum{proto=\"udp\",server=\"dns://:5399\",view=\"\",zone=\"dropped\"} 71";
    let page = api::metrics::page();
    assert!(page.lines().any(|line| line == sum), "{page}");
}
