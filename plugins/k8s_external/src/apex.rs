//! The zone itself: its SOA, its name server, and that one's addresses.

use crate::Outside;
use crate::zones::Zone;
use api::services::External;
use api::{Owner, Query, RecordType, Section};

impl Outside {
    /// Answers for the zone itself.
    pub fn answer_apex(&self, zone: &Zone, q: &mut Query, cluster: &dyn External) {
        match q.rtype() {
            RecordType::SOA => self.soa(zone, 0, Section::Answer, q, cluster),
            RecordType::NS => {
                let owner = Owner::Name(zone.name.as_ref());
                q.reply.push(Section::Answer, owner, RecordType::NS, self.ttl, |d| d.name(zone.server.as_ref()));
                for address in cluster.servers(self.endpoints) {
                    let owner = Owner::Under(self.zones.server());
                    q.reply.push_address(Section::Additional, owner, self.ttl, address);
                }
            }
            _ => (),
        }
    }

    /// Answers for the name server.
    pub fn answer_servers(&self, q: &mut Query, cluster: &dyn External) {
        let wanted = q.rtype();
        for address in cluster.servers(self.endpoints) {
            if wanted == if address.is_ipv4() { RecordType::A } else { RecordType::AAAA } {
                q.reply.push_address(Section::Answer, Owner::Question, self.ttl, address);
            }
        }
    }

    /// What stands behind the names of a SOA record.
    pub fn soa_numbers(&self, serial: u32) -> [u32; 5] {
        [serial, REFRESH, RETRY, EXPIRE, self.ttl]
    }

    /// The SOA record of `zone`, which begins at `offset` in the name asked for. It has the zone's own letters.
    pub fn soa(&self, zone: &Zone, offset: usize, section: Section, q: &mut Query, cluster: &dyn External) {
        let Query { question, reply, .. } = q;
        let plain = question.original().suffix(offset) == zone.name.as_ref();
        let owner = if plain { Owner::Suffix(offset) } else { Owner::Name(zone.name.as_ref()) };
        reply.push(section, owner, RecordType::SOA, self.ttl, |d| {
            if plain {
                d.under_question_compressed(self.zones.server(), offset);
                d.under_question_compressed(self.zones.mailbox(), offset);
            } else {
                d.name(zone.server.as_ref());
                d.name(zone.mailbox.as_ref());
            }
            self.soa_numbers(cluster.serial()).into_iter().for_each(|n| d.u32(n));
        });
    }
}

/// Fields of the SOA record as CoreDNS has them, in seconds.
const REFRESH: u32 = 7200;
const RETRY: u32 = 1800;
const EXPIRE: u32 = 86_400;
