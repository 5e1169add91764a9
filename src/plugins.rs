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
    NotYet("root"),
    NotYet("metadata"),
    NotYet("geoip"),
    NotYet("cancel"),
    NotYet("proxyproto"),
    NotYet("quic"),
    NotYet("grpc_server"),
    NotYet("https"),
    NotYet("https3"),
    NotYet("timeouts"),
    NotYet("multisocket"),
    NotYet("reload"),
    NotYet("nsid"),
    NotYet("bufsize"),
    NotYet("bind"),
    NotYet("debug"),
    NotYet("trace"),
    NotYet("ready"),
    NotYet("health"),
    NotYet("pprof"),
    NotYet("shed"),
    NotYet("prometheus"),
    NotYet("errors"),
    NotYet("log"),
    NotYet("dnstap"),
    NotYet("local"),
    NotYet("dns64"),
    NotYet("any"),
    NotYet("chaos"),
    NotYet("loadbalance"),
    NotYet("tsig"),
    NotYet("rewrite"),
    NotYet("autopath"),
    NotYet("acl"),
    NotYet("cache"),
    NotYet("header"),
    NotYet("dnssec"),
    NotYet("tls"),
    NotYet("minimal"),
    NotYet("template"),
    NotYet("transfer"),
    NotYet("hosts"),
    NotYet("route53"),
    NotYet("azure"),
    NotYet("clouddns"),
    NotYet("k8s_external"),
    NotYet("kubernetes"),
    NotYet("file"),
    NotYet("auto"),
    NotYet("secondary"),
    NotYet("etcd"),
    NotYet("loop"),
    NotYet("forward"),
    NotYet("grpc"),
    NotYet("erratic"),
    NotYet("whoami"),
    NotYet("on"),
    NotYet("sign"),
    NotYet("view"),
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
