//! The hosts directive: answers from a hosts file and from lines of the Corefile.

mod setup;
mod table;
mod watch;

use api::metrics::{GaugeFamily, Metric};
use api::{Fallthrough, Name, NameRef, Owner, Plugin, PluginDef, Query, Rcode, RecordType, Result, Section, Step};
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::sync::Arc;
use table::Table;

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "hosts", properties: PROPERTIES, metrics: METRICS, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["fallthrough", "fallthrough_unsupported", "no_reverse", "ttl", "reload"];

const METRICS: &[&dyn Metric] = &[&ENTRIES, &RELOADED];

static ENTRIES: GaugeFamily =
    GaugeFamily::new("coredns_hosts_entries", "The combined number of entries in hosts and Corefile.", &["hostsfile"]);
static RELOADED: GaugeFamily =
    GaugeFamily::new("coredns_hosts_reload_timestamp_seconds", "The timestamp of the last reload of hosts file.", &[]);

/// Answers A, AAAA and PTR.
struct Hosts {
    zones: Box<[Name]>,
    ttl: u32,
    fallthrough: Fallthrough,
    /// Other types of a known name go on to the plugins below.
    other_types_fall_through: bool,
    /// What the file says, as it is now.
    file: Arc<ArcSwap<Table>>,
    /// What the Corefile says.
    lines: Arc<Table>,
}

impl Plugin for Hosts {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let (ours, rtype) = (self.zones.iter().any(|zone| q.name().is_below(zone.as_ref())), q.rtype());
        if rtype == RecordType::PTR {
            // Reverse names need not be in our zones; what is not known goes on in any case.
            return Ok(if self.answer_ptr(q) { Step::Done } else { Step::Next });
        }
        if !ours {
            return Ok(Step::Next);
        }
        if !self.knows(q.name()) {
            if self.fallthrough.covers(q.name()) {
                return Ok(Step::Next);
            }
            // There is no SOA record for an NXDOMAIN (CoreDNS behaviour).
            q.reply.bare(Rcode::SERVFAIL);
            return Ok(Step::Done);
        }
        let address_type = matches!(rtype, RecordType::A | RecordType::AAAA);
        if self.other_types_fall_through && !address_type && self.fallthrough.covers(q.name()) {
            return Ok(Step::Next);
        }
        self.answer_addresses(q);
        Ok(Step::Done)
    }
}

impl Hosts {
    /// Whether a name has an address of either family.
    fn knows(&self, name: NameRef<'_>) -> bool {
        let file = self.file.load();
        [&**file, &*self.lines].into_iter().any(|t| !t.v4(name).is_empty() || !t.v6(name).is_empty())
    }

    /// The addresses of the type asked for: those of the file, then those of the Corefile. Owners are in lower case.
    fn answer_addresses(&self, q: &mut Query) {
        q.respond_authoritative(Rcode::NOERROR);
        let Query { question, reply, .. } = q;
        let (file, name) = (self.file.load(), question.name());
        let mut push = |address: IpAddr| reply.push_address(Section::Answer, Owner::Name(name), self.ttl, address);
        for table in [&**file, &*self.lines] {
            match question.rtype {
                RecordType::A => table.v4(name).iter().for_each(|a| push((*a).into())),
                RecordType::AAAA => table.v6(name).iter().for_each(|a| push((*a).into())),
                _ => (),
            }
        }
    }

    /// The names of the address asked for; `false`, and no reply, where it has none.
    fn answer_ptr(&self, q: &mut Query) -> bool {
        let Some(address) = q.name().reverse_address() else { return false };
        let file = self.file.load();
        let names = || [&**file, &*self.lines].into_iter().flat_map(|table| table.names(address));
        if names().next().is_none() {
            return false;
        }
        q.respond_authoritative(Rcode::NOERROR);
        let Query { question, reply, .. } = q;
        for name in names() {
            let owner = Owner::Name(question.name());
            reply.push(Section::Answer, owner, RecordType::PTR, self.ttl, |d| d.name(name.as_ref()));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain};

    fn hosts(file: &str, lines: &str, fallthrough: Fallthrough) -> Hosts {
        let zones: Box<[Name]> = [Name::from_text("example").unwrap()].into();
        let table = |text: &str| Table::parse(text.as_bytes(), &zones, table::Reverse::On);
        let (file, lines) = (Arc::new(ArcSwap::from_pointee(table(file))), Arc::new(table(lines)));
        Hosts { zones, ttl: 60, fallthrough, other_types_fall_through: false, file, lines }
    }

    #[test]
    fn file_and_lines_add_up() {
        let file =
            "10.0.0.1 A.example b.example # a comment\n10.0.0.9 *.w.example\n2001:db8::1 a.example\n10.0.0.1 c.test";
        let hosts = chain(hosts(file, "10.0.0.2 a.example", Fallthrough::default()));
        for (question, want) in [
            ("A.Example A", "NOERROR aa rd\nanswer a.example. 60 IN A 10.0.0.1\nanswer a.example. 60 IN A 10.0.0.2"),
            ("a.example AAAA", "NOERROR aa rd\nanswer a.example. 60 IN AAAA 2001:db8::1"),
            ("b.example AAAA", "NOERROR aa rd"),
            ("a.example MX", "NOERROR aa rd"),
            ("x.w.example A", "NOERROR aa rd\nanswer x.w.example. 60 IN A 10.0.0.9"),
            ("x.y.w.example A", "SERVFAIL (no message)"),
            ("c.test A", "REFUSED (no message)"),
            ("9.0.0.10.in-addr.arpa PTR", "REFUSED (no message)"),
            (
                "1.0.0.10.in-addr.arpa PTR",
                "NOERROR aa rd\nanswer 1.0.0.10.in-addr.arpa. 60 IN PTR a.example.\n\
                 answer 1.0.0.10.in-addr.arpa. 60 IN PTR b.example.",
            ),
        ] {
            assert_eq!(ask(&hosts, question), want, "{question}");
        }
    }
}
