//! Who gets which zone, in which messages, and who is told of changes.

use super::*;
use api::presentation::TextRecord;
use api::services::Announce;
use api::task::{Carry, StopSource};
use api::test::{Bottom, links, query, record, text, world};
use api::wire::HEADER;
use api::{Chain, Clock, Link, Panics, Run};
use std::time::Duration;
use tokio::net::UdpSocket;

/// The zone `zone.test`, with so many records beside its SOA, the serial of which is 7.
struct Source(usize);

impl Transfer for Source {
    fn transfer(&self, zone: NameRef<'_>, serial: u32) -> Option<ZoneRecords> {
        if zone.to_string() != "zone.test." {
            return None;
        }
        let record = |text: &str| TextRecord::parse(text).unwrap();
        let soa = record("zone.test. 60 SOA ns.zone.test. admin.zone.test. 7 1 2 3 4");
        if serial == 7 {
            return Some(Box::new(std::iter::once(soa)));
        }
        let others = (0..self.0).map(move |n| record(&format!("n{n}.zone.test. 60 TXT {}", "t".repeat(200))));
        Some(Box::new(std::iter::once(soa.clone()).chain(others).chain([soa])))
    }
}

fn transfers(rules: Vec<Rule>, records: usize) -> Transfers {
    let sources = Offered::default();
    sources.put(Arc::new(Source(records)) as Arc<dyn Transfer>);
    Transfers { rules: rules.into(), sources, running: Arc::default() }
}

fn rule(zones: &[&str], to: &[&str]) -> Rule {
    let zones = zones.iter().map(|zone| Name::from_text(zone).unwrap()).collect();
    let everybody = to.contains(&"*");
    let to = to.iter().filter(|to| **to != "*").map(|to| (to.parse().unwrap(), None)).collect();
    Rule { zones, everybody, to, source: None }
}

/// What is answered: the first message, and how many follow with how many records in all.
fn ask(plugin: Transfers, mut q: Query) -> (String, usize, usize) {
    let plugin = Arc::new(plugin);
    let links = vec![
        Link { name: "transfer", plugin: Box::new(plugin.clone()) },
        Link { name: "bottom", plugin: Box::new(Bottom) },
    ];
    assert_eq!(Chain::new(links, Panics::End).run(&mut q), Run::Done);
    let (first, mut messages, mut records) = (text(&q), 0, q.reply.records().len());
    let mut more = q.reply.take_more();
    while let Some(mut rest) = more.take() {
        assert_eq!(plugin.running.load(Relaxed), 1);
        let another = rest.next(&mut q);
        assert!(q.reply.bytes().len() < 65_000 && !q.reply.overflowed());
        messages += 1;
        records += q.reply.records().len();
        if !another {
            assert_eq!(record(&q.reply.records().next_back().unwrap()), SOA);
        }
        more = another.then_some(rest);
    }
    drop(more);
    assert_eq!(plugin.running.load(Relaxed), 0);
    (first, messages, records)
}

const SOA: &str = "zone.test. 60 IN SOA ns.zone.test. admin.zone.test. 7 1 2 3 4";

/// A query of type IXFR from the holder of a copy with this serial.
fn ixfr(serial: u32) -> Query {
    let mut packet = query("zone.test AXFR +tcp").packet().to_vec();
    let behind_name = packet.len() - 4;
    packet[behind_name..behind_name + 2].copy_from_slice(&RecordType::IXFR.0.to_be_bytes());
    packet[9] = 1; // NSCOUNT
    packet.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
    packet.extend(serial.to_be_bytes());
    packet.extend_from_slice(&[0; 16]);
    let mut q = query("zone.test AXFR +tcp");
    let (client, transport) = (q.client, q.transport);
    q.parse(&packet).unwrap();
    (q.client, q.transport) = (client, transport);
    q
}

#[test]
fn a_zone_comes_in_as_many_messages_as_it_needs() {
    let (first, more, records) = ask(transfers(vec![rule(&["test"], &["*"])], 2), query("Zone.Test AXFR +tcp"));
    assert!(
        first.starts_with(&format!("NOERROR aa rd\nanswer {SOA}\nanswer n0.zone.test. 60 IN TXT \"ttt")),
        "{first}"
    );
    assert!(first.ends_with(SOA), "{first}");
    assert_eq!((more, records), (0, 4));
    let (first, more, records) = ask(transfers(vec![rule(&["test"], &["*"])], 1000), query("zone.test AXFR +tcp"));
    assert!(first.starts_with(&format!("NOERROR aa rd\nanswer {SOA}\n")) && !first.ends_with(SOA));
    assert_eq!((more, records), (3, 1002));
}

#[test]
fn only_who_may_have_it_gets_it_and_not_over_udp() {
    let one = || transfers(vec![rule(&["zone.test"], &["192.0.2.1", "127.0.0.1"])], 1);
    assert!(ask(one(), query("zone.test AXFR +tcp")).0.starts_with("NOERROR aa"));
    assert_eq!(ask(one(), query("zone.test AXFR")).0, "REFUSED (no message)");
    let mut stranger = query("zone.test AXFR +tcp");
    stranger.client = SocketAddr::from(([127, 0, 0, 2], 1));
    assert_eq!(ask(one(), stranger).0, "REFUSED rd");
    // Other questions, other zones, and zones that nobody has, are for the plugins below.
    let mut other = query("other.test AXFR +tcp");
    other.question.rtype = RecordType::SOA;
    for q in [other, query("other.test AXFR +tcp"), query("a.zone.test AXFR +tcp")] {
        assert_eq!(ask(one(), q).0, "REFUSED (no message)");
    }
}

#[test]
fn who_has_the_zone_as_it_is_gets_its_soa() {
    let all = || transfers(vec![rule(&["."], &["*"])], 1);
    assert_eq!(ask(all(), ixfr(7)).0, format!("NOERROR rd\nanswer {SOA}"));
    assert_eq!(ask(all(), ixfr(6)).2, 3);
    let mut without = query("zone.test AXFR +tcp");
    without.question.rtype = RecordType::IXFR;
    assert_eq!(ask(all(), without).0, "SERVFAIL (no message)");
}

#[test]
fn the_longest_zone_decides_and_of_several_the_first() {
    let rules = [
        rule(&["test", "a.test"], &["192.0.2.1"]),
        rule(&["a.test"], &["192.0.2.2"]),
        rule(&["b.a.test"], &["192.0.2.3"]),
    ];
    for (name, last) in [("x.test", Some(1)), ("a.test", Some(1)), ("x.b.a.test", Some(3)), ("org", None)] {
        let found = rule_of(&rules, Name::from_text(name).unwrap().as_ref());
        assert_eq!(found.map(|rule| rule.to[0].0), last.map(|n| IpAddr::from([192, 0, 2, n])), "{name}");
    }
}

#[test]
fn there_are_not_too_many_at_a_time() {
    let plugin = transfers(vec![rule(&["test"], &["*"])], 1);
    plugin.running.store(MAX_TRANSFERS, Relaxed);
    let mut q = query("zone.test AXFR +tcp");
    assert!(plugin.query(&mut q).is_err());
    plugin.running.store(MAX_TRANSFERS - 1, Relaxed);
    assert!(plugin.query(&mut q).is_ok());
}

#[test]
fn lines_that_are_refused() {
    let refusal = |lines: &str| links(&PLUGIN, lines, &world(Clock::system(), Carry::default())).err();
    let place = "plugin/transfer: plugin/transfer: f:";
    assert_eq!(refusal("transfer {\nto 1.2.3.4 ::1 [::1]:5353 fe80::1%lo 1.2.3.4:x *\nsource ::1\n}"), None);
    for (lines, want) in [
        ("transfer a.org", format!("{place}2 - Error during parsing: 'to' is required")),
        ("transfer {\nfrom\n}", format!("{place}3 - Error during parsing: unknown property \"from\"")),
        ("transfer {\nsource x\n}", format!("{place}3 - Error during parsing: invalid source address \"x\"")),
        ("transfer {\nto tls://::1\n}", "f:3 - plugin/transfer: must specify an IP address: `tls://::1'".to_owned()),
        ("transfer {\nto dns://a\n}", "f:3 - plugin/transfer: must specify an IP address: `dns'".to_owned()),
    ] {
        assert_eq!(refusal(lines), Some(want), "{lines}");
    }
}

/// Plays the other server: answers so many notifications with this code, and returns the last one.
async fn answer(socket: &UdpSocket, codes: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 512];
    let mut length = 0;
    for code in codes {
        let from;
        (length, from) = socket.recv_from(&mut message).await.unwrap();
        let mut reply = message[..length].to_vec();
        reply[2] |= 0x80;
        reply[3] = *code;
        socket.send_to(b"nonsense", from).await.unwrap();
        socket.send_to(&reply, from).await.unwrap();
    }
    message[..length].to_vec()
}

#[tokio::test]
async fn changes_are_told_until_they_are_heard() {
    let hears = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let refuses_once = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rule = rule(&["test"], &["*"]);
    rule.to = [&hears, &refuses_once].map(|s| s.local_addr().unwrap()).map(|a| (a.ip(), Some(a))).into();
    let (announcer, zones) = notify::channel();
    let stop = StopSource::default();
    let told = async {
        announcer.changed(Name::from_text("other.org").unwrap().as_ref());
        announcer.changed(Name::from_text("Zone.test").unwrap().as_ref());
        let both = tokio::join!(answer(&hears, &[0]), answer(&refuses_once, &[5, 0]));
        drop(announcer);
        both
    };
    let (done, (one, two)) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(20), notify::announce([rule].into(), zones, stop.listen())),
        told
    );
    done.unwrap().unwrap();
    assert_eq!(one[2..HEADER], [0x24, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(one[HEADER..], *b"\x04zone\x04test\0\0\x06\0\x01");
    assert_eq!(one[2..], two[2..]);
}
