//! Load balancers that have a name: what the server itself says about it.

use crate::Outside;
use api::{Name, NameRef, Owner, Query, RecordType, Result, Section, Step};

/// Left in a query: the names to look up.
pub struct Hosts(pub Vec<Name>);

impl Outside {
    /// Looks up the names, and adds what is found.
    pub async fn look_up_hosts(&self, q: &mut Query) -> Result<Step> {
        let Some(Hosts(hosts)) = q.take_note() else { return Ok(Step::Done) };
        for host in &hosts {
            if q.rtype() == RecordType::SRV {
                add(q, host.as_ref(), RecordType::A, Section::Additional).await;
                add(q, host.as_ref(), RecordType::AAAA, Section::Additional).await;
                continue;
            }
            let ttl = self.cluster.first().map_or(self.ttl, |cluster| cluster.ttl());
            q.reply.push(Section::Answer, Owner::Question, RecordType::CNAME, ttl, |d| d.name(host.as_ref()));
            add(q, host.as_ref(), q.rtype(), Section::Answer).await;
        }
        Ok(Step::Done)
    }
}

/// Adds the records of `host` to the reply.
async fn add(q: &mut Query, host: NameRef<'_>, rtype: RecordType, section: Section) {
    match q.lookup(host, rtype).await {
        Ok(found) => q.reply.push_answer_of(&found.reply, section),
        Err(e) => tracing::debug!("{host} is not looked up: {e}"),
    }
}
