//! From text to tokens.

use super::Token;
use super::error::Via;
use std::str::Chars;
use std::sync::Arc;

/// Splits `text` into tokens, up to `room` of them. Octets that are no UTF-8 become U+FFFD each; one byte order mark at the start
/// is skipped.
pub(super) fn tokens(file: &Arc<str>, text: &[u8], via: Option<&Arc<Via>>, room: usize) -> Vec<Token> {
    let mut decoded = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        decoded.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| decoded.push('\u{fffd}'));
    }
    let mut lexer = Lexer { rest: decoded.strip_prefix('\u{feff}').unwrap_or(&decoded).chars(), line: 1, column: 0 };
    let mut tokens = Vec::new();
    while tokens.len() < room
        && let Some((text, line, column)) = lexer.next()
    {
        tokens.push(Token { text: text.into(), file: file.clone(), line, column, via: via.cloned() });
    }
    tokens
}

struct Lexer<'a> {
    rest: Chars<'a>,
    line: u32,
    /// Characters of the line that were read.
    column: u32,
}

impl Lexer<'_> {
    /// The next character.
    fn read(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.column = self.column.saturating_add(1);
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 0);
        }
        Some(c)
    }

    /// The next token, and the line and the column with which it begins.
    fn next(&mut self) -> Option<(String, u32, u32)> {
        let mut word = String::new();
        let (mut line, mut column) = (self.line, self.column);
        let mut comment = false;
        while let Some(c) = self.read() {
            if c.is_whitespace() {
                comment &= c != '\n';
                if c == '\r' {
                    continue; // dropped even inside a word
                }
                if !word.is_empty() {
                    return Some((word, line, column));
                }
                continue;
            }
            comment |= c == '#';
            if comment {
                continue;
            }
            if word.is_empty() {
                (line, column) = (self.line, self.column);
                if c == '"' {
                    return self.quoted().map(|text| (text, line, column));
                }
            }
            word.push(c);
        }
        (!word.is_empty()).then_some((word, line, column))
    }

    /// What stands up to the closing quote, or to the end of the text; `None` where there is nothing before that end.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut escaped = false;
        while let Some(c) = self.read() {
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if !escaped => return Some(text),
                _ => (),
            }
            if escaped && c != '"' {
                text.push('\\'); // only quotes are escaped
            }
            escaped = false;
            text.push(c);
        }
        (!text.is_empty()).then_some(text)
    }
}
