//! The language Expr, in which `view` and `template` say conditions and values: `name() endsWith '.example.' and size() < 100`.
//!
//! It is that of the Go library `expr` 1.17, which CoreDNS uses: the same grammar, the same checks of names and types at the
//! start, the same words for mistakes. [`Expression::compile`] reads and checks, [`Expression::evaluate`] gives the value for
//! a query. Nothing that an expression says can panic or run long: size, nesting, steps and memory are bounded. Evaluating
//! conditions about a query allocates nothing.

mod builtin;
mod check;
mod environment;
mod evaluate;
mod functions;
mod lex;
mod numbers;
mod order;
mod parse;
mod print;
mod time;
mod tree;
mod types;
mod value;

pub use environment::{Facts, Function, Groups, Names};
pub use types::Type;
pub use value::{Failure, List, Map, Text, Value};

#[cfg(test)]
mod tests;

use evaluate::Evaluation;
use tree::{Kind, Node};

/// An expression that is well formed, and whose names and types are right as far as they are known.
#[derive(Debug)]
pub struct Expression {
    tree: Node,
    result: Type,
}

impl Expression {
    /// Reads and checks `text`, which may use `names`.
    ///
    /// # Errors
    /// The words of the Go library, with line and column: `unknown name x (1:1)`.
    pub fn compile(text: &str, names: &Names) -> Result<Expression, String> {
        let compiled = parse::parse(text, &|name| names.has(name)).and_then(|mut tree| {
            let result = check::check(&mut tree, names)?;
            Ok(Expression { tree, result })
        });
        compiled.map_err(|mistake| mistake.in_text(text))
    }

    /// What is known of the type of its value.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Its value for a query; `variables` are the values of the variables of [`Names`], in their order.
    ///
    /// # Errors
    /// It has none, or finding it needs too much work.
    pub fn evaluate<'a>(&'a self, facts: &'a Facts<'a>, variables: &[Value<'a>]) -> Result<Value<'a>, Failure> {
        Evaluation::new(facts, variables).value(&self.tree)
    }
}

/// Whether `text` is a single name and nothing else.
pub fn is_name(text: &str) -> bool {
    let name = parse::parse(text, &|_| false);
    name.is_ok_and(|node| matches!(&node.kind, Kind::Name(name) if **name == *text))
}

/// Whether `name` is that of a function of the language.
pub fn is_builtin(name: &str) -> bool {
    name == "type"
        || builtin::Builtin::named(name).is_some()
        || tree::Each::named(name).is_some()
        || builtin::NOT_YET.contains(&name)
}

/// What is wrong with an expression, and where.
#[derive(Debug)]
struct Mistake {
    /// Letters in front of it.
    at: usize,
    words: String,
}

impl Mistake {
    fn new(at: usize, words: impl Into<String>) -> Mistake {
        Mistake { at, words: words.into() }
    }

    /// The words, with line and column in `text`, both from 1; without on a line that is empty.
    fn in_text(&self, text: &str) -> String {
        let (mut line, mut column, mut start) = (1, 1, 0);
        for (i, letter) in text.char_indices().take(self.at) {
            (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
            start = if letter == '\n' { i + 1 } else { start };
        }
        let empty = text[start..].lines().next().unwrap_or_default().is_empty();
        if empty { self.words.clone() } else { format!("{} ({line}:{column})", self.words) }
    }
}
