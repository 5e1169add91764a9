//! From a checked tree to a value.

mod each;

use super::environment::Facts;
use super::numbers;
use super::order::order;
use super::time;
use super::tree::{Kind, Logic, Member, Node, Operator};
use super::value::{Failure, List, Meter, Text, Value};
use crate::expression;
use std::cmp::Ordering;

type Evaluated<'a> = Result<Value<'a>, Failure>;

/// Steps that compiling a pattern counts, which is only known when a query comes.
const PATTERN: usize = 10_000;
/// Octets of the longest such pattern.
const MAX_PATTERN: usize = 256;

/// One evaluation.
pub struct Evaluation<'a, 'v> {
    facts: &'a Facts<'a>,
    variables: &'v [Value<'a>],
    meter: Meter,
    locals: Vec<Value<'a>>,
    bodies: Vec<Body<'a>>,
}

/// What `#` and its kin stand for.
struct Body<'a> {
    element: Value<'a>,
    index: usize,
    sum: Value<'a>,
}

impl<'a, 'v> Evaluation<'a, 'v> {
    /// With these facts and variables.
    pub fn new(facts: &'a Facts<'a>, variables: &'v [Value<'a>]) -> Self {
        Evaluation { facts, variables, meter: Meter::full(facts.clock()), locals: Vec::new(), bodies: Vec::new() }
    }

    /// The value of a tree.
    ///
    /// # Errors
    /// It has none for this query.
    pub fn value(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.meter.spend(1)?;
        match &node.kind {
            Kind::Nil | Kind::Name(_) => Ok(Value::Nil),
            Kind::Bool(b) => Ok(Value::Bool(*b)),
            Kind::Int(n) => Ok(Value::Int(*n)),
            Kind::Float(n) => Ok(Value::Float(*n)),
            Kind::Text(text) => Ok(Value::Text((**text).into())),
            Kind::Local(place) => Ok(self.locals.get(*place).cloned().unwrap_or(Value::Nil)),
            Kind::Variable(place) => Ok(self.variables.get(*place).cloned().unwrap_or(Value::Nil)),
            Kind::Function(function) => Ok(Value::Function(*function)),
            Kind::Not(_, operand) => Ok(Value::Bool(!self.value(operand)?.truth()?)),
            Kind::Minus(operand) => numbers::negate(&self.value(operand)?),
            Kind::Plus(operand) | Kind::Predicate(operand) => self.value(operand),
            Kind::Logic(logic, conditions) => self.logic(*logic, conditions.iter().map(|c| &c.node)),
            Kind::Binary(operator, both) => self.binary(*operator, both),
            Kind::Comparisons(first, rest) => self.comparisons(first, rest),
            Kind::Matches(left, pattern) => Ok(Value::Bool(match self.value(left)? {
                Value::Nil => false,
                text => pattern.is_match(text.text()?),
            })),
            Kind::Member(member) => self.member(member),
            Kind::Chain(inner) => match self.value(inner) {
                Err(Failure::NothingThere) => Ok(Value::Nil),
                other => other,
            },
            Kind::Slice(base, from, to) => self.slice(base, from.as_deref(), to.as_deref()),
            Kind::Call(callee, arguments) => self.call(callee, arguments),
            Kind::Builtin(builtin, arguments) => {
                self.with_values(arguments, |this, values| (builtin.run)(&this.meter, values))
            }
            Kind::Each(each, arguments) => self.each(*each, arguments),
            Kind::Pointer(name) => self.pointer(name),
            Kind::Let(_, parts) => self.declaration(parts),
            Kind::Sequence(nodes) => nodes.iter().try_fold(Value::Nil, |_, node| self.value(node)),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::Elvis(parts) => self.elvis(parts),
            Kind::Array(nodes) => {
                let items = self.values(nodes)?;
                self.meter.list(items)
            }
            Kind::Map(pairs) => self.map(pairs),
        }
    }

    fn declaration(&mut self, parts: &'a [Node; 2]) -> Evaluated<'a> {
        let value = self.value(&parts[0])?;
        self.locals.push(value);
        let result = self.value(&parts[1]);
        self.locals.pop();
        result
    }

    fn conditional(&mut self, [condition, yes, no]: &'a [Node; 3]) -> Evaluated<'a> {
        let chosen = if self.value(condition)?.truth()? { yes } else { no };
        self.value(chosen)
    }

    /// `x ?: y`
    fn elvis(&mut self, [value, no]: &'a [Node; 2]) -> Evaluated<'a> {
        let value = self.value(value)?;
        if value.truth()? { Ok(value) } else { self.value(no) }
    }

    /// Calls `then` with the values of `nodes`; few of them need no allocation.
    fn with_values(
        &mut self,
        nodes: &'a [Node],
        then: impl FnOnce(&mut Self, &[Value<'a>]) -> Evaluated<'a>,
    ) -> Evaluated<'a> {
        match nodes {
            [] => then(self, &[]),
            [one] => {
                let values = [self.value(one)?];
                then(self, &values)
            }
            [one, two] => {
                let values = [self.value(one)?, self.value(two)?];
                then(self, &values)
            }
            more => {
                let values = self.values(more)?;
                then(self, &values)
            }
        }
    }

    fn values(&mut self, nodes: &'a [Node]) -> Result<Vec<Value<'a>>, Failure> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    fn map(&mut self, pairs: &'a [[Node; 2]]) -> Evaluated<'a> {
        let mut entries = Vec::with_capacity(pairs.len());
        for [key, value] in pairs {
            let key = self.value(key)?;
            key.text()?;
            entries.push((key, self.value(value)?));
        }
        // Of the same key the first one counts.
        entries.reverse();
        self.meter.map_of_texts(entries)
    }

    /// Conditions up to the one that decides; the last one counts as it is.
    fn logic(&mut self, logic: Logic, conditions: impl ExactSizeIterator<Item = &'a Node>) -> Evaluated<'a> {
        let last = conditions.len().saturating_sub(1);
        for (place, condition) in conditions.enumerate() {
            let value = self.value(condition)?;
            if place == last || value.truth()? == (logic == Logic::Or) {
                return Ok(value);
            }
        }
        Ok(Value::Nil)
    }

    fn comparisons(&mut self, first: &'a Node, rest: &'a [(usize, Operator, Node)]) -> Evaluated<'a> {
        let mut left = self.value(first)?;
        for (_, operator, right) in rest {
            let right = self.value(right)?;
            if !self.compare(*operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn binary(&mut self, operator: Operator, both: &'a [Node; 2]) -> Evaluated<'a> {
        let [left, right] = both;
        let l = self.value(left)?;
        match (operator, &right.kind) {
            (Operator::Coalesce, _) => {
                return if let Value::Nil = l { self.value(right) } else { Ok(l) };
            }
            (Operator::In, Kind::Binary(Operator::Range, ends)) => return self.in_range(&l, ends),
            (Operator::In, Kind::Array(nodes)) => return self.in_array(&l, nodes),
            _ => (),
        }
        let r = self.value(right)?;
        Ok(match operator {
            Operator::Equal => Value::Bool(self.meter.equal(&l, &r)?),
            Operator::Unequal => Value::Bool(!self.meter.equal(&l, &r)?),
            Operator::Less | Operator::More | Operator::LessOrEqual | Operator::MoreOrEqual => {
                Value::Bool(self.compare(operator, &l, &r)?)
            }
            Operator::In => Value::Bool(self.contained(&l, &r)?),
            Operator::Matches | Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
                Value::Bool(self.search(operator, &l, &r)?)
            }
            Operator::Range => self.range(l.int()?, r.int()?)?,
            Operator::Add => match (&l, &r) {
                (Value::Text(a), Value::Text(b)) => {
                    self.meter.spend((a.len() + b.len()) / 8)?;
                    Value::owned(&[&**a, &**b].concat())
                }
                _ => time::add(&l, &r).unwrap_or_else(|| numbers::add(&l, &r))?,
            },
            Operator::Subtract => time::subtract(&l, &r).unwrap_or_else(|| numbers::subtract(&l, &r))?,
            Operator::Multiply => time::multiply(&l, &r).unwrap_or_else(|| numbers::multiply(&l, &r))?,
            Operator::Divide => numbers::divide(&l, &r)?,
            Operator::Modulo => numbers::modulo(&l, &r)?,
            Operator::Power | Operator::Caret => numbers::power(&l, &r)?,
            Operator::Coalesce => Value::Nil,
        })
    }

    fn compare(&self, operator: Operator, l: &Value<'_>, r: &Value<'_>) -> Result<bool, Failure> {
        let order = order(&self.meter, l, r)?;
        Ok(match operator {
            Operator::Less => order == Some(Ordering::Less),
            Operator::More => order == Some(Ordering::Greater),
            Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn search(&self, operator: Operator, l: &Value<'_>, r: &Value<'_>) -> Result<bool, Failure> {
        if let (Value::Nil, _) | (_, Value::Nil) = (l, r) {
            return Ok(false);
        }
        let (text, part) = (l.text()?, r.text()?);
        self.meter.spend(text.len() / 8)?;
        Ok(match operator {
            Operator::Contains => text.contains(part),
            Operator::StartsWith => text.starts_with(part),
            Operator::EndsWith => text.ends_with(part),
            _ => {
                self.meter.spend(PATTERN)?;
                if part.len() > MAX_PATTERN {
                    return Err(Failure::new(format!("a pattern has more than {MAX_PATTERN} octets")));
                }
                expression::compile(part).map_err(Failure::Words)?.is_match(text)
            }
        })
    }

    fn range(&self, from: i64, to: i64) -> Evaluated<'a> {
        let count = to.saturating_sub(from).saturating_add(1).max(0);
        self.meter.spend(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.meter.list((from..from.saturating_add(count)).map(Value::Int).collect())
    }

    /// `x in 1..9`, without making the list.
    fn in_range(&mut self, needle: &Value<'_>, ends: &'a [Node; 2]) -> Evaluated<'a> {
        let (from, to) = (self.value(&ends[0])?.int()?, self.value(&ends[1])?.int()?);
        Ok(Value::Bool(match needle {
            Value::Int(n) => (from..=to).contains(n),
            Value::Float(n) => n.fract() == 0.0 && from as f64 <= *n && *n <= to as f64,
            _ => false,
        }))
    }

    /// `x in [y, z]`, without making the list.
    fn in_array(&mut self, needle: &Value<'_>, nodes: &'a [Node]) -> Evaluated<'a> {
        for node in nodes {
            let value = self.value(node)?;
            if self.meter.equal(needle, &value)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn contained(&self, needle: &Value<'_>, of: &Value<'_>) -> Result<bool, Failure> {
        match of {
            Value::Nil => Ok(false),
            Value::Map(map) => Ok(self.meter.find(map, needle)?.is_some()),
            of => {
                for item in of.items()? {
                    if self.meter.equal(item, needle)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn member(&mut self, member: &'a Member) -> Evaluated<'a> {
        let base = self.value(&member.base)?;
        if let (true, Value::Nil) = (member.optional, &base) {
            return Err(Failure::NothingThere);
        }
        let property = self.value(&member.property)?;
        match &base {
            Value::Map(map) => Ok(self.meter.find(map, &property)?.cloned().unwrap_or(Value::Nil)),
            Value::List(list) => at(list, property.int()?).cloned().ok_or_else(|| Failure::new("index out of range")),
            Value::Text(text) => octet(text, property.int()?).ok_or_else(|| Failure::new("index out of range")),
            other => Err(Failure::new(format!("{} has no members", other.kind()))),
        }
    }

    fn slice(&mut self, base: &'a Node, from: Option<&'a Node>, to: Option<&'a Node>) -> Evaluated<'a> {
        let base = self.value(base)?;
        let len = match &base {
            Value::Text(text) => text.len(),
            other => other.items()?.len(),
        };
        let mut end = |node: Option<&'a Node>, default| match node {
            None => Ok(default),
            Some(node) => self.value(node)?.int().map(|n| bound(n, len)),
        };
        let to = end(to, len)?;
        let from = end(from, 0)?.min(to);
        match &base {
            Value::Text(Text::Borrowed(text)) => part(text, from, to).map(|part| Value::Text(part.into())),
            Value::Text(text) => self.meter.text(part(text, from, to)?),
            other => self.meter.list(other.items()?[from..to].to_vec()),
        }
    }

    fn call(&mut self, callee: &'a Node, arguments: &'a [Node]) -> Evaluated<'a> {
        if let Kind::Member(member) = &callee.kind
            && let (true, Kind::Text(name)) = (member.method, &member.property.kind)
        {
            return self.method(member, name, arguments);
        }
        let Value::Function(function) = self.value(callee)? else {
            return Err(Failure::new("what is called is no function"));
        };
        self.with_values(arguments, |this, values| this.facts.call(function, values))
    }

    fn method(&mut self, member: &'a Member, name: &str, arguments: &'a [Node]) -> Evaluated<'a> {
        let of = self.value(&member.base)?;
        if let (true, Value::Nil) = (member.optional, &of) {
            return Err(Failure::NothingThere);
        }
        self.with_values(arguments, |this, values| time::call(&this.meter, &of, name, values))
    }

    fn pointer(&self, name: &str) -> Evaluated<'a> {
        let Some(body) = self.bodies.last() else { return Err(Failure::new("there is no list around")) };
        Ok(match name {
            "index" => Value::Int(i64::try_from(body.index).unwrap_or(i64::MAX)),
            "acc" => body.sum.clone(),
            _ => body.element.clone(),
        })
    }
}

/// The element at an index, from the end where that is negative.
pub fn at<'v, 'a>(list: &'v List<'a>, index: i64) -> Option<&'v Value<'a>> {
    place(index, list.items().len()).and_then(|i| list.items().get(i))
}

/// The octet of a text at an index.
pub fn octet<'a>(text: &str, index: i64) -> Option<Value<'a>> {
    place(index, text.len()).and_then(|i| text.as_bytes().get(i)).map(|b| Value::Int((*b).into()))
}

/// The place that an index means, from the end where it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if index < 0 { index.checked_add(len)? } else { index }).ok()
}

/// The end of a slice that an index means.
fn bound(index: i64, len: usize) -> usize {
    place(index, len).unwrap_or(0).min(len)
}

/// A part of a text, which must not cut a letter in two.
fn part(text: &str, from: usize, to: usize) -> Result<&str, Failure> {
    text.get(from..to).ok_or_else(|| Failure::new("a slice cuts a letter in two"))
}
