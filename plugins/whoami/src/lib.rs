//! The whoami directive: answers with the client's address, port and protocol.

use api::corefile::ConfigError;
use api::{Owner, Plugin, PluginDef, Query, Rcode, RecordType, Result, Section, Setup, Step};
use std::net::IpAddr;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "whoami", properties: &[], metrics: &[], setup };

/// Answers every question with what it knows of the client, in the additional section.
struct Whoami;

impl Plugin for Whoami {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let (client, proto, class) = (q.client, q.transport.proto(), q.question.class);
        let reply = q.respond_authoritative(Rcode::NOERROR);
        let mut push = |owner, rtype, data: &[u8]| {
            reply.push_class(Section::Additional, owner, (rtype, class), 0, |d| d.octets(data));
        };
        match client.ip().to_canonical() {
            IpAddr::V4(a) => push(Owner::Question, RecordType::A, &a.octets()),
            IpAddr::V6(a) => push(Owner::Question, RecordType::AAAA, &a.octets()),
        }
        let [high, low] = client.port().to_be_bytes();
        let label = if proto == "udp" { b"\x04_udp" } else { b"\x04_tcp" };
        push(Owner::Under(label), RecordType::SRV, &[0, 0, 0, 0, high, low, 0]);
        Ok(Step::Done)
    }
}

/// Takes no arguments.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    setup.cursor().no_arguments()?;
    setup.add(Whoami);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Class;
    use api::test::{ask, chain};

    #[test]
    fn says_who_asks() {
        let whoami = chain(Whoami);
        let want = "NOERROR aa rd\n\
                    additional a.example. 0 IN A 127.0.0.1\n\
                    additional _udp.a.example. 0 IN SRV 0 0 40212 .";
        assert_eq!(ask(&whoami, "a.example TXT"), want);
        assert_eq!(ask(&whoami, "a.example TXT +tcp"), want.replace("_udp", "_tcp"));
        assert!(ask(&whoami, ". A").ends_with("additional _udp. 0 IN SRV 0 0 40212 ."));
    }

    #[test]
    fn records_have_the_class_of_the_question() {
        let mut q = api::test::query("a.example A CH");
        assert_eq!(chain(Whoami).run(&mut q), api::Run::Done);
        assert!(q.reply.records().all(|r| r.class() == Class::CH));
    }
}
