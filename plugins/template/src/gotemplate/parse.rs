//! From pieces to nodes.

use super::lex::{self, Kind, Mistake, Piece, Word};
use super::{Branch, Command, Node, Operand, Pipeline, Place, Value, functions};

/// How deeply actions and parentheses may be nested.
const MAX_DEPTH: usize = 100;

/// Reads a template.
pub fn parse(text: &str, functions: &[&str]) -> Result<Vec<Node>, Mistake> {
    let pieces = lex::pieces(text)?;
    let end = Place { line: 1 + text.matches('\n').count(), column: 0 };
    let mut parser =
        Parser { text, pieces: pieces.into_iter(), functions, variables: vec!["$".into()], ranges: 0, depth: 0, end };
    let (nodes, ended) = parser.list()?;
    match ended {
        Ended::Text => Ok(nodes),
        Ended::End(place) => Err(at(place, "unexpected {{end}}")),
        Ended::Else(place, _) => Err(at(place, "unexpected {{else}}")),
    }
}

struct Parser<'a> {
    text: &'a str,
    pieces: std::vec::IntoIter<Piece<'a>>,
    functions: &'a [&'a str],
    /// The variables that are known here.
    variables: Vec<String>,
    ranges: usize,
    depth: usize,
    end: Place,
}

/// What ended a list of nodes.
enum Ended<'a> {
    Text,
    End(Place),
    /// `{{else}}`, with the words behind it (`if`, `with`).
    Else(Place, Vec<Word<'a>>),
}

fn at(place: Place, words: impl Into<String>) -> Mistake {
    Mistake { line: place.line, words: words.into() }
}

impl<'a> Parser<'a> {
    /// Nodes up to an `end`, an `else`, or the end of the text.
    fn list(&mut self) -> Result<(Vec<Node>, Ended<'a>), Mistake> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let words = match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.into()));
                    continue;
                }
                Piece::Action(words) => words,
            };
            let words: Vec<_> = trim(&words).to_vec();
            let Some(first) = words.first().copied() else {
                return Err(at(self.end, "missing value for command"));
            };
            let keyword = if first.kind == Kind::Identifier { first.text } else { "" };
            match keyword {
                "end" => return Ok((nodes, Ended::End(first.place))),
                "else" => return Ok((nodes, Ended::Else(first.place, trim(&words[1..]).to_vec()))),
                _ => nodes.push(self.node(keyword, first.place, &words)?),
            }
        }
        Ok((nodes, Ended::Text))
    }

    fn node(&mut self, keyword: &str, place: Place, words: &[Word<'a>]) -> Result<Node, Mistake> {
        match keyword {
            "if" => self.branch(Branch::If, "if", place, &words[1..]),
            "with" => self.branch(Branch::With, "with", place, &words[1..]),
            "range" => self.range(place, &words[1..]),
            "break" if self.ranges == 0 => Err(at(place, "{{break}} outside {{range}}")),
            "continue" if self.ranges == 0 => Err(at(place, "{{continue}} outside {{range}}")),
            "break" => Ok(Node::Break),
            "continue" => Ok(Node::Continue),
            "define" | "template" | "block" => Err(at(place, format!("{{{{{keyword}}}}} is not supported yet"))),
            _ => self.pipeline(words, place, "command").map(Node::Action),
        }
    }

    fn nested(&mut self, place: Place) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(at(place, format!("nested more than {MAX_DEPTH} times"))) } else { Ok(()) }
    }

    fn branch(&mut self, kind: Branch, name: &str, place: Place, words: &[Word<'a>]) -> Result<Node, Mistake> {
        self.nested(place)?;
        let known = self.variables.len();
        let condition = self.pipeline(words, place, name)?;
        let (then, ended) = self.list()?;
        let otherwise = self.otherwise(ended, Some(name))?;
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Branch { kind, condition, then, otherwise })
    }

    /// What follows the first list of a branch or range; `chained` is the keyword that may follow an `else`.
    fn otherwise(&mut self, ended: Ended<'a>, chained: Option<&str>) -> Result<Vec<Node>, Mistake> {
        let (place, words) = match ended {
            Ended::End(_) => return Ok(Vec::new()),
            Ended::Text => return Err(at(self.end, "unexpected EOF")),
            Ended::Else(place, words) => (place, words),
        };
        if let Some(first) = words.first() {
            return match chained {
                Some("if") if first.text == "if" => Ok(vec![self.branch(Branch::If, "if", place, &words[1..])?]),
                Some("with") if first.text == "with" => {
                    Ok(vec![self.branch(Branch::With, "with", place, &words[1..])?])
                }
                _ => Err(at(place, format!("unexpected <{}> in else", first.text))),
            };
        }
        let (nodes, ended) = self.list()?;
        match ended {
            Ended::End(_) => Ok(nodes),
            Ended::Else(place, _) => Err(at(place, "expected end; found {{else}}")),
            Ended::Text => Err(at(self.end, "unexpected EOF")),
        }
    }

    fn range(&mut self, place: Place, words: &[Word<'a>]) -> Result<Node, Mistake> {
        self.nested(place)?;
        let known = self.variables.len();
        let over = self.pipeline(words, place, "range")?;
        self.ranges += 1;
        let (body, ended) = self.list()?;
        self.ranges -= 1;
        let otherwise = self.otherwise(ended, None)?;
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Range { over, body, otherwise })
    }

    /// `$a, $b := command | command`; `context` names what misses a value.
    fn pipeline(&mut self, words: &[Word<'a>], place: Place, context: &str) -> Result<Pipeline, Mistake> {
        let mut words = trim(words);
        let (mut variables, mut declares) = (Vec::new(), false);
        if let Some(sign) = words.iter().position(|w| matches!(w.kind, Kind::Declare | Kind::Assign))
            && words[..sign].iter().all(|w| matches!(w.kind, Kind::Variable | Kind::Comma | Kind::Space))
        {
            declares = words[sign].kind == Kind::Declare;
            for word in words[..sign].iter().filter(|w| w.kind == Kind::Variable) {
                if !declares {
                    self.known(word)?;
                }
                variables.push(word.text.to_owned());
            }
            let most = if context == "range" { 2 } else { 1 };
            if variables.is_empty() || variables.len() > most {
                return Err(at(place, format!("too many declarations in {context}")));
            }
            words = trim(&words[sign + 1..]);
        }
        let mut commands = Vec::new();
        if words.is_empty() {
            return Err(at(place, format!("missing value for {context}")));
        }
        for part in split_at_pipes(words) {
            let part = trim(part);
            let Some(first) = part.first() else { return Err(at(place, format!("missing value for {context}"))) };
            commands.push(self.command(part, first.place)?);
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands })
    }

    /// Operands with blanks between them.
    fn command(&mut self, words: &[Word<'a>], place: Place) -> Result<Command, Mistake> {
        let (mut operands, mut i) = (Vec::new(), 0);
        while i < words.len() {
            if words[i].kind == Kind::Space {
                i += 1;
                continue;
            }
            let (operand, used) = self.operand(&words[i..])?;
            operands.push(operand);
            i += used;
        }
        let end = words.last().map_or(0, |w| w.start + w.text.len());
        let start = words.first().map_or(end, |w| w.start);
        Ok(Command { words: operands, place, text: self.text[start..end].into() })
    }

    /// An operand with the fields behind it, and how many words it has.
    fn operand(&mut self, words: &[Word<'a>]) -> Result<(Operand, usize), Mistake> {
        let word = words[0];
        let fields = |from: usize| -> Vec<String> {
            words[from..].iter().take_while(|w| w.kind == Kind::Field).map(|w| w.text[1..].to_owned()).collect()
        };
        let unexpected = || at(word.place, format!("unexpected <{}> in operand", word.text));
        let literal = |value: Value| Ok((Operand::Literal(value), 1));
        match word.kind {
            Kind::Dot => Ok((Operand::Dot, 1)),
            Kind::Field => {
                let chain = fields(0);
                let used = chain.len();
                Ok((Operand::Field(chain), used))
            }
            Kind::Variable => {
                self.known(&word)?;
                let chain = fields(1);
                let used = 1 + chain.len();
                Ok((Operand::Variable(word.text.to_owned(), chain), used))
            }
            Kind::Identifier => match word.text {
                "nil" => Ok((Operand::Nil, 1)),
                "true" => literal(Value::Bool(true)),
                "false" => literal(Value::Bool(false)),
                name if functions::is_known(name) || self.functions.contains(&name) => {
                    Ok((Operand::Function(name.to_owned()), 1))
                }
                name => Err(at(word.place, format!("function \"{name}\" not defined"))),
            },
            Kind::Number => number(word.text)
                .map(|value| (Operand::Literal(value), 1))
                .ok_or_else(|| at(word.place, format!("bad number syntax: \"{}\"", word.text))),
            Kind::Raw => literal(Value::text(&word.text[1..word.text.len() - 1])),
            Kind::String | Kind::Char => self.quoted(&word),
            Kind::Open => self.parentheses(words),
            Kind::Close => Err(at(word.place, "unexpected right paren")),
            Kind::Pipe | Kind::Declare | Kind::Assign | Kind::Comma | Kind::Space => Err(unexpected()),
        }
    }

    fn quoted(&self, word: &Word<'a>) -> Result<(Operand, usize), Mistake> {
        let inner = &word.text[1..word.text.len() - 1];
        let text = unescape(inner).ok_or_else(|| at(word.place, "invalid syntax"))?;
        if word.kind == Kind::String {
            return Ok((Operand::Literal(Value::text(&text)), 1));
        }
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(c), None) => Ok((Operand::Literal(Value::Int(u32::from(c).into())), 1)),
            _ => Err(at(word.place, format!("malformed character constant: {}", word.text))),
        }
    }

    fn parentheses(&mut self, words: &[Word<'a>]) -> Result<(Operand, usize), Mistake> {
        self.nested(words[0].place)?;
        let mut depth = 0;
        let close = words.iter().position(|w| {
            depth += i32::from(w.kind == Kind::Open) - i32::from(w.kind == Kind::Close);
            depth == 0
        });
        let close = close.ok_or_else(|| at(words[0].place, "unclosed left paren"));
        let Ok(close) = close else {
            // What is nested too deeply is told as such, whether or not it ends.
            if words.iter().filter(|w| w.kind == Kind::Open).count() > MAX_DEPTH {
                return Err(at(words[0].place, format!("nested more than {MAX_DEPTH} times")));
            }
            return Err(at(words[0].place, "unclosed left paren"));
        };
        let inner = self.pipeline(&words[1..close], words[0].place, "parenthesized pipeline")?;
        let chain: Vec<String> =
            words[close + 1..].iter().take_while(|w| w.kind == Kind::Field).map(|w| w.text[1..].to_owned()).collect();
        self.depth -= 1;
        let used = close + 1 + chain.len();
        Ok((Operand::Pipeline(Box::new(inner), chain), used))
    }

    fn known(&self, word: &Word<'a>) -> Result<(), Mistake> {
        if self.variables.iter().any(|v| v == word.text) {
            return Ok(());
        }
        Err(at(word.place, format!("undefined variable \"{}\"", word.text)))
    }
}

/// Words without the blanks around them.
fn trim<'s, 'a>(mut words: &'s [Word<'a>]) -> &'s [Word<'a>] {
    while let [Word { kind: Kind::Space, .. }, rest @ ..] = words {
        words = rest;
    }
    while let [rest @ .., Word { kind: Kind::Space, .. }] = words {
        words = rest;
    }
    words
}

/// The parts between the pipes that stand in no parentheses.
fn split_at_pipes<'s, 'a>(words: &'s [Word<'a>]) -> Vec<&'s [Word<'a>]> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (i, word) in words.iter().enumerate() {
        match word.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Pipe if depth == 0 => {
                parts.push(&words[from..i]);
                from = i + 1;
            }
            _ => (),
        }
    }
    parts.push(&words[from..]);
    parts
}

/// A number as Go writes it.
fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find_map(|(p, r)| Some((lower.strip_prefix(p)?, r)));
    let whole = match radix {
        Some((digits, radix)) => i64::from_str_radix(digits, radix).ok(),
        None if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
            i64::from_str_radix(&lower, 8).ok()
        }
        None => lower.parse().ok(),
    };
    whole.map(|n| Value::Int(sign * n)).or_else(|| Some(Value::Float(sign as f64 * plain.parse::<f64>().ok()?)))
}

/// A quoted constant without its escapes.
fn unescape(text: &str) -> Option<String> {
    let (mut out, mut letters) = (String::new(), text.chars());
    while let Some(c) = letters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match letters.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            c @ ('\\' | '\'' | '"') => c,
            'x' => code(&mut letters, 2)?,
            'u' => code(&mut letters, 4)?,
            'U' => code(&mut letters, 8)?,
            _ => return None,
        });
    }
    Some(out)
}

fn code(letters: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = letters.by_ref().take(digits).collect();
    u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
}
