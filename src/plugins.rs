//! THE table: every directive, in the order in which a query meets its plugin.
//!
//! A plugin feels the effect of all plugins below it and knows nothing of those above. The order is that of CoreDNS.

use api::PluginDef;

/// A line of the table.
#[derive(Clone, Copy)]
pub enum Row {
    /// A directive that works.
    Built(&'static PluginDef),
    /// A directive of CoreDNS that is known by name and refused.
    NotYet(&'static str),
}
use Row::{Built, NotYet};

const STANDARD: &[Row] = &[
    Built(&poddns_root::PLUGIN),
    Built(&poddns_metadata::PLUGIN),
    NotYet("geoip"),
    Built(&poddns_cancel::PLUGIN),
    NotYet("proxyproto"),
    NotYet("quic"),
    NotYet("grpc_server"),
    NotYet("https"),
    NotYet("https3"),
    Built(&poddns_timeouts::PLUGIN),
    Built(&poddns_multisocket::PLUGIN),
    Built(&poddns_reload::PLUGIN),
    Built(&poddns_nsid::PLUGIN),
    Built(&poddns_bufsize::PLUGIN),
    Built(&poddns_bind::PLUGIN),
    Built(&poddns_debug::PLUGIN),
    NotYet("trace"),
    Built(&poddns_ready::PLUGIN),
    Built(&poddns_health::PLUGIN),
    Built(&poddns_pprof::PLUGIN),
    Built(&poddns_shed::PLUGIN),
    Built(&poddns_prometheus::PLUGIN),
    Built(&poddns_errors::PLUGIN),
    Built(&poddns_log::PLUGIN),
    NotYet("dnstap"),
    Built(&poddns_local::PLUGIN),
    NotYet("dns64"),
    Built(&poddns_any::PLUGIN),
    Built(&poddns_chaos::PLUGIN),
    Built(&poddns_loadbalance::PLUGIN),
    NotYet("tsig"),
    NotYet("rewrite"),
    Built(&poddns_autopath::PLUGIN),
    NotYet("acl"),
    Built(&poddns_cache::PLUGIN),
    NotYet("header"),
    NotYet("dnssec"),
    NotYet("tls"),
    Built(&poddns_minimal::PLUGIN),
    Built(&poddns_template::PLUGIN),
    Built(&poddns_transfer::PLUGIN),
    Built(&poddns_hosts::PLUGIN),
    NotYet("route53"),
    NotYet("azure"),
    NotYet("clouddns"),
    Built(&poddns_k8s_external::PLUGIN),
    Built(&poddns_kubernetes::PLUGIN),
    NotYet("file"),
    NotYet("auto"),
    NotYet("secondary"),
    NotYet("etcd"),
    Built(&poddns_loop::PLUGIN),
    Built(&poddns_forward::PLUGIN),
    NotYet("grpc"),
    NotYet("erratic"),
    Built(&poddns_whoami::PLUGIN),
    NotYet("on"),
    NotYet("sign"),
    Built(&poddns_view::PLUGIN),
    NotYet("nomad"),
];

/// A table to change before [`crate::run`].
pub struct Table(pub Vec<Row>);

/// The table of the standard build.
pub fn standard() -> Table {
    Table(STANDARD.to_vec())
}

impl Row {
    /// The directive.
    pub fn name(&self) -> &'static str {
        match self {
            Built(def) => def.name,
            NotYet(name) => name,
        }
    }
}

impl Table {
    /// Puts `new` above the directive `name`.
    ///
    /// # Panics
    /// There is no such directive.
    pub fn before(mut self, name: &str, new: &'static PluginDef) -> Self {
        let at = self.place(name);
        self.0.insert(at, Built(new));
        self
    }

    /// Puts `new` below the directive `name`.
    ///
    /// # Panics
    /// There is no such directive.
    pub fn after(mut self, name: &str, new: &'static PluginDef) -> Self {
        let at = self.place(name) + 1;
        self.0.insert(at, Built(new));
        self
    }

    /// Leaves the directive `name` out: it is unknown then.
    ///
    /// # Panics
    /// There is no such directive.
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(self.place(name));
        self
    }

    fn place(&self, name: &str) -> usize {
        let place = self.0.iter().position(|row| row.name() == name);
        place.unwrap_or_else(|| panic!("no directive '{name}' in the table"))
    }
}
