//! The reload directive: reads the Corefile again when it has changed.

mod setup;
mod watch;

use api::PluginDef;
use api::metrics::{GaugeFamily, Metric};

/// The directive. It adds no plugin: it is background work.
pub static PLUGIN: PluginDef = PluginDef { name: "reload", properties: &[], metrics: METRICS, setup: setup::setup };

const METRICS: &[&dyn Metric] = &[&VERSION];

static VERSION: GaugeFamily = GaugeFamily::new(
    "coredns_reload_version_info",
    "A metric with a constant '1' value labeled by hash, and value which type of hash generated.",
    &["hash", "value"],
);
