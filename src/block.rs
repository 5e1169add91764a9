//! From server blocks to chains: sets up every directive of every block, and gathers all mistakes.

use crate::plugins::{Row, Table};
use api::corefile::{ConfigError, ServerBlock, Token};
use api::http::Mount;
use api::services::Metadata;
use api::setup::{Block, Farewell, Filter, Gate, Options, World};
use api::task::Tasks;
use api::{Chain, Name, Panics, Setup, Site};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Mistakes of one kind that are reported before a configuration is given up.
pub const MAX_MISTAKES: usize = 100;

/// A server block that answers queries.
pub struct Built {
    /// Its plugins.
    pub chain: Arc<Chain>,
    /// Conditions under which it answers.
    pub filters: Vec<Filter>,
    /// Tells values about the queries that it is tried for.
    pub metadata: Option<Arc<dyn Metadata>>,
    /// Classes other than IN are let through.
    pub any_class: bool,
}

/// A server block with all that belongs to it beside the chain.
pub struct Draft {
    /// What answers queries.
    pub built: Arc<Built>,
    /// What directives changed about the block.
    pub options: Options,
    /// Background work.
    pub tasks: Tasks,
    /// Pages for the HTTP endpoints.
    pub mounts: Vec<Mount>,
    /// What to wait for before sockets are opened.
    pub gates: Vec<Gate>,
    /// What to do before sockets are closed.
    pub farewells: Vec<Farewell>,
    /// Filled with the addresses of the block once its sockets are open.
    pub addresses: Arc<OnceLock<Vec<SocketAddr>>>,
    /// Filled with the places where queries for the block come in.
    pub sites: Arc<OnceLock<Vec<Site>>>,
}

/// Sets up all directives: in the order of the table, and for each of them block by block, as CoreDNS does.
///
/// # Errors
/// All mistakes, the one that CoreDNS would report first.
pub fn build(table: &Table, blocks: &[ServerBlock], world: &World) -> Result<Vec<Draft>, Vec<ConfigError>> {
    let mut drafts: Vec<Block> = blocks.iter().map(|b| Block::new(keys(b), zones(b))).collect();
    let mut mistakes = Vec::new();
    for row in &table.0 {
        for (block, draft) in blocks.iter().zip(&mut drafts) {
            if let Some(tokens) = block.directive(row.name())
                && let Err(e) = set_up(row, tokens, draft, world)
            {
                mistakes.push(e);
                if mistakes.len() >= MAX_MISTAKES {
                    return Err(mistakes);
                }
            }
        }
    }
    if mistakes.is_empty() {
        mistakes = drafts.iter_mut().flat_map(check).take(MAX_MISTAKES).collect();
    }
    if mistakes.is_empty() { Ok(drafts.into_iter().map(finish).collect()) } else { Err(mistakes) }
}

/// What is wrong with a block as a whole.
fn check(block: &mut Block) -> Vec<ConfigError> {
    let checks = std::mem::take(&mut block.checks);
    checks.into_iter().filter_map(|check| check(&block.links).err()).collect()
}

fn set_up(row: &Row, tokens: &[Token], block: &mut Block, world: &World) -> Result<(), ConfigError> {
    match row {
        Row::Built(def) => (def.setup)(&mut Setup::new(def.name, tokens, block, world)),
        Row::NotYet(name) => Err(ConfigError::not_supported(name, &tokens[0])),
    }
}

/// The keys as they are served.
fn keys(block: &ServerBlock) -> String {
    let keys = block.keys.iter().map(|k| format!("{}://{}:{}", k.transport.name(), k.zone, k.port));
    keys.collect::<Vec<_>>().join(" ")
}

fn zones(block: &ServerBlock) -> Vec<Name> {
    block.keys.iter().filter_map(|k| Name::from_text(&k.zone).ok()).collect()
}

/// The finished block.
fn finish(block: Block) -> Draft {
    let panics = if block.options.debug { Panics::End } else { Panics::Catch };
    let chain = Arc::new(Chain::new(block.links, panics));
    let _first = block.chain.set(chain.clone());
    let any_class = block.options.any_class;
    Draft {
        built: Arc::new(Built { chain, filters: block.filters, metadata: block.metadata, any_class }),
        options: block.options,
        tasks: block.tasks,
        mounts: block.mounts,
        gates: block.gates,
        farewells: block.farewells,
        addresses: block.addresses,
        sites: block.sites,
    }
}
