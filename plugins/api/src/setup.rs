//! From a directive's lines to plugins: what a plugin's `setup` reads and what it may ask of the daemon.

use crate::chain::{Chain, Link};
use crate::clock::Clock;
use crate::corefile::{ConfigError, Cursor, Token, value};
use crate::gotext::quote;
use crate::http::Mount;
use crate::inputs::{self, Inputs};
use crate::name::Name;
use crate::query::Query;
use crate::server::Site;
use crate::services::{Metadata, Reload};
use crate::task::{Carry, Stop, Tasks};
use crate::{Plugin, Result};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What one directive of one server block is set up with.
pub struct Setup<'a> {
    directive: &'static str,
    tokens: &'a [Token],
    block: &'a mut Block,
    world: &'a World,
}

/// What one server block gathers while its directives are set up; the daemon makes listeners, routes and tasks of it.
pub struct Block {
    /// The block's keys as they are written.
    pub keys: String,
    /// The zones of the block's keys, in their order.
    pub zones: Vec<Name>,
    /// The block's directives with their words, in the order of the table.
    pub words: Vec<(&'static str, String)>,
    /// What directives changed about the block itself.
    pub options: Options,
    /// The plugins, in the order of the table.
    pub links: Vec<Link>,
    /// Background work of this generation.
    pub tasks: Tasks,
    /// Pages for the HTTP endpoints.
    pub mounts: Vec<Mount>,
    /// What has to be waited for before the block's sockets are opened.
    pub gates: Vec<Gate>,
    /// What is done between the order to stop and the end of the sockets.
    pub farewells: Vec<Farewell>,
    /// Conditions under which the block answers a query (directive `view`); all must hold.
    pub filters: Vec<Filter>,
    /// Tells values about queries (directive `metadata`).
    pub metadata: Option<Arc<dyn Metadata>>,
    /// What is looked at once all directives are set up, and no mistake was found in them.
    pub checks: Vec<Check>,
    /// What looks at the block as a whole for what works and surprises; for `poddns check`.
    pub advice: Vec<Advice>,
    /// The finished chain, for those who look at it later.
    pub chain: ChainHandle,
    /// The addresses on which the block listens, once its sockets are open.
    pub addresses: Arc<OnceLock<Vec<SocketAddr>>>,
    /// Where queries for the block come in; known before background work starts.
    pub sites: Arc<OnceLock<Vec<Site>>>,
    offers: HashMap<TypeId, Box<dyn Any + Send>>,
}

/// The chain of a block; empty until the block is built.
pub type ChainHandle = Arc<OnceLock<Arc<Chain>>>;
/// Something done between the order to stop and the end of the sockets, while queries are still answered.
pub type Farewell = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
/// Says what is wrong with a block as a whole, given its plugins.
pub type Check = Box<dyn FnOnce(&[Link]) -> Result<(), ConfigError>>;
/// Says what works and surprises, given what surrounds a directive.
pub type Advice = Box<dyn FnOnce(&Around<'_>) -> Option<ConfigError>>;
/// Says whether a server block answers a query.
pub type Filter = Box<dyn Fn(&mut Query) -> Result<bool> + Send + Sync>;

/// What surrounds a directive once everything is set up.
pub struct Around<'a> {
    /// The plugins of its block.
    pub links: Vec<&'a Link>,
    /// Where queries for its block come in.
    pub sites: &'a [Site],
    /// Whether a query for a name comes to its block where it comes in at one of these places.
    pub reaches: &'a dyn Fn(&Name) -> bool,
}

impl Around<'_> {
    /// Whether queries for `zone`, or for some of the names below it, come to the block.
    pub fn sees(&self, zone: &Name) -> bool {
        let own = self.sites.iter().filter_map(|site| Name::from_text(&site.zone).ok());
        (self.reaches)(zone) || own.into_iter().any(|own| own.as_ref().is_below(zone.as_ref()))
    }

    /// The directives of the plugins below those of `directive`.
    pub fn below(&self, directive: &str) -> impl Iterator<Item = &'static str> {
        let names = self.links.iter().map(|link| link.name).skip_while(move |name| *name != directive);
        names.skip_while(move |name| *name == directive)
    }
}

/// What a configuration is set up for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To be served.
    Serve,
    /// To look for mistakes: nobody is asked over the network, nothing is written, and what only a machine of the cluster has
    /// may be missing.
    Check,
}

/// Something to wait for before sockets are opened.
pub struct Gate {
    /// The directive that waits.
    pub directive: &'static str,
    /// Ends in bounded time; with an error when what it waits for has not come: what there is instead.
    pub wait: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
}

/// What directives change about a server block; shared listeners merge those of their blocks.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Base directory of relative paths (`root`).
    pub root: Option<String>,
    /// Addresses to listen on (`bind`); `None` without the directive: all addresses.
    pub bind: Option<Vec<String>>,
    /// Debug log lines, and panics end the process (`debug`).
    pub debug: bool,
    /// A panic is logged with the stack (`errors`).
    pub stacktrace: bool,
    /// Replies that a socket does not take at once are kept, up to a limit (`shed`).
    pub shed: bool,
    /// Sockets for each address (`multisocket`).
    pub sockets: Option<usize>,
    /// Time-outs of connections (`timeouts`).
    pub timeouts: Timeouts,
    /// Classes other than IN reach the chains of the listener.
    pub any_class: bool,
    /// Name of the view (`view`).
    pub view: Option<String>,
}

/// Time-outs and limits of stream transports; `None` is the server's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the first query of a connection is complete.
    pub read: Option<Duration>,
    /// Until a reply is written.
    pub write: Option<Duration>,
    /// Between two queries of a connection.
    pub idle: Option<Duration>,
    /// Queries of one connection.
    pub max_queries: Option<u64>,
}

/// What all blocks of one generation share.
pub struct World {
    /// The time.
    pub clock: Clock,
    /// State that outlives a reload.
    pub carry: Carry,
    /// The daemon's part of a reload.
    pub reload: Arc<dyn Reload>,
    /// What it is for.
    pub purpose: Purpose,
    /// All words in the server blocks of the Corefile.
    pub words: Vec<Arc<str>>,
    /// What this generation is made of beside the Corefile.
    pub inputs: Inputs,
    shared: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// What was noticed in passing.
    remarks: Mutex<Vec<ConfigError>>,
}

impl World {
    /// What a generation begins with; `carry` is that of the generation before it.
    pub fn new(clock: Clock, carry: Carry, reload: Arc<dyn Reload>) -> World {
        World {
            clock,
            carry,
            reload,
            purpose: Purpose::Serve,
            words: Vec::new(),
            inputs: Inputs::default(),
            shared: Mutex::default(),
            remarks: Mutex::default(),
        }
    }

    /// What was noticed in passing and works, since the last call; for `poddns check`.
    pub fn remarks(&self) -> Vec<ConfigError> {
        std::mem::take(&mut self.remarks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remark(&self, remark: ConfigError) {
        if self.purpose == Purpose::Check {
            self.remarks.lock().unwrap_or_else(PoisonError::into_inner).push(remark);
        }
    }

    /// The same for [`Purpose::Check`].
    pub fn to_check(self) -> World {
        World { purpose: Purpose::Check, ..self }
    }
}

impl Block {
    /// A block with these keys, which serves these zones.
    pub fn new(keys: String, zones: Vec<Name>) -> Block {
        Block {
            keys,
            zones,
            words: Vec::new(),
            options: Options::default(),
            links: Vec::new(),
            tasks: Tasks::default(),
            mounts: Vec::new(),
            gates: Vec::new(),
            farewells: Vec::new(),
            filters: Vec::new(),
            metadata: None,
            checks: Vec::new(),
            advice: Vec::new(),
            chain: ChainHandle::default(),
            addresses: Arc::default(),
            sites: Arc::default(),
            offers: HashMap::new(),
        }
    }
}

impl<'a> Setup<'a> {
    /// For the daemon: sets up `directive` from all its tokens in a block.
    pub fn new(directive: &'static str, tokens: &'a [Token], block: &'a mut Block, world: &'a World) -> Self {
        Setup { directive, tokens, block, world }
    }

    /// Reads the lines of the directive, token by token.
    pub fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.directive, self.tokens)
    }

    /// Adds a plugin to the chain, below those that were added before.
    pub fn add(&mut self, plugin: impl Plugin) {
        self.block.links.push(Link { name: self.directive, plugin: Box::new(plugin) });
    }

    /// The block's keys, `TRANSPORT://ZONE:PORT` each.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.block.keys.split(' ')
    }

    /// The zones of the block's keys: what most directives cover by default.
    pub fn zones(&self) -> &[Name] {
        &self.block.zones
    }

    /// The zones that a directive's arguments name, or, without arguments, those of the block's keys; in lower case.
    pub fn names_or(&self, arguments: &[&str]) -> Vec<Name> {
        if arguments.is_empty() {
            return self.block.zones.iter().map(Name::to_lower).collect();
        }
        for argument in arguments.iter().filter(|argument| value::names(&[argument]).is_empty()) {
            let token = self.tokens.iter().find(|token| *token.text == **argument);
            let mistake = ConfigError::bare(token, format!("{} is no zone, and ignored", quote(argument)));
            self.world.remark(mistake.of(self.directive).coded("no-zone"));
        }
        value::names(arguments)
    }

    /// What directives change about the block itself.
    pub fn options(&mut self) -> &mut Options {
        &mut self.block.options
    }

    /// `path`, below the block's `root` where it is relative.
    pub fn path(&self, path: &str) -> String {
        match &self.block.options.root {
            Some(root) if !path.starts_with('/') => format!("{}/{path}", root.trim_end_matches('/')),
            _ => path.to_owned(),
        }
    }

    /// Starts background work once every socket is open; it ends with this generation. An error ends the process.
    pub fn task<F>(&mut self, name: &'static str, work: impl FnOnce(Stop) -> F + Send + 'static)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        self.block.tasks.add(self.directive, name, work);
    }

    /// Waits for `gate` before the block's sockets are opened. It ends in bounded time; with an error where what it waits for has
    /// not come: what there is instead. A start goes on then, a reload that would replace something ready fails.
    pub fn gate(&mut self, gate: impl Future<Output = Result<(), String>> + Send + 'static) {
        self.block.gates.push(Gate { directive: self.directive, wait: Box::pin(gate) });
    }

    /// Lets a change of a file count as one of the Corefile, which is looked at from time to time (directive `reload`). To be called
    /// before the file is read: what changes in between is seen, too.
    pub fn depends_on_file(&self, path: &str) {
        let path = path.to_owned();
        self.depends_on(move || inputs::of_file(&path));
    }

    /// Lets a change of something else count as one of the Corefile; `look` gives a number that is another one then. It is called
    /// on a thread that may block, and ends in bounded time.
    pub fn depends_on(&self, look: impl Fn() -> u64 + Send + Sync + 'static) {
        self.world.inputs.add(look);
    }

    /// Does `farewell` when the server is told to stop (not at a reload), before its sockets are closed.
    pub fn before_stop<F>(&mut self, farewell: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.block.farewells.push(Box::new(|| Box::pin(farewell())));
    }

    /// Lets the block answer a query only if `filter` says so.
    pub fn filter(&mut self, filter: impl Fn(&mut Query) -> Result<bool> + Send + Sync + 'static) {
        self.block.filters.push(Box::new(filter));
    }

    /// Lets `metadata` tell the values about queries that this block is tried for.
    pub fn describe(&mut self, metadata: Arc<dyn Metadata>) {
        self.block.metadata = Some(metadata);
    }

    /// Looks at the block's plugins when all directives are set up: for what needs another plugin, also one below.
    pub fn check(&mut self, check: impl FnOnce(&[Link]) -> Result<(), ConfigError> + 'static) {
        self.block.checks.push(Box::new(check));
    }

    /// Looks at what surrounds the directive when everything is set up, for what works and surprises: a warning of `poddns check`,
    /// which a server does not log.
    pub fn advise(&mut self, advice: impl FnOnce(&Around<'_>) -> Option<ConfigError> + 'static) {
        self.block.advice.push(Box::new(advice));
    }

    /// What the configuration is set up for.
    pub fn purpose(&self) -> Purpose {
        self.world.purpose
    }

    /// Puts a page on an HTTP endpoint.
    pub fn mount(&mut self, mount: Mount) {
        self.block.mounts.push(mount);
    }

    /// The chain that this block will have.
    pub fn chain(&self) -> ChainHandle {
        self.block.chain.clone()
    }

    /// The addresses on which this block will listen.
    pub fn addresses(&self) -> Arc<OnceLock<Vec<SocketAddr>>> {
        self.block.addresses.clone()
    }

    /// Where queries for this block will come in, in the order of its keys; known before background work starts.
    pub fn sites(&self) -> Arc<OnceLock<Vec<Site>>> {
        self.block.sites.clone()
    }

    /// The time.
    pub fn clock(&self) -> Clock {
        self.world.clock.clone()
    }

    /// The daemon's part of a reload.
    pub fn reload(&self) -> Arc<dyn Reload> {
        self.world.reload.clone()
    }

    /// Something of which there is one for all blocks of this generation, known by its type alone.
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut shared = self.world.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shared.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default());
        entry.clone().downcast().expect("keyed by type")
    }

    /// What tells this server block from all others, also after a reload: its keys and addresses. For state that
    /// blocks of the same configuration must not share ([`Setup::carry`]).
    pub fn identity(&self) -> String {
        format!("{} {:?}", self.block.keys, self.block.options.bind)
    }

    /// What makes the answers that this directive sees: the words of the block's directives behind it, in the order of the table.
    pub fn below(&self) -> String {
        let behind = self.block.words.iter().skip_while(|(name, _)| *name != self.directive).skip(1);
        behind.map(|(_, words)| format!("{words}\n")).collect()
    }

    /// What follows `text` in words of the Corefile, in this block or another, up to the end of the word: for what is costly to
    /// know, and only known where somebody asks for it.
    pub fn mentioned(&self, text: &str) -> impl Iterator<Item = &'a str> {
        let words = self.world.words.iter();
        words.flat_map(move |word| word.match_indices(text).map(|(at, found)| &word[at + found.len()..]))
    }

    /// State that outlives a reload as long as `key`, which tells its whole configuration, stays the same. `make` makes it
    /// and may give it background work, which ends with the last generation that uses the state.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn carry<T: Any + Send + Sync>(
        &mut self,
        key: &str,
        make: impl FnOnce(&mut Tasks) -> Result<T, ConfigError>,
    ) -> Result<Arc<T>, ConfigError> {
        self.world.carry.get(self.directive, key, make)
    }

    /// Offers a service to the other plugins of this block, known by its type.
    pub fn offer<T: Any + Send + Sync>(&mut self, service: T) {
        self.offered::<T>().put(service);
    }

    /// The services of a type that plugins of this block offer, before or after this call.
    pub fn offered<T: Any + Send + Sync>(&mut self) -> Offered<T> {
        let slot = self.block.offers.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(Offered::<T>::default()));
        slot.downcast_ref::<Offered<T>>().expect("keyed by type").clone()
    }
}

/// How many services of one type the plugins of a block can offer.
const OFFERS: usize = 16;

/// Services of other plugins of the same block; complete once the block is built.
pub struct Offered<T>(Arc<[OnceLock<T>; OFFERS]>);

impl<T> Offered<T> {
    /// The first one offered.
    pub fn first(&self) -> Option<&T> {
        self.0[0].get()
    }

    /// Adds one.
    pub fn put(&self, service: T) {
        let free = self.0.iter().find(|slot| slot.get().is_none());
        match free {
            Some(slot) => drop(slot.set(service)),
            None => tracing::error!("more than {OFFERS} services of one type in a server block: one is not used"),
        }
    }

    /// All, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map_while(OnceLock::get)
    }
}

impl<T> Clone for Offered<T> {
    fn clone(&self) -> Self {
        Offered(self.0.clone())
    }
}

impl<T> Default for Offered<T> {
    fn default() -> Self {
        Offered(Arc::new([const { OnceLock::new() }; OFFERS]))
    }
}
