//! Gauges that say what runs: the plugins of each block, and the version.

use crate::{BUILD, ENABLED};
use api::setup::ChainHandle;
use api::{Setup, Site, metrics};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Shows the plugins of this block once it serves. What earlier configurations showed goes first.
pub fn show(setup: &mut Setup<'_>) {
    let (chain, sites, first) = (setup.chain(), setup.sites(), setup.shared::<First>());
    setup.task("enabled plugins", move |_stop| async move {
        if !first.0.swap(true, Relaxed) {
            metrics::reset(&ENABLED);
            BUILD.with(&["", "", env!("CARGO_PKG_VERSION")]).set(1.0);
        }
        show_chain(&chain, &sites);
        Ok(())
    });
}

/// Whether a block of this configuration has shown its plugins.
#[derive(Default)]
struct First(AtomicBool);

/// Each plugin, at every address of the block's first key (CoreDNS behaviour).
fn show_chain(chain: &ChainHandle, sites: &Arc<OnceLock<Vec<Site>>>) {
    let (Some(sites), Some(chain)) = (sites.get(), chain.get()) else { return };
    let key = |site: &Site| (site.zone.clone(), site.server.rsplit(':').next().map(str::to_owned));
    for site in sites.iter().filter(|site| key(site) == key(&sites[0])) {
        for link in chain.links() {
            ENABLED.with(&[link.name, &site.server, &site.view, &site.zone]).set(1.0);
        }
    }
}
