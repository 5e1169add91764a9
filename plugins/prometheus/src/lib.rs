//! The prometheus directive: counts the queries of its server block, and shows all metrics of the process over HTTP.

mod enabled;
mod setup;

use api::metrics::{GaugeFamily, Metric};
use api::server::PerSite;
use api::setup::ChainHandle;
use api::traffic::Traffic;
use api::{Clock, Plugin, PluginDef, Query, Result, Step, Ways};
use std::sync::OnceLock;

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "prometheus", properties: PROPERTIES, metrics: METRICS, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["runtime_metrics", "tls"];

/// What it has beside [`api::traffic`].
const METRICS: &[&dyn Metric] = &[&ENABLED, &BUILD];

static ENABLED: GaugeFamily = GaugeFamily::new(
    "coredns_plugin_enabled",
    "A metric that indicates whether a plugin is enabled on per server and zone basis.",
    &["name", "server", "view", "zone"],
);
static BUILD: GaugeFamily = GaugeFamily::new(
    "coredns_build_info",
    "A metric with a constant '1' value labeled by version, revision, and goversion from which CoreDNS was built.",
    &["goversion", "revision", "version"],
);

/// Counts what passes by.
struct Prometheus {
    clock: Clock,
    sites: PerSite<Traffic>,
    chain: ChainHandle,
    below: OnceLock<&'static str>,
}

impl Plugin for Prometheus {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if let Some(site) = q.site()
            && let Some(traffic) = self.sites.get(site, |site| Traffic::new(site, self.below()))
        {
            traffic.count(q, &self.clock);
        }
        Ok(Step::Done)
    }
}

impl Prometheus {
    /// The plugin that follows in the chain: the label `plugin` of all replies that are written below (CoreDNS behaviour).
    fn below(&self) -> &'static str {
        self.below.get_or_init(|| {
            let links = self.chain.get().into_iter().flat_map(|chain| chain.links());
            links.skip_while(|link| link.name != PLUGIN.name).nth(1).map_or("", |link| link.name)
        })
    }
}
