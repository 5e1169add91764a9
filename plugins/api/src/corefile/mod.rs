//! The Corefile language: from text to server blocks, whose directives a plugin reads through a [`Cursor`].
//!
//! | module | what it is |
//! |---|---|
//! | `lexer` | text → tokens |
//! | `env` | variables of the environment in tokens |
//! | `parser`, `import` | tokens → raw blocks; snippets and files |
//! | `address` | the keys of a block: transport, zone, port |
//! | `overlap` | keys that claim the same address and zone |
//! | `cursor` | how a plugin reads its lines |
//! | [`value`] | zones, networks and addresses as arguments |
//! | `text` | a configuration as text again |
//! | `error` | mistakes, in CoreDNS's words |
//!
//! Reading is bounded (`Limits`): a Corefile can hold neither more text nor more blocks than a server could serve.

mod address;
mod cursor;
mod env;
mod error;
mod import;
mod lexer;
mod overlap;
mod parser;
mod text;
pub mod value;

pub use address::{Key, Transport};
pub use cursor::Cursor;
pub use env::Environment;
pub use error::{ConfigError, Place, Via, Wording};
pub use overlap::{Claim, check_overlaps};
pub use text::word;

use crate::presentation::hex;
use sha2::{Digest, Sha512};
use std::path::PathBuf;
use std::sync::Arc;

/// A parsed configuration.
#[derive(Debug, Default)]
pub struct Corefile {
    /// The server blocks, in their order. None: the file has nothing but comments, snippets and the like.
    pub blocks: Vec<ServerBlock>,
    /// What is accepted and surely not meant.
    pub warnings: Vec<ConfigError>,
}

/// A server block: what it serves, and the directives that say how.
#[derive(Debug)]
pub struct ServerBlock {
    /// Its addresses; those that are networks have become reverse zones.
    pub keys: Vec<Key>,
    directives: Vec<(Arc<str>, Vec<Token>)>,
}

/// A text to parse and what it is called in messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name; relative imports start at its folder.
    pub name: Arc<str>,
    /// The text.
    pub text: Vec<u8>,
    /// Files that can be imported beside those on disk, in whose place they stand: absolute paths and texts.
    pub beside: Beside,
}

/// Files that are held in memory: absolute paths and texts.
pub type Beside = Arc<[(PathBuf, Vec<u8>)]>;

/// A word of a Corefile, its variables replaced.
#[derive(Clone, Debug)]
pub struct Token {
    /// The word, without quotes.
    pub text: Arc<str>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line on which it begins, from 1.
    pub line: u32,
    /// The character of that line with which it begins, from 1.
    pub column: u32,
    /// How it came here, if it was imported.
    pub via: Option<Arc<Via>>,
}

/// How much is read before a Corefile is refused.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Octets, those of imported files included.
    octets: usize,
    /// Words, each import counted.
    tokens: usize,
    /// Server blocks.
    blocks: usize,
    /// Zones of all blocks, after networks have become zones.
    zones: usize,
    /// Mistakes, before reading is given up.
    mistakes: usize,
}

/// Octets of a Corefile and all it imports that are read before it is refused.
pub const MAX_OCTETS: usize = 16 << 20;

/// Ten thousand blocks of a kilobyte each, and still parsed in about a second.
const LIMITS: Limits = Limits { octets: MAX_OCTETS, tokens: 1_000_000, blocks: 100_000, zones: 500_000, mistakes: 100 };

impl Corefile {
    /// Parses `source`. Addresses without a port get `port` where their transport is plain DNS; it is checked by
    /// [`check_overlaps`] only, as in CoreDNS. `known` tells which directives there are.
    ///
    /// # Errors
    /// All mistakes found, the one that CoreDNS would report first.
    pub fn parse(
        source: &Source,
        port: &str,
        known: &dyn Fn(&str) -> bool,
        env: Environment<'_>,
    ) -> Result<Corefile, Vec<ConfigError>> {
        whole(Corefile::read(source, port, known, env))
    }

    /// Like [`Corefile::parse`], with what could be understood beside the mistakes: to look for more of them.
    pub fn read(
        source: &Source,
        port: &str,
        known: &dyn Fn(&str) -> bool,
        env: Environment<'_>,
    ) -> (Corefile, Vec<ConfigError>) {
        Corefile::read_within(LIMITS, source, port, known, env)
    }

    fn read_within(
        limits: Limits,
        source: &Source,
        port: &str,
        known: &dyn Fn(&str) -> bool,
        env: Environment<'_>,
    ) -> (Corefile, Vec<ConfigError>) {
        let parser::Found { blocks: raw, mut mistakes, mut warnings } = parser::parse(source, known, env, limits);
        let mut room = limits.zones;
        let mut blocks = Vec::with_capacity(raw.len());
        for block in raw {
            let keys = address::keys(&block.keys, port, &mut room, &mut mistakes, &mut warnings);
            blocks.push(ServerBlock { keys, directives: block.directives });
            if mistakes.len() >= limits.mistakes {
                break;
            }
        }
        (Corefile { blocks, warnings }, mistakes)
    }

    /// SHA-512 in hex. Equal for equal configurations: the same keys, and tokens at the same places.
    pub fn hash(&self) -> String {
        let mut hash = Sha512::new();
        for block in &self.blocks {
            hash.update([b'B']);
            block.keys.iter().for_each(|key| feed(&mut hash, b'K', &key.to_string()));
            for (name, tokens) in &block.directives {
                feed(&mut hash, b'D', name);
                for token in tokens {
                    feed(&mut hash, b'F', &token.file);
                    hash.update(token.line.to_be_bytes());
                    feed(&mut hash, b'T', &token.text);
                }
            }
        }
        hex(&hash.finalize())
    }
}

/// What was read, if there are no mistakes in it.
fn whole((corefile, mistakes): (Corefile, Vec<ConfigError>)) -> Result<Corefile, Vec<ConfigError>> {
    if mistakes.is_empty() { Ok(corefile) } else { Err(mistakes) }
}

/// Feeds a text with its kind and length, so that no two lists of texts look the same.
fn feed(hash: &mut Sha512, kind: u8, text: &str) {
    hash.update([kind]);
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

impl ServerBlock {
    /// All tokens of a directive in this block, each line beginning with the directive's name; `None` where it is not used.
    pub fn directive(&self, name: &str) -> Option<&[Token]> {
        self.directives.iter().find(|(n, _)| **n == *name).map(|(_, tokens)| &tokens[..])
    }

    /// Its directives with their tokens, in the order in which they are used first.
    pub fn directives(&self) -> impl Iterator<Item = (&str, &[Token])> {
        self.directives.iter().map(|(name, tokens)| (&**name, &tokens[..]))
    }

    /// The words of all its directives.
    pub fn words(&self) -> impl Iterator<Item = &Arc<str>> {
        self.directives.iter().flat_map(|(_, tokens)| tokens).map(|token| &token.text)
    }
}

impl Source {
    /// A text and what it is called.
    pub fn new(name: &str, text: impl AsRef<[u8]>) -> Source {
        Source { name: name.into(), text: text.as_ref().to_vec(), beside: Arc::new([]) }
    }
}

impl Token {
    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, column: self.column }
    }

    /// Whether `next`, which follows this token, is on the same line.
    fn same_line(&self, next: &Token) -> bool {
        self.file == next.file && self.last_line() == next.line
    }

    /// Whether `next`, which follows this token, is on a later line. An earlier one, which imports can bring, is neither the
    /// same line nor a later one.
    fn later_line(&self, next: &Token) -> bool {
        self.file != next.file || self.last_line() < next.line
    }

    /// The line on which the token ends; line breaks of values of variables count (CoreDNS cannot tell them from others).
    fn last_line(&self) -> u32 {
        self.line.saturating_add(self.text.bytes().filter(|&b| b == b'\n').count() as u32)
    }
}

/// A server block as the parser finds it.
#[derive(Default)]
struct RawBlock {
    keys: Vec<Token>,
    directives: Vec<(Arc<str>, Vec<Token>)>,
}

impl RawBlock {
    /// Adds a line of a directive to those that the block has.
    fn add(&mut self, name: &Arc<str>, line: Vec<Token>) {
        match self.directives.iter_mut().find(|(n, _)| n == name) {
            Some((_, tokens)) => tokens.extend(line),
            None => self.directives.push((name.clone(), line)),
        }
    }
}

#[cfg(test)]
mod tests;
