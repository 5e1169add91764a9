//! Types and names are checked before any query comes: mistakes are found at the start, in the words of the Go library.

mod calls;
mod operators;

use super::Mistake;
use super::builtin::{Builtin, NOT_YET};
use super::environment::Names;
use super::tree::{Condition, Each, Kind, Member, Node, Operator};
use super::types::{Shape, Type};
use crate::expression;
use operators::{either, operation};

type Checked = Result<Type, Mistake>;

/// Checks a tree, and puts places of variables and compiled patterns into it; returns the type of the result.
///
/// # Errors
/// The first mistake.
pub fn check(node: &mut Node, names: &Names) -> Checked {
    let result = Checker { names, locals: Vec::new(), bodies: Vec::new() }.visit(node)?;
    match zero_division(node) {
        Some(at) => mistake(at, "integer divide by zero"),
        None => Ok(result),
    }
}

struct Checker<'a> {
    names: &'a Names,
    /// Variables of `let` around this place.
    locals: Vec<(Box<str>, Type)>,
    /// Bodies around this place.
    bodies: Vec<Body>,
}

/// What `#` and its kin mean in a body.
struct Body {
    list: Type,
    each: Each,
}

fn mistake<T>(at: usize, words: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake::new(at, words))
}

impl Checker<'_> {
    fn visit(&mut self, node: &mut Node) -> Checked {
        let at = node.at;
        match &mut node.kind {
            Kind::Nil => Ok(Type::Nil),
            Kind::Bool(_) | Kind::Matches(..) => Ok(Type::Bool),
            Kind::Int(_) => Ok(Type::Int),
            Kind::Float(_) => Ok(Type::Float),
            Kind::Text(_) => Ok(Type::Text),
            Kind::Name(_) => self.name(node),
            // These three come of an earlier look at the same part.
            Kind::Local(place) => Ok(self.locals[*place].1.clone()),
            Kind::Variable(place) => Ok(self.names.variable_type(*place)),
            Kind::Function(function) => Ok(Type::Function(*function)),
            Kind::Not(..) | Kind::Minus(_) | Kind::Plus(_) => self.unary(node),
            Kind::Logic(_, conditions) => self.logic(conditions),
            Kind::Binary(..) => self.binary(node),
            Kind::Comparisons(first, rest) => self.comparisons(first, rest),
            Kind::Member(member) => match environment_member(member) {
                Some(name) => {
                    let optional = member.optional;
                    node.kind = Kind::Name(name);
                    self.outer(node, optional)
                }
                None => self.member(at, member),
            },
            Kind::Chain(inner) => self.visit(inner),
            Kind::Slice(base, from, to) => self.slice(at, base, [from, to]),
            Kind::Call(callee, arguments) => self.call(at, callee, arguments),
            Kind::Builtin(builtin, arguments) => self.builtin(at, builtin, arguments),
            Kind::Each(each, arguments) => self.each(*each, arguments),
            Kind::Predicate(body) => self.visit(body),
            Kind::Pointer(name) => self.pointer(at, name),
            Kind::Let(name, parts) => self.declaration(at, name, parts),
            Kind::Sequence(nodes) => nodes.iter_mut().try_fold(Type::Unknown, |_, node| self.visit(node)),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &mut **parts;
                self.is_condition(condition)?;
                let (yes, no) = (self.visit(yes)?, self.visit(no)?);
                Ok(either(yes, no))
            }
            Kind::Elvis(parts) => {
                let [value, no] = &mut **parts;
                let yes = self.is_condition(value)?;
                let no = self.visit(no)?;
                Ok(either(yes, no))
            }
            Kind::Array(nodes) => self.array(nodes),
            Kind::Map(pairs) => {
                for part in pairs.iter_mut().flatten() {
                    self.visit(part)?;
                }
                Ok(Type::Map)
            }
        }
    }

    fn name(&mut self, node: &mut Node) -> Checked {
        let Kind::Name(name) = &node.kind else { return Ok(Type::Unknown) };
        if let Some(place) = self.locals.iter().rposition(|local| local.0 == *name) {
            node.kind = Kind::Local(place);
            return Ok(self.locals[place].1.clone());
        }
        if &**name == "$env" {
            return mistake(node.at, "$env is not supported but for $env.name");
        }
        self.outer(node, false)
    }

    /// A name that is no variable of `let`.
    fn outer(&self, node: &mut Node, optional: bool) -> Checked {
        let Kind::Name(name) = &node.kind else { return Ok(Type::Unknown) };
        if let Some((place, of)) = self.names.variable(name) {
            let of = of.clone();
            node.kind = Kind::Variable(place);
            return Ok(of);
        }
        if let Some(function) = self.names.function(name) {
            node.kind = Kind::Function(function);
            return Ok(Type::Function(function));
        }
        let known = Builtin::named(name).is_some() || Each::named(name).is_some();
        if known || NOT_YET.contains(&&**name) {
            return mistake(node.at, format!("function {name} that is not called is not supported yet"));
        }
        if optional {
            node.kind = Kind::Nil;
            return Ok(Type::Unknown);
        }
        mistake(node.at, format!("unknown name {name}"))
    }

    /// Conditions joined by `and` or `or`.
    fn logic(&mut self, conditions: &mut [Condition]) -> Checked {
        let mut left = None;
        for condition in conditions {
            let right = self.visit(&mut condition.node)?;
            left = Some(match left {
                Some(left) => operators::condition(condition.at, condition.word, &left, &right)?,
                None => right,
            });
        }
        Ok(Type::Bool)
    }

    fn comparisons(&mut self, first: &mut Node, rest: &mut [(usize, Operator, Node)]) -> Checked {
        let mut left = self.visit(first)?;
        for (at, operator, right) in rest {
            let right = self.visit(right)?;
            operation(*at, *operator, &left, &right)?;
            left = right;
        }
        Ok(Type::Bool)
    }

    fn slice(&mut self, at: usize, base: &mut Node, ends: [&mut Option<Box<Node>>; 2]) -> Checked {
        let of = self.visit(base)?;
        if !of.is_unknown() && !matches!(of.shape(), Shape::String | Shape::Slice) {
            return mistake(at, format!("cannot slice {of}"));
        }
        for index in ends.into_iter().flatten() {
            let index_type = self.visit(index)?.pointed_to();
            if !of.is_unknown() && !index_type.is_integer() && !index_type.is_unknown() {
                return mistake(index.at, format!("non-integer slice index {index_type}"));
            }
        }
        Ok(if of.is_unknown() { Type::Unknown } else { of })
    }

    fn unary(&mut self, node: &mut Node) -> Checked {
        let (word, operand) = match &mut node.kind {
            Kind::Not(word, operand) => (*word, operand),
            Kind::Minus(operand) => ("-", operand),
            Kind::Plus(operand) => ("+", operand),
            _ => return Ok(Type::Unknown),
        };
        let of = self.visit(operand)?.pointed_to();
        let not = matches!(word, "not" | "!");
        match of {
            _ if not && (of == Type::Bool || of.is_unknown()) => Ok(Type::Bool),
            _ if !not && of.is_unknown() => Ok(Type::Unknown),
            _ if !not && of.is_number() => Ok(of),
            _ => mistake(node.at, format!("invalid operation: {word} (mismatched type {of})")),
        }
    }

    fn binary(&mut self, node: &mut Node) -> Checked {
        let Kind::Binary(operator, both) = &mut node.kind else { return Ok(Type::Unknown) };
        let operator = *operator;
        let [left, right] = &mut **both;
        let (l, r) = (self.visit(left)?, self.visit(right)?);
        let pattern = match &right.kind {
            Kind::Text(pattern) if operator == Operator::Matches => {
                Some(expression::compile(pattern).map_err(|words| Mistake::new(node.at, words))?)
            }
            _ => None,
        };
        let of = operation(node.at, operator, &l, &r)?;
        if let Some(pattern) = pattern {
            let left = std::mem::replace(left, Node::new(0, Kind::Nil));
            node.kind = Kind::Matches(Box::new(left), pattern);
        }
        Ok(of)
    }

    fn pointer(&self, at: usize, name: &str) -> Checked {
        let Some(body) = self.bodies.last() else {
            return mistake(at, "cannot use pointer accessor outside predicate");
        };
        match (name, body.each) {
            ("", _) if body.list.is_unknown() => Ok(Type::Unknown),
            ("", _) => Ok(body.list.element()),
            ("index", Each::Map | Each::Reduce) => Ok(Type::Int),
            ("acc", Each::Reduce) => Ok(Type::Unknown),
            _ => mistake(at, format!("unknown pointer #{name}")),
        }
    }

    fn declaration(&mut self, at: usize, name: &str, parts: &mut [Node; 2]) -> Checked {
        if self.names.has(name) {
            return mistake(at, format!("cannot redeclare {name}"));
        }
        if Builtin::named(name).is_some() || Each::named(name).is_some() || NOT_YET.contains(&name) {
            return mistake(at, format!("cannot redeclare builtin {name}"));
        }
        if self.locals.iter().any(|local| *local.0 == *name) {
            return mistake(at, format!("cannot redeclare variable {name}"));
        }
        let [value, body] = parts;
        let of = self.visit(value)?;
        self.locals.push((name.into(), of));
        let result = self.visit(body);
        self.locals.pop();
        result
    }

    fn is_condition(&mut self, node: &mut Node) -> Checked {
        let of = self.visit(node)?;
        let seen = of.clone().pointed_to();
        if seen == Type::Bool || seen.is_unknown() {
            return Ok(of);
        }
        mistake(node.at, format!("non-bool expression (type {seen}) used as condition"))
    }

    fn array(&mut self, nodes: &mut [Node]) -> Checked {
        let (mut element, mut same) = (Type::Unknown, true);
        for (place, node) in nodes.iter_mut().enumerate() {
            let of = self.visit(node)?;
            same &= place == 0 || of.shape() == element.shape();
            element = of;
        }
        Ok(if same { element.list() } else { Type::List(None) })
    }
}

/// The name behind `$env.`
fn environment_member(member: &Member) -> Option<Box<str>> {
    match (&member.base.kind, &member.property.kind) {
        (Kind::Name(base), Kind::Text(name)) if &**base == "$env" => Some(name.clone()),
        _ => None,
    }
}

/// Where a whole number is divided by zero, for all to see.
fn zero_division(node: &Node) -> Option<usize> {
    if let Kind::Binary(Operator::Modulo, both) = &node.kind
        && is_literal(&both[0], |_| true)
        && is_literal(&both[1], |n| n == 0)
    {
        return Some(node.at);
    }
    let mut found = None;
    node.kind.parts(&mut |part| found = found.or_else(|| zero_division(part)));
    found
}

/// Whether a node is a whole number, with a sign or without, of a certain kind.
fn is_literal(node: &Node, which: fn(i64) -> bool) -> bool {
    match &node.kind {
        Kind::Int(n) => which(*n),
        Kind::Minus(inner) | Kind::Plus(inner) => is_literal(inner, which),
        _ => false,
    }
}
