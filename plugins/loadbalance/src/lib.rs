//! The loadbalance directive: the order of the addresses in an answer.

mod prefer;
mod setup;
mod shuffle;

use api::{Plugin, PluginDef, Query, Rcode, RecordType, Result, Step};
use prefer::Network;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "loadbalance", metrics: &[], setup: setup::setup };

/// Shuffles the addresses of each section; then those of preferred networks go first.
struct RoundRobin {
    preferred: Box<[Network]>,
}

impl Plugin for RoundRobin {
    fn query(&self, _q: &mut Query) -> Result<Step> {
        Ok(Step::Next)
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        let transfer = matches!(q.rtype(), RecordType::AXFR | RecordType::IXFR);
        if q.reply.is_message() && q.reply.rcode() == Some(Rcode::NOERROR) && !transfer {
            shuffle::shuffle(&mut q.reply);
            if !self.preferred.is_empty() {
                prefer::prefer(&mut q.reply, &self.preferred);
            }
        }
        Ok(Step::Done)
    }
}
