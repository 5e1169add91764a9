//! The k8s_external directive: names of services as they are seen from outside of their cluster.
//!
//! `SERVICE.NAMESPACE.ZONE` has the external addresses of a service and those of its load balancers. What they are, `kubernetes`
//! knows and writes (`api::services::External`); here are the zones, their name servers (`apex`), and the look-up of load
//! balancers that have a name instead of an address (`hosts`).

mod apex;
mod hosts;
mod setup;
mod transfer;
mod zones;

use api::services::{Endpoints, External, ExternalAnswer, ExternalName, Live};
use api::setup::Offered;
use api::{Fallthrough, Plugin, PluginDef, Query, Question, Rcode, Result, Section, Step, Waiting};
use hosts::Hosts;
use std::sync::Arc;
use zones::{Place, Zone, Zones};

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "k8s_external", properties: PROPERTIES, metrics: &[], setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["ttl", "apex", "headless", "fallthrough"];

/// The directive in one server block.
struct Outside {
    zones: Zones,
    ttl: u32,
    endpoints: Endpoints,
    fallthrough: Fallthrough,
    cluster: Offered<Arc<dyn External>>,
}

impl Plugin for Outside {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let Some((zone, offset)) = self.zones.find(q.name()) else { return Ok(Step::Next) };
        let Some(cluster) = self.cluster.first() else { return Ok(Step::Next) };
        q.respond_authoritative(Rcode::NOERROR).set_live();
        match self.zones.place(q.name(), offset) {
            Place::Apex => self.answer_apex(zone, q, &**cluster),
            Place::Servers => self.answer_servers(q, &**cluster),
            Place::Nothing => (),
            Place::NoSuchName => q.reply.set_rcode(Rcode::NXDOMAIN),
            Place::Service => match cluster.answer(&self.asked(&q.question, zone, offset), &mut q.reply) {
                ExternalAnswer::Written => (),
                ExternalAnswer::NoSuchName if self.fallthrough.covers(q.name()) => {
                    q.reply.clear();
                    return Ok(Step::Next);
                }
                ExternalAnswer::NoSuchName => q.reply.set_rcode(Rcode::NXDOMAIN),
                ExternalAnswer::Hosts(hosts) => {
                    q.set_note(Hosts(hosts));
                    return Ok(Step::Wait);
                }
            },
        }
        self.complete(q, zone, offset, &**cluster);
        Ok(Step::Done)
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(self.look_up_hosts(q))
    }
}

impl Live for Outside {
    fn answers(&self, q: &Query) -> bool {
        let (Some((zone, offset)), Some(cluster)) = (self.zones.find(q.name()), self.cluster.first()) else {
            return false;
        };
        !self.fallthrough.covers(q.name())
            || !matches!(self.zones.place(q.name(), offset), Place::Service)
            || cluster.knows(&self.asked(&q.question, zone, offset))
    }
}

impl Outside {
    fn asked<'a>(&'a self, question: &'a Question, zone: &'a Zone, offset: usize) -> ExternalName<'a> {
        ExternalName {
            question,
            zone: zone.name.as_ref(),
            offset,
            primary: self.zones.primary(),
            ttl: self.ttl,
            endpoints: self.endpoints,
        }
    }

    /// An answer without records says so with the zone's SOA (RFC 2308 2.2).
    fn complete(&self, q: &mut Query, zone: &Zone, offset: usize, cluster: &dyn External) {
        if q.reply.records().len() == 0 {
            self.soa(zone, offset, Section::Authority, q, cluster);
        }
    }
}

#[cfg(test)]
mod tests;
