//! A configuration as text again: one file without imports, snippets and variables.

use super::{Corefile, ServerBlock, Token};
use std::borrow::Cow;
use std::fmt;

/// What means the same when it is read. (A word may be such that nothing in a Corefile stands for it: who needs to know compares
/// what is read with what was written.)
impl fmt::Display for Corefile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.blocks.iter().try_for_each(|block| write(f, block))
    }
}

fn write(f: &mut fmt::Formatter<'_>, block: &ServerBlock) -> fmt::Result {
    for key in &block.keys {
        write!(f, "{} ", word(&key.to_string()))?;
    }
    writeln!(f, "{{")?;
    block.directives.iter().try_for_each(|(_, tokens)| write_lines(f, tokens))?;
    writeln!(f, "}}")
}

fn write_lines(f: &mut fmt::Formatter<'_>, tokens: &[Token]) -> fmt::Result {
    let mut depth = 1;
    for (i, token) in tokens.iter().enumerate() {
        let same_line = i.checked_sub(1).is_some_and(|before| tokens[before].same_line(token));
        depth -= usize::from(&*token.text == "}" && depth > 1);
        match same_line {
            true => f.write_str(" ")?,
            false if i == 0 => write!(f, "{:1$}", "", 4 * depth)?,
            false => write!(f, "\n{:1$}", "", 4 * depth)?,
        }
        f.write_str(&word(&token.text))?;
        depth += usize::from(&*token.text == "{");
    }
    writeln!(f)
}

/// A word as it is written in a Corefile: in quotes where it needs them.
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = !text.is_empty() && !text.starts_with('"') && !text.contains(|c: char| c.is_whitespace() || c == '#');
    if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("\"{}\"", text.replace('"', "\\\""))) }
}
