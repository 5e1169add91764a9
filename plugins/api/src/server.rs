//! What a query knows of the server around it: where it came in, and how to ask the server itself.

use crate::codes::RecordType;
use crate::name::NameRef;
use crate::query::Query;
use crate::services::Metadata;
use crate::{Error, Result};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

/// Look-ups inside look-ups end here, so that no loop of names can keep the server busy.
const MAX_DEPTH: u8 = 8;
/// Look-ups for one query of a client, with those inside of them: names that lead to many others must not keep it busy either.
const MAX_LOOKUPS: u16 = 64;

/// One listener with its routes; implemented by the daemon.
pub trait Server: Send + Sync {
    /// All places where a query can come in, over all blocks of the listener.
    fn sites(&self) -> &[Site];

    /// The values about queries that the block of a site knows; `None` where it is without the directive `metadata`.
    fn metadata(&self, _site: usize) -> Option<&dyn Metadata> {
        None
    }

    /// Takes a query through routing and chain, as if a client had asked; the reply is not sealed.
    fn answer(&self, q: Box<Query>) -> Answering;

    /// Takes a query through the plugins below `directive` in the block of a site; see [`Query::run_below`].
    fn answer_below(&self, _site: usize, _directive: &'static str, q: Box<Query>) -> Answering {
        Box::pin(std::future::ready(q))
    }
}

/// A query that comes back with its reply.
pub type Answering = Pin<Box<dyn Future<Output = Box<Query>> + Send>>;

/// Where in the server a query came in: a listener's address and the zone of a server block that serves the name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Number inside of its server block, from 0; see [`PerSite`].
    pub index: usize,
    /// `dns://:53`: transport and address of the listener, as metrics label it.
    pub server: Arc<str>,
    /// Zone of the server block, `example.org.`, as metrics label it.
    pub zone: Arc<str>,
    /// Name of the view, empty without one.
    pub view: Arc<str>,
}

impl Query {
    /// Asks the server itself for `name`, for example the target of a CNAME: blocks, views and plugins as for a client.
    ///
    /// # Errors
    /// Look-ups are nested too deeply.
    pub fn lookup(
        &self,
        name: NameRef<'_>,
        rtype: RecordType,
    ) -> impl Future<Output = Result<Box<Query>>> + Send + use<> {
        // Made here, so that the future does not hold on to this query.
        let asked = match self.server() {
            None => Err(Error::msg("no server to look names up in")),
            Some(_) if self.depth >= MAX_DEPTH => {
                Err(Error::msg(format!("look-up of {name} is nested more than {MAX_DEPTH} times")))
            }
            Some(_) if self.count_lookup() >= MAX_LOOKUPS => {
                Err(Error::msg(format!("more than {MAX_LOOKUPS} look-ups for one query, the last one for {name}")))
            }
            Some(server) => Ok(server.answer(self.ask_too(name, rtype))),
        };
        async { Ok(asked?.await) }
    }
}

impl Query {
    /// Takes the query, a copy of another one, through the plugins below `directive` of the block that the other one came to;
    /// the reply is not sealed. Nothing happens before the future is waited for.
    pub fn run_below(self: Box<Self>, directive: &'static str) -> Answering {
        match self.server().cloned() {
            Some(server) => server.answer_below(self.site, directive, self),
            None => Box::pin(std::future::ready(self)),
        }
    }
}

/// Something a plugin keeps for each [`Site`] of its server block, made when it is first needed: metric handles, mostly.
pub struct PerSite<T> {
    rows: Box<[OnceLock<Row<T>>]>,
}

type Row<T> = Box<[OnceLock<T>]>;

/// Sites in a row of the table, and rows.
const ROW: usize = 256;

impl<T> PerSite<T> {
    /// What is kept for the site, made by `make` the first time; `None` for a site beyond the 65,536th of a block.
    pub fn get(&self, site: &Site, make: impl FnOnce(&Site) -> T) -> Option<&T> {
        let row = self.rows.get(site.index / ROW)?.get_or_init(|| (0..ROW).map(|_| OnceLock::new()).collect());
        Some(row[site.index % ROW].get_or_init(|| make(site)))
    }
}

impl<T> Default for PerSite<T> {
    fn default() -> Self {
        PerSite { rows: (0..ROW).map(|_| OnceLock::new()).collect() }
    }
}
