//! From tokens to server blocks: the structure of a Corefile, snippets and imports.

use super::env::{self, Environment};
use super::error::{MAX_WORD, Via, shortened};
use super::import::{self, Imports};
use super::{ConfigError, Limits, RawBlock, Source, Token, lexer};
use std::collections::HashMap;
use std::sync::Arc;

/// What was found in a Corefile.
#[derive(Default)]
pub(super) struct Found {
    pub blocks: Vec<RawBlock>,
    pub mistakes: Vec<ConfigError>,
    pub warnings: Vec<ConfigError>,
}

/// Reads the blocks of `source`.
///
/// Reading goes on behind a mistake: where it is plain what was meant (an unknown directive, a file that cannot be imported, a
/// closing brace at the end of a directive's line) as if that stood there, else behind the block. Only what is too much ends it.
pub(super) fn parse(source: &Source, known: &dyn Fn(&str) -> bool, env: Environment<'_>, limits: Limits) -> Found {
    let mut parser = Parser {
        done: Vec::new(),
        rest: Vec::new(),
        snippets: HashMap::new(),
        imports: Imports::new(source.beside.clone()),
        found: Found::default(),
        known,
        env,
        limits,
        taken: 0,
    };
    if let Err(e) = parser.file(source) {
        parser.found.mistakes.push(e);
    }
    parser.found
}

/// Tokens are taken from `rest`, whose last one is the next, and put onto `done`, whose last one is the current.
struct Parser<'a> {
    done: Vec<Token>,
    rest: Vec<Token>,
    snippets: HashMap<Arc<str>, Arc<[Token]>>,
    imports: Imports,
    found: Found,
    known: &'a dyn Fn(&str) -> bool,
    env: Environment<'a>,
    limits: Limits,
    taken: usize,
}

type Result<T = ()> = std::result::Result<T, ConfigError>;

impl Parser<'_> {
    fn file(&mut self, source: &Source) -> Result {
        let limits = self.limits;
        let too_much =
            |what: String| Err(ConfigError::bare(None, format!("{}: {what} are read", source.name)).coded(TOO_MUCH));
        if source.text.len() > limits.octets {
            return too_much(format!("too many octets, no more than {}", limits.octets));
        }
        self.rest = lexer::tokens(&source.name, &source.text, None, limits.tokens + 1);
        self.taken = self.rest.len();
        if self.taken > limits.tokens {
            return too_much(format!("too many words, no more than {}", limits.tokens));
        }
        self.rest.reverse();
        while self.next() && self.found.mistakes.len() < limits.mistakes {
            if &*self.current().text == "}" && !self.found.mistakes.is_empty() {
                continue; // what is left of a block with a mistake
            }
            if let Err(e) = self.block() {
                if e.code == TOO_MUCH {
                    return Err(e);
                }
                self.found.mistakes.push(e);
                self.skip_block();
            }
            if self.found.blocks.len() > limits.blocks {
                return too_much(format!("too many server blocks, no more than {}", limits.blocks));
            }
        }
        Ok(())
    }

    /// Goes on behind the block that the current token is in, in front of it or inside its braces.
    fn skip_block(&mut self) {
        let mut depth = 0;
        loop {
            match &*self.current().text {
                "{" => depth += 1,
                "}" if depth <= 1 => return,
                "}" => depth -= 1,
                _ => (),
            }
            if !self.next() {
                return;
            }
        }
    }

    /// A server block or a snippet; the current token is its first one.
    fn block(&mut self) -> Result {
        let (mut block, first) = (RawBlock::default(), self.current().clone());
        let ended = self.addresses(&mut block)?;
        let snippet = match &block.keys[..] {
            [key] => key.text.strip_prefix('(').and_then(|k| k.strip_suffix(')')).map(Arc::from),
            _ => None,
        };
        if !ended {
            match snippet {
                Some(name) => return self.snippet(name),
                None => self.contents(&mut block)?,
            }
        }
        if block.keys.is_empty() {
            let e = ConfigError::bare(Some(&first), "a server block without an address is ignored");
            self.found.warnings.push(e.coded("no-address"));
        } else {
            self.found.blocks.push(block);
        }
        Ok(())
    }

    /// The addresses of a block, up to its brace or the end of the line; whether the file ends with them.
    fn addresses(&mut self, block: &mut RawBlock) -> Result<bool> {
        let mut more = false;
        loop {
            let text = self.replaced(self.current())?;
            if &*text == "import" && self.is_new_line() {
                if !self.import()? {
                    return if more { Err(self.unexpected_end()) } else { Ok(true) };
                }
                continue;
            }
            if &*text == "{" {
                if more {
                    self.note(format!("Expected another address but had '{text}' - check for extra comma"));
                }
                return Ok(false);
            }
            if !text.is_empty() {
                let key = text.strip_suffix(',');
                more = key.is_some();
                let mut token = self.current().clone();
                token.text = key.map_or_else(|| text.clone(), Into::into);
                block.keys.push(token);
            }
            if !self.next() {
                return if more { Err(self.unexpected_end()) } else { Ok(true) };
            }
            if !more && self.is_new_line() {
                return Ok(false);
            }
        }
    }

    /// What stands behind the addresses, in braces or to the end of the file.
    fn contents(&mut self, block: &mut RawBlock) -> Result {
        let brace = Some(self.current().clone()).filter(|token| &*token.text == "{");
        if brace.is_none() {
            self.back();
        }
        while self.next() && &*self.current().text != "}" {
            if self.found.mistakes.len() >= self.limits.mistakes {
                return Ok(());
            }
            if &*self.current().text == "import" {
                if self.import()? {
                    self.back();
                }
                continue;
            }
            self.directive(block)?;
        }
        if let Some(brace) = brace
            && let Err(e) = self.expect("}")
        {
            self.found.mistakes.push(e.coded(UNCLOSED).help(unclosed(&brace)));
        }
        Ok(())
    }

    /// A directive with its arguments and its block; the current token is its name.
    fn directive(&mut self, block: &mut RawBlock) -> Result {
        let name = self.replaced(self.current())?;
        let known = (self.known)(&name);
        if !known {
            let mut e =
                self.error(format!("Unknown directive '{}'", shortened(&name, MAX_WORD))).coded("unknown-directive");
            e.word = name.clone();
            self.found.mistakes.push(e);
        }
        let mut tokens = vec![Token { text: name.clone(), ..self.current().clone() }];
        let (mut nesting, mut brace) = (0, None);
        while self.next() {
            let token = self.current();
            match &*token.text {
                "{" => {
                    nesting += 1;
                    brace = brace.or_else(|| Some(token.clone()));
                }
                _ if nesting == 0 && self.is_new_line() => {
                    self.back();
                    break;
                }
                "}" if nesting > 0 => nesting -= 1,
                "}" => {
                    if known {
                        let e = self.error("Unexpected '}' because no matching opening brace").coded("brace");
                        self.found.mistakes.push(e.help("a closing brace stands on a line of its own"));
                    }
                    self.back(); // most likely it is meant to end the server block
                    break;
                }
                "import" if self.is_new_line() => {
                    if self.import()? {
                        self.back();
                    }
                    continue;
                }
                _ => (),
            }
            let text = self.replaced(self.current())?;
            let current = self.done.last_mut().expect("next() put it there");
            current.text = text;
            tokens.push(current.clone());
        }
        if let Some(brace) = brace.filter(|_| nesting > 0) {
            let e = self.unexpected_end().coded(UNCLOSED).help(unclosed(&brace));
            self.found.mistakes.push(e);
            return Ok(());
        }
        if known {
            block.add(&name, tokens);
        }
        Ok(())
    }

    /// Keeps the tokens in the braces of the snippet `name`.
    fn snippet(&mut self, name: Arc<str>) -> Result {
        if self.snippets.contains_key(&name) {
            self.note(format!("redeclaration of previously declared snippet {name}"));
        }
        self.expect("{")?;
        let brace = self.current().clone();
        let mut depth = 1;
        let mut tokens: Vec<Token> = Vec::new();
        while self.next() {
            match &*self.current().text {
                "}" => depth -= 1,
                "{" => depth += 1,
                _ => (),
            }
            if depth == 0 {
                break;
            }
            tokens.push(self.current().clone());
        }
        if depth > 0 {
            return Err(self.syntax("}").coded(UNCLOSED).help(unclosed(&brace)));
        }
        if self.imports_itself(&name, &tokens)? {
            return Err(self.error(import::TOO_MANY_SNIPPETS).coded(TOO_MUCH));
        }
        self.snippets.entry(name).or_insert_with(|| tokens.into());
        Ok(())
    }

    /// Whether a line of the snippet `name` imports it.
    fn imports_itself(&self, name: &str, tokens: &[Token]) -> Result<bool> {
        for (i, pair) in tokens.windows(2).enumerate() {
            let [word, pattern] = pair else { continue };
            let before = i.checked_sub(1).map(|i| &tokens[i]);
            let first = before.is_none_or(|b| b.file != word.file || b.line != word.line);
            if first && &*word.text == "import" && &*self.replaced(pattern)? == name {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts what is imported in the place of the import, whose word is the current token. Afterwards the first imported token
    /// is the current one, or what stood behind the import; `false` where there is nothing.
    fn import(&mut self) -> Result<bool> {
        let (word, at) = (self.current().clone(), self.done.len() - 1);
        if !self.next_arg() {
            self.note(super::cursor::wrong_count(&word.text));
            return Ok(self.without_line(at));
        }
        let pattern = self.replaced(self.current())?;
        if pattern.is_empty() {
            self.note("Import requires a non-empty filepath");
            return Ok(self.without_line(at));
        }
        if self.next_arg() {
            self.note("Import takes only one argument (glob pattern or file)");
            return Ok(self.without_line(at));
        }
        let tokens = match self.snippets.get(&*pattern).cloned() {
            Some(snippet) => self.snippet_tokens(&pattern, &snippet, &word)?,
            None => self.file_tokens(&pattern, &word)?,
        };
        self.taken += tokens.len();
        if self.taken > self.limits.tokens {
            let words = format!("imports add up to more than {} words", self.limits.tokens);
            return Err(self.error(words).coded(TOO_MUCH));
        }
        self.done.truncate(at);
        self.rest.extend(tokens.into_iter().rev());
        Ok(self.next())
    }

    /// Leaves out the import whose word is at `at` in `done`, and what else stands on its line.
    fn without_line(&mut self, at: usize) -> bool {
        while self.next_arg() {}
        self.done.truncate(at);
        self.next()
    }

    /// The tokens of a snippet, as imported by the word at `word`.
    fn snippet_tokens(&mut self, name: &str, snippet: &[Token], word: &Token) -> Result<Vec<Token>> {
        self.imports.count_snippet(name, word).map_err(|m| self.error(m).coded(TOO_MUCH))?;
        let via = via(word, format!("({name})"));
        Ok(snippet.iter().map(|t| Token { via: Some(via.clone()), ..t.clone() }).collect())
    }

    /// The tokens of all files that `pattern` means, as imported by the word at `word`. A file that cannot be read is noted.
    fn file_tokens(&mut self, pattern: &str, word: &Token) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let paths = self.imports.files(pattern, &word.file);
        if paths.as_ref().is_ok_and(Vec::is_empty) {
            let words = format!("No files matching import glob pattern: {pattern}");
            self.found.warnings.push(ConfigError::bare(Some(self.current()), words).alone().coded("empty-import"));
        }
        for path in self.noted(paths).unwrap_or_default() {
            self.imports.count_file(&path, word).map_err(|m| self.error(m).coded(TOO_MUCH))?;
            let text = self.imports.read(&path, self.limits);
            let Some(text) = self.noted(text) else { continue };
            let name: Arc<str> = path.to_string_lossy().into();
            let room = (self.limits.tokens + 1).saturating_sub(self.taken + tokens.len());
            tokens.extend(lexer::tokens(&name, &text, Some(&via(word, name.to_string())), room));
        }
        Ok(tokens)
    }

    /// Notes a mistake at the current token.
    fn noted<T>(&mut self, result: std::result::Result<T, String>) -> Option<T> {
        result.map_err(|message| self.found.mistakes.push(self.error(message).coded("import"))).ok()
    }

    /// Notes a mistake at the current token, behind which reading goes on.
    fn note(&mut self, message: impl Into<String>) {
        let e = self.error(message);
        self.found.mistakes.push(e);
    }

    /// Goes on to the next token; `false`, and the last one stays current, where there is none.
    fn next(&mut self) -> bool {
        let next = self.rest.pop();
        let found = next.is_some();
        self.done.extend(next);
        found
    }

    /// Goes on to the next token if it stands on the same line.
    fn next_arg(&mut self) -> bool {
        let same = matches!((self.done.last(), self.rest.last()), (Some(a), Some(b)) if a.same_line(b));
        same && self.next()
    }

    /// Goes back to the token before.
    fn back(&mut self) {
        self.rest.extend(self.done.pop());
    }

    fn current(&self) -> &Token {
        self.done.last().expect("reading has begun")
    }

    /// Whether the current token begins a line.
    fn is_new_line(&self) -> bool {
        match &self.done[..] {
            [.., before, current] => before.later_line(current),
            _ => true,
        }
    }

    fn expect(&self, brace: &str) -> Result {
        if *self.current().text == *brace { Ok(()) } else { Err(self.syntax(brace)) }
    }

    fn syntax(&self, expected: &str) -> ConfigError {
        let token = shortened(&self.current().text, MAX_WORD);
        let message = format!("Unexpected token '{token}', expecting '{expected}'");
        self.error(message).syntax()
    }

    fn unexpected_end(&self) -> ConfigError {
        self.error("Unexpected EOF")
    }

    fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.current(), message)
    }

    /// The text of a token with its variables replaced.
    fn replaced(&self, token: &Token) -> Result<Arc<str>> {
        match env::replace(&token.text, self.env) {
            Ok(None) => Ok(token.text.clone()),
            Ok(Some(text)) => Ok(text.into()),
            Err(name) => {
                let words = format!("environment variable '{name}' contains itself");
                Err(ConfigError::at(token, words).coded(TOO_MUCH))
            }
        }
    }
}

/// What to do about a brace that nothing closes.
fn unclosed(brace: &Token) -> String {
    format!("nothing closes the '{{' of {}", brace.place())
}

/// The kind of mistakes of a brace that nothing closes.
const UNCLOSED: &str = "unclosed-brace";
/// The kind of mistakes that end the reading.
const TOO_MUCH: &str = "limit";

/// The import of `what` by the word at `word`.
fn via(word: &Token, what: String) -> Arc<Via> {
    Arc::new(Via { place: word.place(), what: what.into(), via: word.via.clone() })
}
