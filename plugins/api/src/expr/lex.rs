//! From text to tokens.

use super::Mistake;
use crate::gotext::quote;

/// A token and where it begins, in letters.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, without quotation marks and escapes.
    pub text: String,
    /// Letters in front of it.
    pub at: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Identifier,
    Number,
    String,
    Operator,
    Bracket,
    End,
}

impl Token {
    /// Whether it is the operator or bracket of this text.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, TokenKind::Operator | TokenKind::Bracket) && self.text == text
    }

    /// The mistake that it stands where it does.
    pub fn unexpected(&self) -> Mistake {
        Mistake::new(self.at, format!("unexpected token {}", self.shown()))
    }

    /// As messages name it.
    pub fn shown(&self) -> String {
        let kind = match self.kind {
            TokenKind::End => "EOF".to_owned(),
            kind => format!("{kind:?}"),
        };
        if self.text.is_empty() { kind } else { format!("{kind}({})", quote(&self.text)) }
    }
}

/// Reads one token after the other.
pub struct Lexer {
    letters: Vec<char>,
    at: usize,
    /// The word directly behind a `#`.
    word: Option<Token>,
}

impl Lexer {
    /// In front of `text`.
    pub fn new(text: &str) -> Lexer {
        Lexer { letters: text.chars().collect(), at: 0, word: None }
    }

    /// The next token; at the end one of kind [`TokenKind::End`], again and again.
    ///
    /// # Errors
    /// What follows is no token.
    pub fn next(&mut self) -> Result<Token, Mistake> {
        if let Some(word) = self.word.take() {
            return Ok(word);
        }
        self.skip()?;
        let start = self.at;
        let Some(first) = self.letter() else {
            return Ok(Token { kind: TokenKind::End, text: String::new(), at: start.saturating_sub(1) });
        };
        let (kind, text) = match first {
            '\'' | '"' => (TokenKind::String, self.quoted(first)?),
            '`' => (TokenKind::String, self.raw()?),
            'b' | 'B' if matches!(self.peek(), Some('\'' | '"')) => {
                return Err(Mistake::new(start, "a literal of bytes is not supported yet"));
            }
            '0'..='9' => self.number(start)?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number(start)?,
            '(' | '[' | '{' | ')' | ']' | '}' => (TokenKind::Bracket, first.to_string()),
            c if is_word(c) => self.identifier(start),
            _ => (TokenKind::Operator, self.operator(first, start)?),
        };
        Ok(Token { kind, text, at: start })
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += usize::from(letter.is_some());
        letter
    }

    fn accept(&mut self, any_of: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| any_of.contains(c));
        self.at += usize::from(accepted);
        accepted
    }

    fn word_from(&self, start: usize) -> String {
        self.letters[start..self.at].iter().collect()
    }

    /// Skips blanks and comments.
    fn skip(&mut self) -> Result<(), Mistake> {
        loop {
            let rest = &self.letters[self.at..];
            match rest {
                [c, ..] if c.is_whitespace() => self.at += 1,
                ['/', '/', ..] => self.at += rest.iter().position(|c| *c == '\n').map_or(rest.len(), |n| n + 1),
                ['/', '*', ..] => match rest[2..].windows(2).position(|pair| pair == ['*', '/']) {
                    Some(n) => self.at += n + 4,
                    None => return Err(Mistake::new(self.letters.len(), "unclosed comment")),
                },
                _ => return Ok(()),
            }
        }
    }

    fn identifier(&mut self, start: usize) -> (TokenKind, String) {
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        let word = self.word_from(start);
        let operator = OPERATOR_WORDS.contains(&word.as_str());
        (if operator { TokenKind::Operator } else { TokenKind::Identifier }, word)
    }

    fn operator(&mut self, first: char, start: usize) -> Result<String, Mistake> {
        match first {
            '#' => {
                self.accept("#");
                let text = self.word_from(start);
                let at = self.at;
                while self.peek().is_some_and(is_word) {
                    self.at += 1;
                }
                let word = self.word_from(at);
                self.word = (!word.is_empty()).then_some(Token { kind: TokenKind::Identifier, text: word, at });
                return Ok(text);
            }
            ',' | ';' | '%' | '+' | '-' | '^' | '/' => (),
            '|' | ':' | '.' => drop(self.accept(first.to_string().as_str())),
            '?' => drop(self.accept(".?")),
            '&' | '!' | '=' | '*' | '<' | '>' => drop(self.accept("&=*")),
            other => {
                let words = format!("unrecognized character: U+{:04X} '{other}'", u32::from(other));
                return Err(Mistake::new(start, words));
            }
        }
        Ok(self.word_from(start))
    }

    fn number(&mut self, start: usize) -> Result<(TokenKind, String), Mistake> {
        let mut digits = "0123456789_";
        if self.letters[start] == '0' {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        while self.accept(digits) {}
        let range = matches!(self.letters[self.at..], ['.', '.', ..]);
        if !range {
            if self.accept(".") {
                while self.accept(digits) {}
            }
            if self.accept("eE") {
                self.accept("+-");
                while self.accept(digits) {}
            }
            if self.peek().is_some_and(is_word) {
                self.at += 1;
                let words = format!("bad number syntax: {}", quote(&self.word_from(start)));
                return Err(Mistake::new(self.at - 1, words));
            }
        }
        Ok((TokenKind::Number, self.word_from(start)))
    }

    /// A text between two back-ticks; two of them in it stand for one.
    fn raw(&mut self) -> Result<String, Mistake> {
        let mut text = String::new();
        loop {
            match self.letter() {
                Some('`') if self.accept("`") => text.push('`'),
                Some('`') => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(self.unterminated()),
            }
        }
    }

    /// A text up to the second `quote`, with escapes.
    fn quoted(&mut self, quote: char) -> Result<String, Mistake> {
        let (mut text, mut invalid) = (String::new(), false);
        loop {
            match self.letter() {
                None => return Err(self.unterminated()),
                Some('\n') => return Err(Mistake::new(self.at - 1, "literal not terminated")),
                Some(c) if c == quote => break,
                Some('\\') => match self.escape(quote)? {
                    Some(c) => text.push(c),
                    None => invalid = true,
                },
                Some(c) => text.push(c),
            }
        }
        let invalid = invalid.then(|| Mistake::new(self.at - 1, "unable to unescape string"));
        invalid.map_or(Ok(text), Err)
    }

    fn unterminated(&self) -> Mistake {
        Mistake::new(self.letters.len(), "literal not terminated")
    }

    /// What the escape behind a backslash stands for; `None` where its value is none of a letter.
    fn escape(&mut self, quote: char) -> Result<Option<char>, Mistake> {
        let at = self.at;
        let simple = match self.letter() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some('\\') => '\\',
            Some(c) if c == quote => quote,
            Some('0'..='7') => {
                self.at -= 1;
                let value = self.digits(8, 3)?;
                return Ok(char::from_u32(value).filter(|_| value < 0o400));
            }
            Some('x') => return Ok(char::from_u32(self.digits(16, 2)?)),
            Some('u') if self.accept("{") => return self.braced(),
            Some('u') => return Ok(letter_of(self.digits(16, 4)?)),
            Some('U') => return Ok(letter_of(self.digits(16, 8)?)),
            _ => return Err(Mistake::new(at, "invalid char escape")),
        };
        Ok(Some(simple))
    }

    /// One to six digits and a closing brace.
    fn braced(&mut self) -> Result<Option<char>, Mistake> {
        let (start, mut value) = (self.at, 0);
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) {
            value = value << 4 | digit;
            self.at += 1;
            if self.at - start > 6 {
                break;
            }
        }
        if !(1..=6).contains(&(self.at - start)) || !self.accept("}") {
            return Err(Mistake::new(self.at.saturating_sub(1), "invalid char escape"));
        }
        Ok(letter_of(value))
    }

    fn digits(&mut self, base: u32, count: usize) -> Result<u32, Mistake> {
        let mut value = 0u32;
        for _ in 0..count {
            let digit = self.peek().and_then(|c| c.to_digit(base));
            let digit = digit.ok_or_else(|| Mistake::new(self.at, "invalid char escape"))?;
            value = value.saturating_mul(base).saturating_add(digit);
            self.at += 1;
        }
        Ok(value)
    }
}

/// The letter of a number; that of a half of a pair (UTF-16) is the replacement character.
fn letter_of(value: u32) -> Option<char> {
    (value <= u32::from(char::MAX)).then(|| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Whether a letter belongs to words.
pub fn is_word(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic() || c.is_numeric()
}

/// Words that are operators.
const OPERATOR_WORDS: &[&str] =
    &["not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"];
