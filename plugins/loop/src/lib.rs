//! The loop directive: finds forwarding loops at the start.
//!
//! The server asks itself for a name that nobody can guess (`probe`). A second query for it has come back from an upstream.
//! When that has happened with several names, one after the other, there is a loop, and the process ends (`lookout`). The
//! look-out is short: afterwards no query can stop the process.

mod lookout;
mod probe;

use api::corefile::ConfigError;
use api::{Name, Plugin, PluginDef, Query, RecordType, Result, Setup, Step};
use lookout::Lookout;
use probe::Way;
use std::sync::Arc;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "loop", properties: &[], metrics: &[], setup };

/// The plugin of a server block.
struct Loop(Arc<Lookout>);

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.no_arguments()?;
    c.next_once()?;
    let zone = setup.zones().first().map_or_else(Name::root, |zone| zone.to_lower());
    let lookout = Arc::new(Lookout::new(zone));
    setup.add(Loop(lookout.clone()));
    let (addresses, chain, clock) = (setup.addresses(), setup.chain(), setup.clock());
    setup.task("probes", |mut stop| async move {
        let address = addresses.get().and_then(|addresses| addresses.first()).copied();
        let way = Way { address, chain: chain.get().cloned() };
        stop.or(lookout.keep(&way, &clock)).await.unwrap_or(Ok(()))
    });
    Ok(())
}

impl Plugin for Loop {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if q.rtype() == RecordType::HINFO && self.0.is_kept() {
            self.0.see(q.name(), q.client);
        }
        Ok(Step::Next)
    }
}
