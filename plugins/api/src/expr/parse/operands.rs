//! Operands that have parts: calls, lists, maps, members; and numbers.

use super::{Parsed, Parser};
use crate::expr::Mistake;
use crate::expr::builtin::Builtin;
use crate::expr::lex::{Token, TokenKind, is_word};
use crate::expr::tree::{Each, Kind, Member, Node};
use crate::gotext::quote;

/// Calls, and what has brackets.
impl Parser<'_> {
    /// A call of `name`, whose first argument may have been read already.
    pub(super) fn call(&mut self, name: Token, first: Option<Node>, hidden: bool) -> Parsed {
        let ours = hidden && (self.ours)(&name.text);
        if let Some(each) = Each::named(&name.text).filter(|_| !ours) {
            let arguments = self.each(each, first)?;
            return self.node(name.at, Kind::Each(each, arguments));
        }
        if let Some(builtin) = Builtin::named(&name.text).filter(|_| !ours) {
            let arguments = self.arguments(first)?;
            return self.node(name.at, Kind::Builtin(builtin, arguments));
        }
        let callee = self.node(name.at, Kind::Name(name.text.into()))?;
        let arguments = self.arguments(first)?;
        self.node(name.at, Kind::Call(Box::new(callee), arguments))
    }

    fn arguments(&mut self, first: Option<Node>) -> Parsed<Vec<Node>> {
        let mut arguments: Vec<Node> = first.into_iter().collect();
        let offset = arguments.len();
        self.expect("(")?;
        while !self.current.is(")") {
            if arguments.len() > offset {
                self.expect(",")?;
                if self.current.is(")") {
                    break;
                }
            }
            arguments.push(self.expression(0)?);
        }
        self.expect(")")?;
        Ok(arguments)
    }

    /// The arguments of a function with a body.
    fn each(&mut self, each: Each, first: Option<Node>) -> Parsed<Vec<Node>> {
        self.expect("(")?;
        let mut arguments: Vec<Node> = first.into_iter().collect();
        let read = arguments.len();
        let most = if each.takes_third() { 3 } else { 2 };
        for place in read..most {
            if self.current.is(")") {
                if place == 2 || place == 1 && !each.needs_body() {
                    break;
                }
                return Err(Mistake::new(self.current.at, format!("expected at least {} arguments", most - read)));
            }
            if place > read {
                self.expect(",")?;
            }
            let argument = if place == 1 { self.predicate()? } else { self.expression(0)? };
            arguments.push(argument);
        }
        self.accept(",")?;
        self.expect(")")?;
        Ok(arguments)
    }

    /// The body of a function.
    fn predicate(&mut self) -> Parsed {
        let at = self.current.at;
        self.bodies += 1;
        let node = if self.current.is("{") {
            self.next()?;
            self.sequence()?
        } else {
            let node = self.expression(0)?;
            if self.current.is(";") {
                return Err(Mistake::new(self.current.at, "wrap predicate with brackets { and }"));
            }
            self.bodies -= 1;
            return self.node(at, Kind::Predicate(Box::new(node)));
        };
        self.bodies -= 1;
        self.expect("}")?;
        self.node(at, Kind::Predicate(Box::new(node)))
    }

    pub(super) fn array(&mut self, at: usize) -> Parsed {
        let mut nodes = Vec::new();
        self.expect("[")?;
        while !self.current.is("]") {
            if !nodes.is_empty() {
                self.expect(",")?;
                if self.current.is("]") {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        self.expect("]")?;
        self.node(at, Kind::Array(nodes))
    }

    pub(super) fn map(&mut self, at: usize) -> Parsed {
        let mut pairs = Vec::new();
        self.expect("{")?;
        while !self.current.is("}") {
            if !pairs.is_empty() {
                self.expect(",")?;
                if self.current.is("}") {
                    break;
                }
                if self.current.is(",") {
                    return Err(self.current.unexpected());
                }
            }
            let key = self.key()?;
            self.expect(":")?;
            pairs.push([key, self.expression(0)?]);
        }
        self.expect("}")?;
        self.node(at, Kind::Map(pairs))
    }

    fn key(&mut self) -> Parsed {
        let at = self.current.at;
        match self.current.kind {
            TokenKind::Number | TokenKind::String | TokenKind::Identifier => {
                let text = self.next()?.text;
                self.node(at, Kind::Text(text.into()))
            }
            _ if self.current.is("(") => self.expression(0),
            _ => {
                let words = "a map key must be a quoted string, a number, a identifier, or an expression enclosed in \
                             parentheses (unexpected token";
                Err(Mistake::new(at, format!("{words} {})", self.current.shown())))
            }
        }
    }

    /// Members, indices and slices behind `node`.
    pub(super) fn postfix(&mut self, mut node: Node) -> Parsed {
        loop {
            let optional = self.current.is("?.");
            if optional || self.current.is(".") {
                self.next()?;
                node = if optional && self.current.is("[") {
                    self.index(node, true)?
                } else {
                    self.member(node, optional)?
                };
            } else if self.current.is("[") {
                node = self.index(node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, base: Node, optional: bool) -> Parsed {
        let name = self.next()?;
        if name.kind == TokenKind::End {
            return Err(Mistake::new(name.at, "unexpected end of expression"));
        }
        let word = name.kind == TokenKind::Operator && name.text.chars().all(is_word);
        if name.kind != TokenKind::Identifier && !word {
            return Err(Mistake::new(self.current.at, "expected name"));
        }
        let property = self.node(name.at, Kind::Text(name.text.into()))?;
        let (chained, base) = match base.kind {
            Kind::Chain(inner) => (true, *inner),
            kind => (false, Node { kind, ..base }),
        };
        let method = self.current.is("(");
        let mut node = self.node(name.at, Kind::Member(Box::new(Member { base, property, optional, method })))?;
        if method {
            let arguments = self.arguments(None)?;
            node = self.node(name.at, Kind::Call(Box::new(node), arguments))?;
        }
        if chained || optional { self.node(name.at, Kind::Chain(Box::new(node))) } else { Ok(node) }
    }

    /// `[x]`, `[x:y]`
    fn index(&mut self, base: Node, optional: bool) -> Parsed {
        let at = self.current.at;
        self.expect("[")?;
        let from = if self.current.is(":") { None } else { Some(self.expression(0)?) };
        if self.accept(":")? {
            let to = if self.current.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            let node = self.node(at, Kind::Slice(Box::new(base), from.map(Box::new), to))?;
            self.expect("]")?;
            return Ok(node);
        }
        let Some(property) = from else { return Err(self.current.unexpected()) };
        let member = Member { base, property, optional, method: false };
        let mut node = self.node(at, Kind::Member(Box::new(member)))?;
        if optional {
            node = self.node(at, Kind::Chain(Box::new(node)))?;
        }
        self.expect("]")?;
        Ok(node)
    }
}

/// A number of any base.
pub fn number(text: &str) -> Result<Kind, String> {
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    let based = [("0x", 16, "hex"), ("0b", 2, "binary"), ("0o", 8, "octal")];
    if let Some((prefix, base, name)) = based.iter().find(|b| lower.starts_with(b.0))
        && (*base == 16 || !lower.contains(['.', 'e']))
    {
        let number = i64::from_str_radix(&lower[prefix.len()..], *base);
        return number
            .map(Kind::Int)
            .map_err(|e| format!("invalid {name} literal: {}", fault("ParseInt", &digits, &e)));
    }
    if lower.contains(['.', 'e']) {
        let number = lower.parse::<f64>().map_err(|_| "invalid syntax");
        let number = number.and_then(|n| if n.is_finite() { Ok(n) } else { Err("value out of range") });
        let said = |why| format!("invalid float literal: strconv.ParseFloat: parsing {}: {why}", quote(&digits));
        return number.map(Kind::Float).map_err(said);
    }
    lower.parse().map(Kind::Int).map_err(|e| format!("invalid integer literal: {}", fault("ParseInt", &digits, &e)))
}

/// Go's words for a number that cannot be read.
fn fault(function: &str, digits: &str, e: &std::num::ParseIntError) -> String {
    let out_of_range = *e.kind() == std::num::IntErrorKind::PosOverflow;
    let why = if out_of_range { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {}: {why}", quote(digits))
}
