//! From a name to a chain: the server blocks of one listener.

use crate::block::Built;
use crate::metrics;
use crate::panics;
use api::server::{Answering, Server};
use api::services::Metadata;
use api::{Class, Edns, NameRef, Query, Rcode, RecordType, Run, Site};
use std::collections::HashMap;
use std::sync::Arc;

/// The blocks that share a listener, by the zones they serve; answers queries and the look-ups of plugins.
pub struct Router {
    /// The zones, those with more labels first.
    zones: Vec<Zone>,
    /// Where each zone stands in `zones`; asked where there are too many to look through.
    index: HashMap<Box<[u8]>, usize>,
    sites: Vec<Site>,
    /// The blocks, for each of the sites.
    routes: Vec<Arc<Route>>,
    any_class: bool,
    sheds: bool,
    metrics: Arc<metrics::Listener>,
}

/// A zone and the blocks that serve it, in the order of the Corefile.
struct Zone {
    name: Box<[u8]>,
    routes: Vec<Arc<Route>>,
}

/// A block that serves a zone on a listener.
struct Route {
    block: Arc<Built>,
    /// Its place among the sites of the listener.
    site: usize,
    /// The listener.
    metrics: Arc<metrics::Listener>,
}

/// How far a query got without waiting.
#[must_use]
pub enum Begun {
    /// The reply stands in the query.
    Done,
    /// The plugin at this place of its chain must wait; see [`Router::finish`].
    Wait(usize),
}

/// Up to so many zones are looked through one by one.
const FEW: usize = 8;

impl Router {
    /// A router for the listener called `label` (`dns://:53`); `blocks` are its zones (lower-case wire form) with the blocks
    /// that serve them and the names of the sites, in the order of the Corefile.
    pub fn new(label: &Arc<str>, blocks: Vec<(Box<[u8]>, Arc<Built>, Site)>) -> Router {
        let any_class = blocks.iter().any(|(_, block, _)| block.any_class);
        let sheds = blocks.iter().any(|(_, block, _)| block.sheds);
        let metrics = Arc::new(metrics::Listener::new(label));
        let mut by_zone: HashMap<Box<[u8]>, Vec<Arc<Route>>> = HashMap::new();
        let (mut sites, mut routes) = (Vec::new(), Vec::new());
        for (name, block, site) in blocks {
            let route = Arc::new(Route { block, site: sites.len(), metrics: metrics.clone() });
            by_zone.entry(name).or_default().push(route.clone());
            routes.push(route);
            sites.push(site);
        }
        let mut zones: Vec<Zone> = by_zone.into_iter().map(|(name, routes)| Zone { name, routes }).collect();
        zones.sort_by_cached_key(|z| std::cmp::Reverse(z.name().labels().count()));
        let index = zones.iter().enumerate().map(|(i, z)| (z.name.clone(), i)).collect();
        Router { zones, index, sites, routes, any_class, sheds, metrics }
    }

    /// Takes a query as far as it goes without waiting.
    pub fn begin(&self, q: &mut Query) -> Begun {
        if q.question.class != Class::IN && !self.any_class {
            return self.refuse(q);
        }
        if q.edns.is_some_and(|e| e.version != 0) {
            // RFC 6891 6.1.3; size 0 and no options as CoreDNS has it.
            q.edns = Some(Edns { size: 0, version: 0, dnssec_ok: false });
            q.edns_options.clear();
            q.respond().set_rcode(Rcode::BADVERS);
            return Begun::Done;
        }
        let Some(route) = self.select(q) else { return self.refuse(q) };
        q.set_site(route.site);
        if route.is_empty() {
            return self.refuse(q);
        }
        let run = route.block.chain.run(q);
        route.begun(q, run)
    }

    /// Takes a query to its end whose plugin at place `at` must wait.
    pub async fn finish(&self, q: &mut Query, at: usize) {
        self.routes[q.site_number()].finish(q, at).await;
    }

    /// Whether replies that a socket does not take at once are kept, up to a limit (directive `shed`).
    pub fn sheds(&self) -> bool {
        self.sheds
    }

    /// What the listener is called (`dns://:53`).
    pub fn label(&self) -> &str {
        self.metrics.label()
    }

    /// Counts `n` queries, replies or connections that are dropped or refused because there are too many.
    #[cold]
    pub fn shed(&self, reason: &'static str, n: u64) {
        self.metrics.shed(reason, n);
    }

    /// Nobody here serves this query.
    #[cold]
    fn refuse(&self, q: &mut Query) -> Begun {
        q.reply.bare(Rcode::REFUSED);
        self.metrics.dropped(q);
        Begun::Done
    }

    /// The block that answers: that of the longest zone whose filters pass.
    fn select(&self, q: &mut Query) -> Option<&Route> {
        if q.rtype() == RecordType::DS {
            return self.select_for_ds(q);
        }
        if self.zones.len() <= FEW {
            let mut zones = self.zones.iter();
            return zones.find_map(|zone| if q.name().is_below(zone.name()) { zone.passing(q) } else { None });
        }
        let mut at = 0;
        loop {
            let name = q.name().suffix(at);
            let (end, step) = (name.is_root(), name.as_bytes()[0] as usize + 1);
            if let Some(&i) = self.index.get(name.as_bytes())
                && let Some(route) = self.zones[i].passing(q)
            {
                return Some(route);
            }
            if end {
                return None;
            }
            at += step;
        }
    }

    /// DS records are the parent's: the shortest zone but the root's answers, and of its blocks the last; a block without
    /// plugins ends the search (CoreDNS behaviour).
    #[cold]
    fn select_for_ds(&self, q: &mut Query) -> Option<&Route> {
        let mut found = None;
        for zone in &self.zones {
            if !q.name().is_below(zone.name()) || (zone.name().is_root() && found.is_some()) {
                continue;
            }
            for route in zone.routes.iter().map(Arc::as_ref) {
                if route.is_empty() {
                    return Some(route);
                }
                if route.passes(q) {
                    found = Some(route);
                }
            }
        }
        found
    }
}

impl Zone {
    fn name(&self) -> NameRef<'_> {
        NameRef::read(&self.name).unwrap_or(NameRef::ROOT)
    }

    /// The first block whose filters are all true for this query, or that has no plugins.
    fn passing(&self, q: &mut Query) -> Option<&Route> {
        self.routes.iter().map(Arc::as_ref).find(|route| route.is_empty() || route.passes(q))
    }
}

impl Route {
    /// The block has no plugins: its names are refused, whatever its filters say.
    fn is_empty(&self) -> bool {
        self.block.chain.links().len() == 0
    }

    /// Whether the block's filters are all true. What it knows about the query is what is known from now on, even if another
    /// block without `metadata` answers (CoreDNS behaviour).
    fn passes(&self, q: &mut Query) -> bool {
        if self.block.metadata.is_some() {
            q.set_described_at(self.site);
        }
        if self.block.filters.is_empty() {
            return true;
        }
        // Conditions may ask where the query came in.
        q.set_site(self.site);
        self.block.filters.iter().all(|filter| filter(q).unwrap_or(false))
    }

    /// Takes a query as far as it goes without waiting through the plugins below `directive`.
    fn begin_below(&self, q: &mut Query, directive: &'static str) -> Begun {
        let chain = &self.block.chain;
        let Some(at) = chain.links().position(|link| link.name == directive) else { return Begun::Done };
        let run = chain.run_below(q, at);
        self.begun(q, run)
    }

    /// How far a query got, of which the plugins say this.
    fn begun(&self, q: &mut Query, run: Run) -> Begun {
        match run {
            Run::Done => Begun::Done,
            Run::Wait(at) => {
                q.in_batch = false; // it takes its own time from here on
                Begun::Wait(at)
            }
            Run::Panicked => {
                self.panicked(q);
                Begun::Done
            }
        }
    }

    /// Takes a query to its end whose plugin at place `at` must wait.
    async fn finish(&self, q: &mut Query, at: usize) {
        if self.block.chain.finish(q, at).await == Run::Panicked {
            self.panicked(q);
        }
    }

    /// Says that a plugin panicked.
    #[cold]
    fn panicked(&self, q: &Query) {
        tracing::error!("Recovered from panic in server: \"{}\" {}", self.metrics.label(), panics::take());
        self.metrics.panicked(q);
    }
}

impl Server for Router {
    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn metadata(&self, site: usize) -> Option<&dyn Metadata> {
        self.routes.get(site)?.block.metadata.as_deref()
    }

    fn answer(&self, mut q: Box<Query>) -> Answering {
        let Begun::Wait(at) = self.begin(&mut q) else { return Box::pin(std::future::ready(q)) };
        let route = self.routes[q.site_number()].clone();
        Box::pin(async move {
            route.finish(&mut q, at).await;
            q
        })
    }

    fn answer_below(&self, site: usize, directive: &'static str, mut q: Box<Query>) -> Answering {
        let Some(route) = self.routes.get(site).cloned() else { return Box::pin(std::future::ready(q)) };
        Box::pin(async move {
            if let Begun::Wait(at) = route.begin_below(&mut q, directive) {
                route.finish(&mut q, at).await;
            }
            q
        })
    }
}
