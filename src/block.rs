//! From server blocks to chains: sets up every directive of every block, and gathers all mistakes.

use crate::hints;
use crate::output;
use crate::plugins::{Row, Table};
use api::corefile::{ConfigError, ServerBlock, Token};
use api::http::Mount;
use api::services::Metadata;
use api::setup::{Advice, Block, Farewell, Filter, Gate, Options, Purpose, World};
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
    /// Replies that a socket of its listener does not take at once are kept, up to a limit.
    pub sheds: bool,
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
    /// What looks for what works and surprises.
    pub advice: Vec<Advice>,
    /// What is wrong with its directives.
    pub state: State,
}

/// What is wrong with the directives of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing.
    Sound,
    /// Something that leaves what it listens on and answers to as it is.
    Broken,
    /// Something that decides what it listens on or answers to.
    Unclear,
}

/// The directives that decide which queries a block gets, beside its keys.
const DECIDING: [&str; 2] = ["bind", "view"];

/// What was set up, and what is wrong with it.
#[derive(Default)]
pub struct Drafts {
    /// All blocks, in their order.
    pub drafts: Vec<Draft>,
    /// All mistakes, the one that CoreDNS would report first.
    pub mistakes: Vec<ConfigError>,
    /// What directives have warned of; gathered for [`Purpose::Check`], otherwise they are in the log.
    pub warnings: Vec<ConfigError>,
}

/// Sets up all directives: in the order of the table, and for each of them block by block, as CoreDNS does.
pub fn build(table: &Table, blocks: &[ServerBlock], world: &World) -> Drafts {
    let mut drafts: Vec<Block> = blocks.iter().map(|b| draft(table, b)).collect();
    let mut states = vec![State::Sound; blocks.len()];
    let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
    for row in &table.0 {
        for ((block, draft), state) in blocks.iter().zip(&mut drafts).zip(&mut states) {
            let Some(tokens) = block.directive(row.name()) else { continue };
            if mistakes.len() >= MAX_MISTAKES {
                break;
            }
            if let Err(e) = set_up(row, tokens, draft, world) {
                mistakes.extend(all_of(table, row, tokens, draft, world, e));
                let unclear = DECIDING.contains(&row.name()) || *state == State::Unclear;
                *state = if unclear { State::Unclear } else { State::Broken };
            }
            if world.purpose == Purpose::Check {
                warnings.extend(world.remarks());
                let warned = output::heard().into_iter();
                warnings.extend(warned.map(|words| ConfigError::bare(tokens.first(), words).coded("set-up")));
            }
        }
    }
    let sound = drafts.iter_mut().zip(&states).filter(|(_, state)| **state == State::Sound);
    mistakes.extend(sound.flat_map(|(block, _)| check(block)).take(MAX_MISTAKES));
    let drafts = drafts.into_iter().zip(states).map(|(block, state)| finish(block, state)).collect();
    Drafts { drafts, mistakes, warnings }
}

/// The first mistake in a directive and those that show when the line in braces that has it is left out.
fn all_of(
    table: &Table,
    row: &Row,
    tokens: &[Token],
    block: &Block,
    world: &World,
    first: ConfigError,
) -> Vec<ConfigError> {
    let mut tokens = tokens.to_vec();
    let mut mistakes = vec![hints::of_property(table, row, &tokens, first)];
    // To look for more of them is for people who look for all; a start says what is needed to mend it.
    while world.purpose == Purpose::Check
        && mistakes.len() < MAX_MISTAKES
        && hints::leave_line_out(&mut tokens, &mistakes[mistakes.len() - 1])
    {
        let mut scratch = Block::new(block.keys.clone(), block.zones.clone());
        scratch.options = block.options.clone();
        match set_up(row, &tokens, &mut scratch, world) {
            // What is missing at the end of the braces may have stood in a line that was left out.
            Err(next) if &*next.word != "}" => {
                mistakes.push(hints::of_property(table, row, &tokens, next));
            }
            _ => break,
        }
    }
    mistakes
}

/// A block of which nothing is set up yet.
fn draft(table: &Table, block: &ServerBlock) -> Block {
    let words = |row: &Row| {
        let tokens = block.directive(row.name())?;
        let words: Vec<String> = tokens.iter().map(|token| format!("{:?}", token.text)).collect();
        Some((row.name(), words.join(" ")))
    };
    let mut draft = Block::new(keys(block), zones(block));
    draft.words = table.0.iter().filter_map(words).collect();
    draft
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
fn finish(block: Block, state: State) -> Draft {
    let panics = if block.options.debug { Panics::End } else { Panics::Catch };
    let chain = Arc::new(Chain::new(block.links, panics));
    let _first = block.chain.set(chain.clone());
    let (any_class, sheds) = (block.options.any_class, block.options.shed);
    Draft {
        built: Arc::new(Built { chain, filters: block.filters, metadata: block.metadata, any_class, sheds }),
        options: block.options,
        tasks: block.tasks,
        mounts: block.mounts,
        gates: block.gates,
        farewells: block.farewells,
        addresses: block.addresses,
        sites: block.sites,
        advice: block.advice,
        state,
    }
}
