//! The loop directive: finds forwarding loops at the start.
//!
//! The server asks itself for a name that nobody can guess (`probe`). A query for it that is seen more than twice has come back
//! from an upstream, and the process ends. The look-out is short: afterwards no query can stop the process.

mod probe;

use api::corefile::ConfigError;
use api::name::NameRef;
use api::{Name, Plugin, PluginDef, Query, RecordType, Result, Setup, Step};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use tokio::sync::watch;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "loop", metrics: &[], setup };

/// How often the probe may be seen: once as it is sent, and once again when a reply got lost.
const HARMLESS: u32 = 2;

/// The plugin of a server block.
struct Loop(Arc<Lookout>);

/// What the plugin and its probes share.
struct Lookout {
    /// The zone of the block.
    zone: Name,
    /// The name that is asked for.
    name: Name,
    /// Whether the name means anything still.
    active: AtomicBool,
    /// How often it was seen.
    seen: AtomicU32,
    /// The client of the query that was one too many.
    found: watch::Sender<Option<SocketAddr>>,
}

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.no_arguments()?;
    c.next_once()?;
    let zone = setup.zones().first().map_or_else(Name::root, |zone| zone.to_lower());
    let name = probe::name(zone.as_ref()).map_err(|e| c.bare(format!("no random numbers: {e}")))?;
    let lookout = Arc::new(Lookout::new(zone, name));
    setup.add(Loop(lookout.clone()));
    let addresses = setup.addresses();
    let clock = setup.clock();
    setup.task("probes", |mut stop| async move {
        // A block without a socket of its own has nothing to look for.
        let Some(&address) = addresses.get().and_then(|addresses| addresses.first()) else { return Ok(()) };
        stop.or(lookout.keep(address, &clock)).await.unwrap_or(Ok(()))
    });
    Ok(())
}

impl Plugin for Loop {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if q.rtype() == RecordType::HINFO && self.0.active.load(Relaxed) && q.name() == self.0.name.as_ref() {
            self.0.see(q.client);
        }
        Ok(Step::Next)
    }
}

impl Lookout {
    fn new(zone: Name, name: Name) -> Lookout {
        Lookout { zone, name, active: AtomicBool::new(true), seen: AtomicU32::new(0), found: watch::Sender::new(None) }
    }

    /// The probe has come from `client`.
    fn see(&self, client: SocketAddr) {
        if self.seen.fetch_add(1, Relaxed) == HARMLESS {
            self.found.send_replace(Some(client));
        }
    }

    fn name(&self) -> NameRef<'_> {
        self.name.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain, query};

    fn lookout() -> Arc<Lookout> {
        let name = |text| Name::from_text(text).expect("a name");
        Arc::new(Lookout::new(name("example.org"), name("1.2.example.org")))
    }

    #[test]
    fn the_third_probe_is_one_too_many() {
        let lookout = lookout();
        let chain = chain(Loop(lookout.clone()));
        for (question, seen) in [
            ("1.2.example.org HINFO", 1),
            ("1.2.example.org A", 1),
            ("1.1.example.org HINFO", 1),
            ("1.2.EXAMPLE.org HINFO", 2),
        ] {
            assert_eq!(ask(&chain, question), "REFUSED (no message)", "{question} goes on");
            assert_eq!(lookout.seen.load(Relaxed), seen, "{question}");
            assert_eq!(*lookout.found.borrow(), None, "{question}");
        }
        let _refused = ask(&chain, "1.2.example.org HINFO");
        assert_eq!(*lookout.found.borrow(), Some(query("1.2.example.org HINFO").client));
    }

    #[test]
    fn afterwards_the_name_means_nothing() {
        let lookout = lookout();
        lookout.active.store(false, Relaxed);
        let chain = chain(Loop(lookout.clone()));
        (0..5).for_each(|_| drop(ask(&chain, "1.2.example.org HINFO")));
        assert_eq!((lookout.seen.load(Relaxed), *lookout.found.borrow()), (0, None));
    }
}
