//! The health directive: says over HTTP that the process runs; lame duck.

mod probe;
mod setup;

use api::PluginDef;
use api::metrics::{CounterFamily, HistogramFamily, Metric, Unit};

/// The directive. It adds no plugin: it shows a page, asks for it now and then, and holds up the end.
pub static PLUGIN: PluginDef =
    PluginDef { name: "health", properties: PROPERTIES, metrics: METRICS, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["lameduck"];

const METRICS: &[&dyn Metric] = &[&DURATION, &FAILURES];

static DURATION: HistogramFamily = HistogramFamily::new(
    "coredns_health_request_duration_seconds",
    "Histogram of the time (in seconds) each request took.",
    &[],
    &[0.00025, 0.0025, 0.025, 0.25, 2.5],
    Unit::Seconds,
);
static FAILURES: CounterFamily =
    CounterFamily::new("coredns_health_request_failures_total", "The number of times the health check failed.", &[]);
