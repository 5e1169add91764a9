//! The local directive: answers names that never leave a machine (RFC 6303, RFC 6761 6.3).

mod setup;

use api::metrics::{Counter, CounterFamily, Metric};
use api::{NameRef, Owner, Plugin, PluginDef, Query, Rcode, RecordType, Reply, Result, Section, Step};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "local", properties: PROPERTIES, metrics: METRICS, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["localhost_prefix"];

const METRICS: &[&dyn Metric] = &[&REQUESTS];

static REQUESTS: CounterFamily =
    CounterFamily::new("coredns_local_localhost_requests_total", "Counter of localhost.<domain> requests.", &[]);

/// TTL of all records, in seconds: a week.
const TTL: u32 = 604_800;

/// Answers `localhost`, names below it, `localhost.DOMAIN` where that is wanted, and the reverse zones of local addresses.
struct Local {
    /// `localhost.DOMAIN` is local, too.
    prefix: bool,
    requests: Counter,
}

impl Plugin for Local {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let name = q.name();
        if name.as_bytes() == LOCALHOST {
            apex(q, 0);
        } else if let Some(offset) = REVERSE.iter().find_map(|zone| name.below(NameRef::read(zone)?)) {
            reverse(q, offset);
        } else if self.is_localhost(name) {
            self.requests.inc();
            addresses_or_nothing(q);
        } else {
            return Ok(Step::Next);
        }
        Ok(Step::Done)
    }
}

impl Local {
    /// Whether a name is below `localhost`, or, where that is wanted, `localhost` below something.
    fn is_localhost(&self, name: NameRef<'_>) -> bool {
        let below = NameRef::read(LOCALHOST).is_some_and(|zone| name.is_below(zone));
        below || self.prefix && name.as_bytes().starts_with(PREFIX) && name.as_bytes().len() > LOCALHOST.len()
    }
}

/// The top of a zone, `offset` octets into the question's name.
fn apex(q: &mut Query, offset: usize) {
    match q.rtype() {
        RecordType::SOA => soa(q.respond(), Section::Answer, offset),
        RecordType::NS => {
            let name = Owner::Suffix(offset);
            q.respond().push(Section::Answer, name, RecordType::NS, TTL, |d| d.octets(LOCALHOST));
        }
        _ if offset == 0 && q.name().as_bytes() == LOCALHOST => addresses_or_nothing(q),
        _ => soa(q.respond(), Section::Authority, offset),
    }
}

/// A name in a reverse zone, which begins `offset` octets into it.
fn reverse(q: &mut Query, offset: usize) {
    if offset == 0 {
        return apex(q, 0);
    }
    if q.name().as_bytes() != ONE {
        let reply = q.respond();
        reply.set_rcode(Rcode::NXDOMAIN);
        return soa(reply, Section::Authority, offset);
    }
    match q.rtype() {
        RecordType::PTR => {
            q.respond().push(Section::Answer, Owner::Question, RecordType::PTR, TTL, |d| d.octets(LOCALHOST));
        }
        _ => soa(q.respond(), Section::Authority, offset),
    }
}

/// The loopback address of the type asked for; of other types there is nothing.
fn addresses_or_nothing(q: &mut Query) {
    let rtype = q.rtype();
    let reply = q.respond();
    match rtype {
        RecordType::A => reply.push_address(Section::Answer, Owner::Question, TTL, Ipv4Addr::LOCALHOST.into()),
        RecordType::AAAA => reply.push_address(Section::Answer, Owner::Question, TTL, Ipv6Addr::LOCALHOST.into()),
        _ => soa(reply, Section::Authority, 0),
    }
}

/// The SOA record of a zone, `offset` octets into the question's name.
fn soa(reply: &mut Reply, section: Section, offset: usize) {
    reply.push(section, Owner::Suffix(offset), RecordType::SOA, TTL, |d| {
        d.octets(LOCALHOST);
        d.octets(b"\x04root");
        d.octets(LOCALHOST);
        [1, 0, 0, 0, TTL].into_iter().for_each(|n| d.u32(n));
    });
}

const LOCALHOST: &[u8] = b"\x09localhost\0";
const PREFIX: &[u8] = b"\x09localhost";
const REVERSE: [&[u8]; 3] =
    [b"\x03127\x07in-addr\x04arpa\0", b"\x010\x07in-addr\x04arpa\0", b"\x03255\x07in-addr\x04arpa\0"];
const ONE: &[u8] = b"\x011\x010\x010\x03127\x07in-addr\x04arpa\0";

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain};

    fn local(prefix: bool, question: &str) -> String {
        ask(&chain(Local { prefix, requests: REQUESTS.with(&[]) }), question)
    }

    const SOA: &str = "604800 IN SOA localhost. root.localhost. 1 0 0 0 604800";

    #[test]
    fn what_is_local() {
        for (question, want) in [
            ("LocalHost A", "NOERROR rd\nanswer LocalHost. 604800 IN A 127.0.0.1".to_owned()),
            ("a.localhost AAAA", "NOERROR rd\nanswer a.localhost. 604800 IN AAAA ::1".to_owned()),
            ("localhost MX", format!("NOERROR rd\nauthority localhost. {SOA}")),
            ("localhost SOA", format!("NOERROR rd\nanswer localhost. {SOA}")),
            ("a.localhost SOA", format!("NOERROR rd\nauthority a.localhost. {SOA}")),
            ("localhost.test TXT", format!("NOERROR rd\nauthority localhost.test. {SOA}")),
            ("127.in-addr.arpa NS", "NOERROR rd\nanswer 127.in-addr.arpa. 604800 IN NS localhost.".to_owned()),
            ("0.in-addr.arpa A", format!("NOERROR rd\nauthority 0.in-addr.arpa. {SOA}")),
            (
                "1.0.0.127.in-addr.arpa PTR",
                "NOERROR rd\nanswer 1.0.0.127.in-addr.arpa. 604800 IN PTR localhost.".to_owned(),
            ),
            ("1.0.0.127.in-addr.arpa A", format!("NOERROR rd\nauthority 127.in-addr.arpa. {SOA}")),
            ("2.255.In-addr.arpa PTR", format!("NXDOMAIN rd\nauthority 255.In-addr.arpa. {SOA}")),
        ] {
            assert_eq!(local(true, question), want, "{question}");
        }
        for question in ["example A", "localhosts A", "128.in-addr.arpa SOA"] {
            assert!(local(true, question).starts_with("REFUSED"), "{question}");
        }
        assert!(local(false, "localhost.test A").starts_with("REFUSED"));
        assert!(local(false, "localhost.localhost A").starts_with("NOERROR"));
    }
}
