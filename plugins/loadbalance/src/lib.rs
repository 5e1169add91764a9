//! The loadbalance directive: the order of the addresses in an answer.

mod order;
mod prefer;
mod setup;
mod shuffle;
mod weighted;
mod weights;

use api::{Plugin, PluginDef, Query, Rcode, RecordType, Result, Step, Ways};
use arc_swap::ArcSwap;
use prefer::Network;
use std::sync::Arc;
use weights::Weights;

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "loadbalance", properties: PROPERTIES, metrics: &[], setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["prefer", "reload"];

/// Shuffles the addresses of each section; then those of preferred networks go first.
struct RoundRobin {
    preferred: Box<[Network]>,
}

impl Plugin for RoundRobin {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if is_balanced(q) {
            shuffle::shuffle(&mut q.reply);
            if !self.preferred.is_empty() {
                prefer::prefer(&mut q.reply, &self.preferred);
            }
        }
        Ok(Step::Done)
    }
}

/// Puts one address first, each as often as its weight says.
struct Weighted {
    weights: Arc<ArcSwap<Weights>>,
}

impl Plugin for Weighted {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        let weighed = matches!(q.rtype(), RecordType::A | RecordType::AAAA | RecordType::SRV);
        if weighed && is_balanced(q) {
            weighted::choose_first(&mut q.reply, &self.weights.load());
        }
        Ok(Step::Done)
    }
}

/// Whether the reply is a message whose order may change: no error, no zone transfer.
fn is_balanced(q: &Query) -> bool {
    let transfer = matches!(q.rtype(), RecordType::AXFR | RecordType::IXFR);
    q.reply.is_message() && q.reply.rcode() == Some(Rcode::NOERROR) && !transfer
}
