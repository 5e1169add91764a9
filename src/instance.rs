//! One generation of the configuration: its listeners and blocks, what it runs in the background, what it leaves to the next.

use crate::advice;
use crate::block::{self, Built, Draft, Drafts, MAX_MISTAKES, State};
use crate::plugins::Table;
use crate::route::Router;
use crate::sockets::Place;
use api::corefile::{self, Claim, ConfigError, Corefile, ServerBlock, Transport};
use api::http::Mount;
use api::inputs::Inputs;
use api::setup::{Farewell, Gate, Purpose, Timeouts, World};
use api::task::{Carried, Tasks};
use api::{Chain, Name, Site};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// A configuration that has been set up; nothing of it is running.
pub struct Instance {
    /// Its listeners, by transport and place.
    pub listeners: BTreeMap<Place, Listener>,
    /// Background work.
    pub tasks: Vec<Tasks>,
    /// Pages for the HTTP endpoints.
    pub mounts: Vec<Mount>,
    /// What to wait for before sockets are opened.
    pub gates: Vec<Gate>,
    /// What to do before sockets are closed.
    pub farewells: Vec<Farewell>,
    /// The plugins of its blocks.
    pub chains: Vec<Arc<Chain>>,
    /// What it is made of beside the Corefile.
    pub inputs: Inputs,
    /// State that may outlive it.
    pub carried: Vec<Arc<Carried>>,
    /// Debug log lines are wanted.
    pub debug: bool,
    /// A panic is logged with the stack.
    pub stacktrace: bool,
    /// The hash of the configuration, in hex.
    pub hash: String,
}

/// A configuration and what is to be said of it.
pub struct Examined {
    /// What was set up; to be served only without mistakes.
    pub instance: Instance,
    /// All mistakes, the one that CoreDNS would report first.
    pub mistakes: Vec<ConfigError>,
    /// What directives have warned of, and what works and surprises; gathered for [`api::setup::Purpose::Check`].
    pub warnings: Vec<ConfigError>,
}

/// One address and the blocks behind it.
pub struct Listener {
    /// The blocks.
    pub router: Arc<Router>,
    /// Time-outs of its connections.
    pub timeouts: Timeouts,
    /// Sockets to open; `None`: one for each worker.
    pub sockets: Option<usize>,
    /// `ZONE:PORT` of all its zones, for people.
    pub zones: Vec<String>,
    /// Told of the address once it is open.
    pub addresses: Vec<Arc<OnceLock<Vec<SocketAddr>>>>,
}

/// What of a listener is known before all its blocks are.
#[derive(Default)]
struct Gathered {
    zones: Vec<(Box<[u8]>, Arc<Built>, Site)>,
    shown: Vec<String>,
    timeouts: Timeouts,
    sockets: Option<usize>,
    addresses: Vec<Arc<OnceLock<Vec<SocketAddr>>>>,
}

impl Instance {
    /// Sets up a configuration.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn build(table: &Table, corefile: &Corefile, world: World) -> Result<Instance, Vec<ConfigError>> {
        let Examined { instance, mistakes, .. } = Instance::examine(table, corefile, world);
        if mistakes.is_empty() { Ok(instance) } else { Err(mistakes) }
    }

    /// Sets up as much of a configuration as can be, and says all that is wrong with it.
    pub fn examine(table: &Table, corefile: &Corefile, mut world: World) -> Examined {
        world.words = corefile.blocks.iter().flat_map(ServerBlock::words).cloned().collect();
        let Drafts { mut drafts, mut mistakes, mut warnings } = block::build(table, &corefile.blocks, &world);
        mistakes.extend(check_overlaps(&corefile.blocks, &drafts).err().unwrap_or_default());
        mistakes.extend(check_transports(&corefile.blocks, &drafts));
        let mut listeners: BTreeMap<Place, Gathered> = BTreeMap::new();
        for (block, draft) in corefile.blocks.iter().zip(&drafts) {
            gather(block, draft, &mut listeners);
        }
        let mut instance = Instance {
            debug: drafts.iter().any(|d| d.options.debug),
            stacktrace: drafts.iter().any(|d| d.options.stacktrace),
            listeners: listeners.into_iter().map(|(place, g)| (place.clone(), g.finish(&place))).collect(),
            tasks: Vec::new(),
            mounts: Vec::new(),
            gates: Vec::new(),
            farewells: Vec::new(),
            chains: drafts.iter().map(|d| d.built.chain.clone()).collect(),
            inputs: world.inputs,
            carried: world.carry.current(),
            hash: corefile.hash(),
        };
        if world.purpose == Purpose::Check {
            warnings.extend(advice::all(&mut drafts));
        }
        for draft in drafts {
            instance.tasks.push(draft.tasks);
            instance.mounts.extend(draft.mounts);
            instance.gates.extend(draft.gates);
            instance.farewells.extend(draft.farewells);
        }
        Examined { instance, mistakes, warnings }
    }
}

/// Refuses keys that claim the same address and zone twice.
fn check_overlaps(blocks: &[ServerBlock], drafts: &[Draft]) -> Result<(), Vec<ConfigError>> {
    let known = blocks.iter().zip(drafts).filter(|(_, draft)| draft.state != State::Unclear);
    let claims = known.flat_map(|(block, draft)| {
        let filtered = !draft.built.filters.is_empty();
        block.keys.iter().map(move |key| Claim { key, bind: draft.options.bind.as_deref(), filtered })
    });
    corefile::check_overlaps(claims)
}

/// Refuses keys that would need a transport that is not built. `unix://` needs none: CoreDNS opens no socket for it.
fn check_transports(blocks: &[ServerBlock], drafts: &[Draft]) -> Vec<ConfigError> {
    let served =
        blocks.iter().zip(drafts).filter(|(_, draft)| draft.options.bind.as_ref().is_none_or(|b| !b.is_empty()));
    served
        .flat_map(|(block, _)| &block.keys)
        .filter(|key| !matches!(key.transport, Transport::Dns | Transport::Unix))
        .take(MAX_MISTAKES)
        .map(|key| ConfigError::at(&key.token, format!("transport '{}' is not supported yet", key.transport.name())))
        .map(|mistake| mistake.coded("not-supported"))
        .collect()
}

/// Enters the zones of a block at the listeners that they are served on.
fn gather(block: &ServerBlock, draft: &Draft, listeners: &mut BTreeMap<Place, Gathered>) {
    let everywhere = [String::new()];
    let hosts = draft.options.bind.as_deref().unwrap_or(&everywhere);
    let view: Arc<str> = draft.options.view.as_deref().unwrap_or_default().into();
    let mut sites = Vec::new();
    for key in block.keys.iter().filter(|k| k.transport == Transport::Dns) {
        // A zone that CoreDNS takes though no name can be so long has its listener, and no query.
        let zone = Name::from_text(&key.zone).ok();
        for host in hosts {
            let place = Place::new(host, key.port);
            let server = format!("dns://{}", place.text()).into();
            let shown = match place.host.as_str() {
                "" => format!("{}:{}", key.zone, key.port),
                host => format!("{}:{} on {host}", key.zone, key.port),
            };
            let g = listeners.entry(place).or_default();
            let site = Site { index: sites.len(), server, zone: key.zone.as_str().into(), view: view.clone() };
            sites.push(site.clone());
            if let Some(zone) = &zone {
                g.zones.push((zone.as_bytes().into(), draft.built.clone(), site));
            }
            g.shown.push(shown);
            g.merge(draft);
        }
    }
    let _first = draft.sites.set(sites);
}

impl Gathered {
    /// Takes over what a block wants of the listener: of time-outs the last word counts, of sockets the first.
    fn merge(&mut self, draft: &Draft) {
        let (ours, theirs) = (&mut self.timeouts, draft.options.timeouts);
        ours.read = theirs.read.or(ours.read);
        ours.write = theirs.write.or(ours.write);
        ours.idle = theirs.idle.or(ours.idle);
        ours.max_queries = theirs.max_queries.or(ours.max_queries);
        if self.addresses.is_empty() {
            self.sockets = draft.options.sockets;
        }
        if !self.addresses.iter().any(|a| Arc::ptr_eq(a, &draft.addresses)) {
            self.addresses.push(draft.addresses.clone());
        }
    }

    fn finish(mut self, place: &Place) -> Listener {
        self.shown.sort_unstable();
        self.shown.dedup();
        let label = format!("dns://{}", place.text()).into();
        Listener {
            router: Arc::new(Router::new(&label, self.zones)),
            timeouts: self.timeouts,
            sockets: self.sockets,
            zones: self.shown,
            addresses: self.addresses,
        }
    }
}
