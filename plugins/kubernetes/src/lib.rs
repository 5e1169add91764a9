//! The kubernetes directive: names of a cluster's services, endpoints and pods, answered from a live index.
//!
//! `setup` reads the Corefile and begins to follow the cluster: `connect` and `watch` from its API server, `manifests` from
//! files. Both fill the [`index`], which `answer` writes replies from; a query waits for nothing but the target of an
//! ExternalName outside of the cluster.

mod answer;
mod cluster;
mod connect;
mod elsewhere;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod manifests;
mod metadata;
mod metrics;
#[cfg(test)]
mod nonsense;
mod objects;
#[doc(hidden)]
pub mod parts;
mod path;
mod selector;
mod setup;
mod snapshot;
mod transfer;
mod watch;
mod zones;

use answer::{Request, Verdict};
use api::services::Live;
use api::{InfoCode, Plugin, PluginDef, Query, Rcode, RecordType, Result, Section, Step, Waiting};
use cluster::Cluster;
use elsewhere::Elsewhere;
use index::Index;
use setup::Rules;
use std::sync::Arc;
use zones::{Zone, Zones};

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "kubernetes", properties: PROPERTIES, metrics: metrics::ALL, setup: setup::set_up };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &[
    "endpoint",
    "tls",
    "kubeconfig",
    "manifests",
    "snapshot",
    "apiserver_qps",
    "apiserver_burst",
    "apiserver_max_inflight",
    "resync",
    "namespaces",
    "labels",
    "namespace_labels",
    "pods",
    "endpoint_pod_names",
    "noendpoints",
    "ttl",
    "fallthrough",
    "ignore",
    "startup_timeout",
    "multicluster",
    "zonal",
];

/// The directive in one server block.
struct Kubernetes {
    zones: Zones,
    rules: Rules,
    cluster: Arc<Cluster>,
}

impl Plugin for Kubernetes {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let Some((zone, offset)) = self.zones.find(q.name()) else { return Ok(Step::Next) };
        if matches!(q.rtype(), RecordType::AXFR | RecordType::IXFR) {
            q.reply.bare(Rcode::REFUSED);
            return Ok(Step::Done);
        }
        let room = q.size_limit() * SPARE;
        let reply = q.respond_authoritative(Rcode::NOERROR);
        reply.set_live();
        reply.set_room(room);
        match self.answer(&Request { question: &q.question, zone, offset }, &mut q.reply) {
            Verdict::Answered => self.complete(q, zone, offset),
            Verdict::NoSuchName => return Ok(self.no_such_name(q, zone, offset)),
            Verdict::Elsewhere(name) => {
                q.set_note(Elsewhere(name));
                return Ok(Step::Wait);
            }
        }
        Ok(Step::Done)
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(self.look_elsewhere(q))
    }

    fn ready(&self) -> bool {
        self.cluster.synced()
    }
}

impl Live for Kubernetes {
    fn answers(&self, q: &Query) -> bool {
        let Some((zone, offset)) = self.zones.find(q.name()) else { return false };
        !zone.fallthrough.covers(q.name()) || self.knows(&Request { question: &q.question, zone, offset })
    }
}

impl Kubernetes {
    fn index(&self) -> &Index {
        &self.cluster.index
    }

    /// An answer without records says so with the zone's SOA (RFC 2308 2.2).
    fn complete(&self, q: &mut Query, zone: &Zone, offset: usize) {
        if q.reply.records().len() == 0 {
            self.soa(&Request { question: &q.question, zone, offset }, Section::Authority, &mut q.reply);
        }
    }

    /// Passes the query on where that is configured; else says that the name does not exist, or, before the cluster is known,
    /// that nobody can tell.
    fn no_such_name(&self, q: &mut Query, zone: &Zone, offset: usize) -> Step {
        if zone.fallthrough.covers(q.name()) {
            q.reply.clear();
            return Step::Next;
        }
        if self.cluster.synced() {
            q.reply.set_rcode(Rcode::NXDOMAIN);
        } else {
            q.reply.set_rcode(Rcode::SERVFAIL);
            q.reply.explain_in_words(InfoCode::NOT_READY, "the cluster is not known yet");
        }
        self.complete(q, zone, offset);
        Step::Done
    }
}

/// Answers are written up to so many times the size that the client can take. Compression makes SRV records, the longest, less than
/// three times as small; plugins above may leave some out.
const SPARE: usize = 4;
