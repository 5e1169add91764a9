//! Where the configuration comes from: a file, standard input, or the built-in default.

use crate::cli::Options;
use crate::hints;
use crate::plugins::Table;
use api::corefile::{ConfigError, Corefile, Source};
use std::io::{self, IsTerminal, Read};
use std::path::{Component, Path, PathBuf};

/// What is served without a Corefile.
const DEFAULT: &str = ". {\n    whoami\n    log\n}\n";

/// Octets of a Corefile beyond which it is not read on; the parser says what is too much.
const MAX_OCTETS: u64 = api::corefile::MAX_OCTETS as u64;

/// The origin of the configuration, which is read again at each reload.
pub struct Origin {
    kind: Kind,
    port: String,
}

/// Whether a configuration is served already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// None is.
    First,
    /// One is, and goes on where this one cannot be served.
    Again,
}

enum Kind {
    File(String),
    /// Standard input can be read once.
    Text(Source),
}

impl Origin {
    /// Chooses as CoreDNS does: `-conf FILE`, `-conf stdin`, `./Corefile`, the built-in default.
    ///
    /// # Errors
    /// Standard input cannot be read.
    pub fn choose(options: &Options) -> Result<Origin, String> {
        let port = options.port.clone();
        let kind = match options.conf.as_str() {
            "stdin" if !io::stdin().is_terminal() => Kind::Text(stdin()?),
            "" | "stdin" if Path::new("Corefile").exists() => Kind::File("Corefile".into()),
            "" | "stdin" => Kind::Text(Source::new("", DEFAULT)),
            file => Kind::File(file.into()),
        };
        Ok(Origin { kind, port })
    }

    /// What it is called in messages.
    pub fn shown(&self) -> &str {
        match &self.kind {
            Kind::File(file) => file,
            Kind::Text(source) => &source.name,
        }
    }

    /// Whether it can be read again.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// Reads and parses the configuration. One without server blocks is the default at a start, and a mistake later: a file that
    /// was emptied is no order to end cluster DNS.
    ///
    /// # Errors
    /// It cannot be read, or has mistakes: a line each.
    pub fn parse(&self, table: &Table, reading: Reading) -> Result<Corefile, String> {
        let (corefile, mistakes) = self.read(table, reading)?;
        if mistakes.is_empty() { Ok(corefile) } else { Err(lines(&mistakes)) }
    }

    /// The same with what can be understood beside mistakes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, table: &Table, reading: Reading) -> Result<(Corefile, Vec<ConfigError>), String> {
        let source = self.source(reading)?;
        let (corefile, mistakes) = parse(&source, &self.port, table);
        if reading == Reading::Again && self.is_file() && mistakes.is_empty() && is_default(&corefile) {
            return Err(format!("{}:1 - no server block is in it, at least one is expected", source.name));
        }
        Ok((corefile, mistakes))
    }

    fn source(&self, reading: Reading) -> Result<Source, String> {
        match (&self.kind, reading) {
            (Kind::Text(source), _) => Ok(source.clone()),
            (Kind::File(file), Reading::First) => read(file),
            (Kind::File(file), Reading::Again) => {
                check_kind(file)?;
                let source = read(file)?;
                check_text(&source)?;
                Ok(source)
            }
        }
    }
}

/// What can be understood of `source`, and the mistakes in it, with hints; without server blocks it is the default.
pub fn parse(source: &Source, port: &str, table: &Table) -> (Corefile, Vec<ConfigError>) {
    let known = |name: &str| table.0.iter().any(|row| row.name() == name);
    let read = |source: &Source| Corefile::read(source, port, &known, &|name| std::env::var(name).ok());
    let (corefile, mistakes) = read(source);
    match mistakes.is_empty() && corefile.blocks.is_empty() {
        true => read(&Source::new("", DEFAULT)),
        false => (corefile, mistakes.into_iter().map(|e| hints::of_directive(table, e)).collect()),
    }
}

/// Whether a configuration is the built-in default.
pub fn is_default(corefile: &Corefile) -> bool {
    corefile.blocks.iter().flat_map(|block| &block.keys).all(|key| key.token.file.is_empty())
}

/// Mistakes as they are printed: a line each.
pub fn lines(mistakes: &[ConfigError]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a Corefile.
///
/// # Errors
/// In CoreDNS's words.
pub fn read(file: &str) -> Result<Source, String> {
    let failed = |e: io::Error| format!("loading Caddyfile via flag: open {file}: {}", api::os_words(&e));
    let path = clean(Path::new(file));
    if path.is_dir() {
        return Err(format!("loading Caddyfile via flag: read {file}: is a directory"));
    }
    let text = std::fs::File::open(path).and_then(bounded).map_err(failed)?;
    Ok(Source::new(file, &text))
}

/// Refuses what is no regular file: a pipe may keep the reader waiting for ever.
fn check_kind(file: &str) -> Result<(), String> {
    match std::fs::metadata(clean(Path::new(file))) {
        Ok(kind) if !kind.is_file() && !kind.is_dir() => {
            Err(format!("{file}: it is no regular file, and not read again"))
        }
        _ => Ok(()), // what else there is to say is said by who reads it
    }
}

/// Refuses what is no text.
fn check_text(source: &Source) -> Result<(), String> {
    let Some(at) = source.text.iter().position(|octet| *octet == 0) else { return Ok(()) };
    let line = 1 + source.text[..at].iter().filter(|octet| **octet == b'\n').count();
    Err(format!("{}:{line} - an octet 0 is in it: a text is expected", source.name))
}

/// A path without `.` and `..`, taken word by word, whatever the folders are (Go's `filepath.Clean`).
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match (part, out.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => (),
            (Component::ParentDir, Some(Component::Normal(_))) => drop(out.pop()),
            (part, _) => out.push(part),
        }
    }
    out
}

/// Reads a Corefile from standard input.
///
/// # Errors
/// It cannot be read.
pub fn stdin() -> Result<Source, String> {
    let text = bounded(io::stdin().lock()).map_err(|e| format!("cannot read standard input: {}", api::os_words(&e)))?;
    Ok(Source::new("stdin", &text))
}

/// What can be read, up to a size that the parser surely refuses: a pipe or a device may never end.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_OCTETS + 1).read_to_end(&mut text)?;
    Ok(text)
}
