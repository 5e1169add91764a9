//! What is asked of a cluster, and what becomes of its answers.

use super::*;
use api::corefile::{Corefile, Cursor, Source};
use api::presentation::TextRecord;
use api::services::{External, ExternalAnswer, ExternalZone, Transfer, ZoneRecords};
use api::setup::Block;
use api::task::Carry;
use api::test::{Bottom, query, text};
use api::{Chain, Class, Clock, Link, Name, NameRef, Owner, Panics, RecordType, Reply, Run, Setup};
use std::net::IpAddr;

/// A cluster in which `web.n` has an address, `host.n` a name, `empty.n` exists, and 192.0.2.1 leads to `web.n`.
struct Cluster;

impl External for Cluster {
    fn answer(&self, asked: &ExternalName<'_>, reply: &mut Reply) -> ExternalAnswer {
        let labels = Name::join(&asked.question.name().as_bytes()[..asked.offset], NameRef::ROOT).unwrap().to_string();
        match (asked.question.rtype, labels.as_str()) {
            (RecordType::A, "web.n.") => {
                reply.push_address(Section::Answer, Owner::Question, asked.ttl, [192, 0, 2, 1].into());
            }
            (_, "web.n." | "empty.n.") => (),
            (RecordType::A, "host.n.") => {
                return ExternalAnswer::Hosts(vec![Name::from_text("lb.example.net").unwrap()]);
            }
            (RecordType::PTR, "1.2.0.") => {
                let name = Name::join(b"\x03web\x01n", asked.primary).unwrap();
                reply.push(Section::Answer, Owner::Question, RecordType::PTR, asked.ttl, |d| d.name(name.as_ref()));
            }
            _ => return ExternalAnswer::NoSuchName,
        }
        ExternalAnswer::Written
    }

    fn knows(&self, asked: &ExternalName<'_>) -> bool {
        !matches!(self.answer(asked, &mut Reply::default()), ExternalAnswer::NoSuchName)
    }

    fn servers(&self, _endpoints: Endpoints) -> Vec<IpAddr> {
        ["192.0.2.53", "2001:db8::53"].map(|a| a.parse().unwrap()).into()
    }

    fn records(&self, zone: &ExternalZone<'_>) -> ZoneRecords {
        let owner = Name::join(b"\x03web\x01n", zone.name).unwrap();
        let data = vec![192, 0, 2, 1];
        Box::new(std::iter::once(TextRecord { owner, rtype: RecordType::A, class: Class::IN, ttl: zone.ttl, data }))
    }

    fn serial(&self) -> u32 {
        7
    }

    fn ttl(&self) -> u32 {
        30
    }
}

fn outside(apex: &str, fallthrough: Fallthrough) -> Outside {
    let (mut block, world) =
        (Block::new(String::new(), Vec::new()), api::test::world(Clock::system(), Carry::default()));
    let mut setup = Setup::new("cluster", &[], &mut block, &world);
    setup.offer::<Arc<dyn External>>(Arc::new(Cluster));
    let zones = ["example.", "192.in-addr.arpa."].map(|text| Name::from_text(text).unwrap());
    let zones = Zones::new(zones.to_vec(), Name::from_text(apex).unwrap().as_ref()).unwrap();
    Outside { zones, ttl: 60, endpoints: Endpoints::Hidden, fallthrough, cluster: setup.offered() }
}

/// What `fallthrough` without zones says.
fn all_names() -> Fallthrough {
    let source = Source::new("f", ". {\n x {\nfallthrough\n}\n}\n");
    let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).expect("no mistakes");
    let mut c = Cursor::new("x", corefile.blocks[0].directive("x").expect("it is used"));
    assert!(c.next() && c.next_block());
    Fallthrough::parse(&mut c)
}

/// The reply to `question`, or how far it came.
fn ask(outside: Outside, question: &str) -> String {
    let links =
        vec![Link { name: "test", plugin: Box::new(outside) }, Link { name: "bottom", plugin: Box::new(Bottom) }];
    let mut q = query(question);
    match Chain::new(links, Panics::End).run(&mut q) {
        Run::Done => text(&q),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_of_services_are_the_clusters() {
    let soa = "authority example. 60 IN SOA ns1.dns.example. hostmaster.dns.example. 7 7200 1800 86400 60";
    for (question, want) in [
        ("Web.n.Example A", "NOERROR aa rd\nanswer Web.n.Example. 60 IN A 192.0.2.1".to_owned()),
        ("web.n.example TXT", format!("NOERROR aa rd\n{soa}")),
        ("empty.n.EXAMPLE A", format!("NOERROR aa rd\n{soa}")),
        ("nope.n.EXAMPLE A", format!("NXDOMAIN aa rd\n{soa}")),
        ("host.n.example A", "Wait(0)".to_owned()),
        (
            "1.2.0.192.in-addr.arpa PTR",
            "NOERROR aa rd\nanswer 1.2.0.192.in-addr.arpa. 60 IN PTR web.n.example.".to_owned(),
        ),
        ("web.n.test A", "REFUSED (no message)".to_owned()),
    ] {
        assert_eq!(ask(outside("dns", Fallthrough::default()), question), want, "{question}");
    }
}

#[test]
fn the_zone_has_a_name_server() {
    let soa = "example. 60 IN SOA ns1.EXT.example. hostmaster.EXT.example. 7 7200 1800 86400 60";
    let nothing = format!("NOERROR aa rd\nauthority {soa}");
    for (question, want) in [
        ("EXAMPLE SOA", format!("NOERROR aa rd\nanswer {soa}")),
        (
            "Example NS",
            "NOERROR aa rd\nanswer example. 60 IN NS ns1.EXT.example.\n\
             additional ns1.EXT.Example. 60 IN A 192.0.2.53\nadditional ns1.EXT.Example. 60 IN AAAA 2001:db8::53"
                .to_owned(),
        ),
        ("example A", nothing.clone()),
        ("NS1.ext.example AAAA", "NOERROR aa rd\nanswer NS1.ext.example. 60 IN AAAA 2001:db8::53".to_owned()),
        ("ns1.ext.example NS", nothing.clone()),
        ("ext.example A", nothing),
        ("x.ext.example A", format!("NXDOMAIN aa rd\nauthority {soa}")),
    ] {
        assert_eq!(ask(outside("EXT", Fallthrough::default()), question), want, "{question}");
    }
}

#[test]
fn only_services_that_do_not_exist_fall_through() {
    for (question, passes) in [
        ("nope.n.example A", true),
        ("web.n.example A", false),
        ("empty.n.example A", false),
        ("x.dns.example A", false),
        ("example A", false),
    ] {
        let outside = outside("dns", all_names());
        assert_eq!(outside.answers(&query(question)), !passes, "{question}");
        assert_eq!(ask(outside, question).starts_with("REFUSED"), passes, "{question}");
    }
    assert!(outside("dns", Fallthrough::default()).answers(&query("nope.n.example A")));
    assert!(!outside("dns", Fallthrough::default()).answers(&query("nope.n.test A")));
}

#[test]
fn a_copy_has_the_services_between_two_soa_records() {
    let outside = outside("dns", Fallthrough::default());
    let copy = |zone: &str, serial| {
        let records = outside.transfer(Name::from_text(zone).unwrap().as_ref(), serial)?;
        let mut q = query(". A");
        q.respond();
        records.for_each(|record| record.push(&mut q.reply, Section::Answer));
        Some(text(&q).lines().skip(1).map(|line| line.replace("answer ", "")).collect::<Vec<_>>())
    };
    let soa = "example. 60 IN SOA ns1.dns.example. hostmaster.dns.example. 7 7200 1800 86400 60";
    let whole = [
        soa,
        "example. 60 IN NS ns1.dns.example.",
        "ns1.dns.example. 60 IN A 192.0.2.53",
        "ns1.dns.example. 60 IN AAAA 2001:db8::53",
        "web.n.example. 60 IN A 192.0.2.1",
        soa,
    ];
    assert_eq!(copy("example", 0).unwrap(), whole);
    assert_eq!(copy("example", 6).unwrap(), whole);
    for serial in [7, 8] {
        assert_eq!(copy("example", serial).unwrap(), [soa]);
    }
    assert!(copy("n.example", 0).is_none() && copy("test", 0).is_none());
}
