//! How a plugin reads its lines: one token after the other, with questions about lines and blocks.

use super::{ConfigError, Token};

/// Reads the tokens of one directive in one server block.
///
/// All lines of the directive follow each other, each beginning with the directive's name. The cursor stands in front of the
/// first token at first. What a plugin leaves unread is what its next question finds, which is how CoreDNS's plugins come by
/// their peculiarities; a plugin that has to accept and refuse the same lines asks in the same order.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    directive: &'static str,
    tokens: &'a [Token],
    /// Tokens that were read; the current one is the last of them.
    read: usize,
    in_block: bool,
}

impl<'a> Cursor<'a> {
    /// In front of all tokens of `directive`, of which there is at least one.
    pub fn new(directive: &'static str, tokens: &'a [Token]) -> Cursor<'a> {
        Cursor { directive, tokens, read: 0, in_block: false }
    }

    /// Goes on to the next token, whatever line it is on; `false`, and stays, at the end.
    #[expect(clippy::should_implement_trait, reason = "it goes on, and says nothing of the token")]
    pub fn next(&mut self) -> bool {
        let more = self.read < self.tokens.len();
        self.read += usize::from(more);
        more
    }

    /// Like [`Cursor::next`], for the loop over the lines of a directive that may have one.
    ///
    /// # Errors
    /// There is a next token, and it is not the first of all: another line, or one that goes on.
    pub fn next_once(&mut self) -> Result<bool, ConfigError> {
        let first = self.read == 0;
        match self.next() {
            true if !first => Err(self.bare("this plugin can only be used once per Server Block")),
            more => Ok(more),
        }
    }

    /// Reads the first line of a directive without arguments; what further lines say is not looked at.
    ///
    /// # Errors
    /// There is an argument.
    pub fn no_arguments(&mut self) -> Result<(), ConfigError> {
        self.next();
        if self.next_arg() { Err(self.arg_err()) } else { Ok(()) }
    }

    /// Goes on to the next token if it is on the line of the current one. A brace is a token too.
    pub fn next_arg(&mut self) -> bool {
        self.next_is(true, Token::same_line) && self.next()
    }

    /// Goes on to the next token if it is on a later line than the current one.
    pub fn next_line(&mut self) -> bool {
        self.next_is(true, Token::later_line) && self.next()
    }

    /// For loops over the properties of a block. In front of a `{` on the current line: enters the block and goes on to its first
    /// token. In a block: goes on to the next token, whatever line it is on. `false` where no block begins here (the cursor
    /// stays) and at the `}` that ends it (the cursor stands on it).
    ///
    /// Braces inside a block do not nest: a `{` is a token like others, and the first `}` ends the block.
    pub fn next_block(&mut self) -> bool {
        if !self.in_block {
            if !self.at_brace() {
                return false;
            }
            self.next();
        }
        self.in_block = self.next() && self.val() != "}";
        self.in_block
    }

    /// The text of the current token; empty in front of the first one.
    pub fn val(&self) -> &'a str {
        self.token().map_or("", |t| &t.text)
    }

    /// The current token; `None` in front of the first one.
    pub fn token(&self) -> Option<&'a Token> {
        self.read.checked_sub(1).map(|i| &self.tokens[i])
    }

    /// The tokens that are left on the current line, up to a `{`. In front of the first token: from that one on.
    pub fn remaining_args(&mut self) -> Vec<&'a str> {
        let mut args = Vec::new();
        while !self.at_brace() && self.next_arg() {
            args.push(self.val());
        }
        args
    }

    /// The next `N` tokens of the current line; `None` where there are fewer (these are read).
    pub fn args<const N: usize>(&mut self) -> Option<[&'a str; N]> {
        let mut args = [""; N];
        for arg in &mut args {
            if !self.next_arg() {
                return None;
            }
            *arg = self.val();
        }
        Some(args)
    }

    /// Whether the next token is a `{` on the current line.
    fn at_brace(&self) -> bool {
        self.next_is(false, Token::same_line) && *self.tokens[self.read].text == *"{"
    }

    /// Whether there is a next token, and it follows the current one as `follows` says; `first` where there is no current one.
    fn next_is(&self, first: bool, follows: fn(&Token, &Token) -> bool) -> bool {
        let next = self.tokens.get(self.read);
        next.is_some_and(|next| self.token().map_or(first, |current| follows(current, next)))
    }
}

/// Mistakes at the current token.
impl Cursor<'_> {
    /// `plugin/NAME: FILE:LINE - Error during parsing: MESSAGE`
    pub fn err(&self, message: impl Into<String>) -> ConfigError {
        match self.place() {
            Some(token) => ConfigError::at(token, message).of(self.directive),
            None => self.bare(message),
        }
    }

    /// A missing argument or one too many: names the current token.
    pub fn arg_err(&self) -> ConfigError {
        match self.val() {
            "{" => self.err("Unexpected token '{', expecting argument"),
            val => self.err(wrong_count(val)),
        }
    }

    /// Something else than `expected` was found: names the current token.
    pub fn syntax_err(&self, expected: &str) -> ConfigError {
        let message = format!("Unexpected token '{}', expecting '{expected}'", self.val());
        self.err(message).syntax()
    }

    /// A mistake that CoreDNS reports without a place: `FILE:LINE - plugin/NAME: MESSAGE`.
    pub fn bare(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::bare(self.place(), message).of(self.directive)
    }

    fn place(&self) -> Option<&Token> {
        self.token().or(self.tokens.first())
    }
}

/// CoreDNS's words for a missing argument, or one too many, behind `word`.
pub(super) fn wrong_count(word: &str) -> String {
    format!("Wrong argument count or unexpected line ending after '{word}'")
}

#[cfg(test)]
mod tests {
    use super::super::{Corefile, Source};
    use super::*;

    /// Calls `read` with a cursor over `text`, the lines of a directive.
    fn with<T>(text: &str, read: impl FnOnce(Cursor<'_>) -> T) -> T {
        let source = Source::new("f", format!(". {{\n{text}\n}}\n"));
        let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).expect("no mistakes");
        read(Cursor::new("x", corefile.blocks[0].directive("x").expect("it is used")))
    }

    /// What a plugin reads that asks for arguments, then for a block.
    fn plain(text: &str) -> String {
        with(text, |mut c| {
            let mut seen = Vec::new();
            while c.next() {
                seen.push(format!("{}({})", c.val(), c.remaining_args().join(" ")));
                while c.next_block() {
                    seen.push(format!("[{}({})]", c.val(), c.remaining_args().join(" ")));
                }
            }
            seen.join(" ")
        })
    }

    #[test]
    fn arguments_and_blocks() {
        for (text, want) in [
            ("x a b", "x(a b)"),
            ("x a\nx b", "x(a) x(b)"),
            ("x a {\np q\nr\n}", "x(a) [p(q)] [r()]"),
            ("x { p q\n}", "x() [p(q)]"),
            ("x {\n} y", "x() y()"),
            ("x {\np }", "x() [p(})]"),
            ("x\n{\np\n}", "x() {() p() }()"),
            ("x {\np {\nq\n}\n}", "x() [p()] [{()] [q()] }()"),
            ("x \"a\nb\" c", "x(a\nb c)"),
        ] {
            assert_eq!(plain(text), want, "{text}");
        }
    }

    #[test]
    fn lines() {
        with("x a\nx b {\nc\n}", |mut c| {
            assert!(c.next_line() && !c.next_line());
            assert_eq!(c.args(), Some(["a"]));
            assert!(!c.next_arg() && c.next_line());
            assert_eq!(c.args::<3>(), None);
            assert_eq!(c.val(), "{");
            assert_eq!(
                c.arg_err().to_string(),
                "plugin/x: f:3 - Error during parsing: Unexpected token '{', expecting argument"
            );
        });
    }

    #[test]
    fn one_line() {
        with("x a\nx b", |mut c| {
            assert_eq!((c.next_once().ok(), c.next_arg()), (Some(true), true));
            let again = c.next_once().unwrap_err().to_string();
            assert_eq!(again, "f:3 - plugin/x: this plugin can only be used once per Server Block");
        });
        with("x a", |mut c| {
            assert!(c.next_once().is_ok_and(|more| more) && c.next_arg());
            assert_eq!(c.next_once().ok(), Some(false));
        });
    }

    #[test]
    fn arguments_where_none_belong() {
        with("x\nx a", |mut c| assert!(c.no_arguments().is_ok()));
        with("x a", |mut c| {
            let want = "plugin/x: f:2 - Error during parsing: Wrong argument count or unexpected line ending after 'a'";
            assert_eq!(c.no_arguments().unwrap_err().to_string(), want);
        });
    }

    #[test]
    fn mistakes() {
        with("x a", |mut c| {
            assert_eq!(c.bare("m").to_string(), "f:2 - plugin/x: m");
            assert!(c.next() && c.next_arg());
            let place = "f:2 - Error during parsing";
            let count = "Wrong argument count or unexpected line ending after 'a'";
            assert_eq!(c.arg_err().to_string(), format!("plugin/x: {place}: {count}"));
            assert_eq!(c.err("m").prefix("plugin/y: ").to_string(), format!("plugin/y: plugin/x: {place}: m"));
            assert_eq!(c.err("m").unnamed().to_string(), format!("{place}: m"));
            assert_eq!(
                c.syntax_err("b").to_string(),
                "plugin/x: f:2 - Syntax error: Unexpected token 'a', expecting 'b'"
            );
        });
    }
}
