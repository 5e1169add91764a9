//! Mistakes in a Corefile: where they are, how they came there, and CoreDNS's words for them.

use super::Token;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A mistake in a Corefile.
///
/// Shown on a line in CoreDNS's words, so that people find what others wrote about it; where these name no place, the place
/// stands in front of them. Lines with the chain of imports follow.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// Where it was noticed; `None` where it is in no file.
    pub place: Option<Place>,
    /// How it is worded.
    pub wording: Wording,
    /// What is wrong.
    pub message: Box<str>,
    /// The import that brought it there.
    pub via: Option<Arc<Via>>,
    /// Which kind of mistake it is: one of the words in `docs/check.md`.
    pub code: &'static str,
    /// The word at its place; empty where there is none.
    pub word: Arc<str>,
    /// What may be meant, or what to do.
    pub help: Option<Box<str>>,
    /// What CoreDNS says in front of all: mostly the name of the plugin.
    prefix: Box<str>,
}

/// The kind of mistakes that are in no directive, unless something else is said.
const SYNTAX: &str = "syntax";

/// Characters of a message.
const MAX_MESSAGE: usize = 6_000;
/// Characters of a word that a message of the parser shows.
pub(super) const MAX_WORD: usize = 1_000;
/// Imports of a chain that are shown.
const MAX_SHOWN: usize = 20;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named; imported ones by their absolute path.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The character of the line, from 1.
    pub column: u32,
}

/// The import that brought a token to where it stands.
#[derive(Debug)]
pub struct Via {
    /// Where the import stands.
    pub place: Place,
    /// What is imported: the name of a snippet in parentheses, or the path of a file.
    pub what: Arc<str>,
    /// The import that brought this import to where it stands.
    pub via: Option<Arc<Via>>,
}

impl Drop for Via {
    /// Drops the chain link by link: thousands of nested imports would take a deep stack.
    fn drop(&mut self) {
        let mut next = self.via.take();
        while let Some(mut via) = next.and_then(Arc::into_inner) {
            next = via.via.take();
        }
    }
}

/// How CoreDNS words a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// `FILE:LINE - Error during parsing: MESSAGE`
    Parsing,
    /// `FILE:LINE - Syntax error: MESSAGE`
    Syntax,
    /// `MESSAGE`, in front of which we say the place.
    Bare,
    /// `MESSAGE`, and no more: what CoreDNS logs, word by word.
    Alone,
}

impl ConfigError {
    /// A mistake that CoreDNS reports with its place.
    pub fn at(token: &Token, message: impl Into<String>) -> ConfigError {
        ConfigError { wording: Wording::Parsing, ..ConfigError::bare(Some(token), message) }
    }

    /// A mistake that CoreDNS reports without a place; without a token, it is in no file.
    pub fn bare(token: Option<&Token>, message: impl Into<String>) -> ConfigError {
        ConfigError {
            place: token.map(Token::place),
            wording: Wording::Bare,
            message: shortened(&message.into(), MAX_MESSAGE).into(),
            via: token.and_then(|t| t.via.clone()),
            code: SYNTAX,
            word: token.map_or_else(|| "".into(), |t| t.text.clone()),
            help: None,
            prefix: "".into(),
        }
    }

    /// A directive that is known and not built.
    pub fn not_supported(name: &'static str, token: &Token) -> ConfigError {
        ConfigError::at(token, format!("directive '{name}' is not supported yet")).of(name).coded("not-supported")
    }

    /// The same as another kind of mistake.
    pub fn coded(self, code: &'static str) -> ConfigError {
        ConfigError { code, ..self }
    }

    /// The same with what may be meant, or what to do.
    pub fn help(self, help: impl Into<String>) -> ConfigError {
        ConfigError { help: Some(help.into().into()), ..self }
    }

    /// The same about a word at another place.
    pub fn about(self, token: &Token) -> ConfigError {
        ConfigError { place: Some(token.place()), word: token.text.clone(), via: token.via.clone(), ..self }
    }

    /// The words of CoreDNS without the place.
    pub fn words(&self) -> String {
        format!("{}{}", self.prefix, self.message)
    }

    /// The same, found by a directive, whose name CoreDNS says first.
    pub fn of(self, directive: &'static str) -> ConfigError {
        let prefix = format!("plugin/{directive}: ").into();
        let code = if self.code == SYNTAX { "setting" } else { self.code };
        ConfigError { prefix, code, ..self }
    }

    /// The same with more words in front: some plugins of CoreDNS say their name twice, or another's.
    pub fn prefix(self, words: &str) -> ConfigError {
        let prefix = format!("{words}{}", self.prefix).into();
        ConfigError { prefix, ..self }
    }

    /// The same without the name of the directive: some plugins of CoreDNS do not say it.
    pub fn unnamed(self) -> ConfigError {
        ConfigError { prefix: "".into(), ..self }
    }

    /// The same as an error of syntax.
    pub(super) fn syntax(self) -> ConfigError {
        ConfigError { wording: Wording::Syntax, ..self }
    }

    /// The same without its place in front.
    pub(super) fn alone(self) -> ConfigError {
        ConfigError { wording: Wording::Alone, ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, message) = (&self.prefix, &self.message);
        match (self.wording, &self.place) {
            (Wording::Bare, Some(place)) => write!(f, "{place} - {prefix}{message}")?,
            (Wording::Parsing, Some(place)) => write!(f, "{prefix}{place} - Error during parsing: {message}")?,
            (Wording::Syntax, Some(place)) => write!(f, "{prefix}{place} - Syntax error: {message}")?,
            (Wording::Alone, _) | (_, None) => write!(f, "{prefix}{message}")?,
        }
        if let Some(help) = &self.help {
            write!(f, "\n  {help}")?;
        }
        let chain = || std::iter::successors(self.via.as_ref(), |import| import.via.as_ref());
        for import in chain().take(MAX_SHOWN) {
            write!(f, "\n  imported from {}", import.place)?;
        }
        match chain().skip(MAX_SHOWN).count() {
            0 => Ok(()),
            more => write!(f, "\n  and by {more} more imports"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A text as messages show it: a word with an open quote may hold the rest of the file.
pub(super) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
