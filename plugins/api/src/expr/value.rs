//! Values, what they cost, and how they compare.

use super::environment::Function;
use crate::clock::Clock;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Steps that one evaluation may take: parts evaluated, elements of lists and every eighth octet of texts that are made or
/// compared. Bounds time and memory.
const MAX_STEPS: u32 = 100_000;
/// How deeply lists and maps may be nested: bounds the stack that comparing and printing them need.
const MAX_NESTED: u8 = 64;

/// A value while an expression is evaluated.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Text<'a>),
    /// A list.
    List(Rc<List<'a>>),
    /// A map.
    Map(Rc<Map<'a>>),
    /// A function about the query.
    Function(Function),
    /// A point of time.
    Time(Rc<Zoned>),
    /// A span of time, in nanoseconds.
    Duration(i64),
    /// A month, from 1 on.
    Month(i8),
    /// A day of the week, Sunday being 0.
    Weekday(i8),
    /// A time zone.
    Zone(Rc<TimeZone>),
}

/// A text that lives as long as expression and query, or one that was made.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// A part of the expression or of the query.
    Borrowed(&'a str),
    /// Made.
    Made(Rc<str>),
}

/// A list.
#[derive(Debug)]
pub struct List<'a> {
    items: Box<[Value<'a>]>,
    nested: u8,
}

/// A map: keys, which are all different, with values, in the order of the keys.
#[derive(Debug)]
pub struct Map<'a> {
    entries: Box<[(Value<'a>, Value<'a>)]>,
    nested: u8,
    /// Nothing but texts is looked for in it.
    of_texts: bool,
}

/// Why an expression has no value for a query.
#[derive(Debug)]
pub enum Failure {
    /// What went wrong.
    Words(String),
    /// A `?.` behind nothing; ends at the chain around it.
    NothingThere,
}

impl Failure {
    /// For this reason.
    pub fn new(words: impl Into<String>) -> Failure {
        Failure::Words(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Words(words) => f.write_str(words),
            Failure::NothingThere => f.write_str("nil has no members"),
        }
    }
}

/// What an evaluation may use: steps, as many as are left, and the time.
pub struct Meter {
    steps: Cell<u32>,
    clock: Clock,
}

impl Meter {
    /// For one evaluation.
    pub fn full(clock: Clock) -> Meter {
        Meter { steps: Cell::new(MAX_STEPS), clock }
    }

    /// Time since 1970 (UTC).
    pub fn unix(&self) -> Duration {
        self.clock.unix()
    }

    /// Takes steps.
    pub fn spend(&self, steps: usize) -> Result<(), Failure> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.get().checked_sub(steps));
        self.steps.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(|| Failure::new("the expression needs too much work"))
    }

    /// A list of these elements.
    pub fn list<'a>(&self, items: Vec<Value<'a>>) -> Result<Value<'a>, Failure> {
        Ok(Value::List(Rc::new(self.new_list(items)?)))
    }

    /// The same, as a list.
    pub fn new_list<'a>(&self, items: Vec<Value<'a>>) -> Result<List<'a>, Failure> {
        self.spend(items.len())?;
        let nested = nesting(items.iter())?;
        Ok(List { items: items.into(), nested })
    }

    /// A map of these entries, the keys of which may be anything; of the same key the last one counts.
    pub fn map<'a>(&self, entries: Vec<(Value<'a>, Value<'a>)>) -> Result<Value<'a>, Failure> {
        Ok(Value::Map(Rc::new(self.new_map(entries)?)))
    }

    /// A map with texts as keys.
    pub fn map_of_texts<'a>(&self, entries: Vec<(Value<'a>, Value<'a>)>) -> Result<Value<'a>, Failure> {
        Ok(Value::Map(Rc::new(Map { of_texts: true, ..self.new_map(entries)? })))
    }

    fn new_map<'a>(&self, mut entries: Vec<(Value<'a>, Value<'a>)>) -> Result<Map<'a>, Failure> {
        self.spend(entries.len() * 2)?;
        let nested = nesting(entries.iter().flat_map(|e| [&e.0, &e.1]))?;
        entries.reverse();
        let rank = |v: &Value<'_>| (v.rank(), v.number().unwrap_or(0.0));
        entries.sort_by(|a, b| match (&a.0, &b.0) {
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (a, b) => rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal),
        });
        entries.dedup_by(|later, first| same_key(&later.0, &first.0));
        Ok(Map { entries: entries.into(), nested, of_texts: false })
    }

    /// A text that was made.
    pub fn text<'a>(&self, text: &str) -> Result<Value<'a>, Failure> {
        self.spend(text.len() / 8)?;
        Ok(Value::owned(text))
    }

    /// Whether two values are the same; numbers of both kinds can be (Go library's `Equal`).
    pub fn equal(&self, a: &Value<'_>, b: &Value<'_>) -> Result<bool, Failure> {
        self.spend(1)?;
        Ok(match (a, b) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                self.spend(a.len().min(b.len()) / 8)?;
                **a == **b
            }
            (Value::List(a), Value::List(b)) => {
                if a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => self.equal_maps(a, b)?,
            (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp(),
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Month(a), Value::Month(b)) | (Value::Weekday(a), Value::Weekday(b)) => a == b,
            (Value::Zone(a), Value::Zone(b)) => a == b,
            (a, b) => a.number().is_some() && a.number() == b.number(),
        })
    }

    fn equal_maps(&self, a: &Map<'_>, b: &Map<'_>) -> Result<bool, Failure> {
        if a.entries.len() != b.entries.len() {
            return Ok(false);
        }
        for (a, b) in a.entries.iter().zip(&b.entries) {
            if !same_key(&a.0, &b.0) || !self.equal(&a.1, &b.1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value of a key.
    pub fn find<'v, 'a>(&self, map: &'v Map<'a>, key: &Value<'_>) -> Result<Option<&'v Value<'a>>, Failure> {
        self.spend(map.entries.len())?;
        let key = match key {
            // As in Go, where the key that stands for none is the empty one.
            Value::Nil if map.of_texts => &Value::Text(Text::Borrowed("")),
            Value::Text(_) => key,
            other if map.of_texts => return Err(Failure::new(format!("{} is no key", other.kind()))),
            other => other,
        };
        Ok(map.entries.iter().find(|e| same_key(&e.0, key)).map(|e| &e.1))
    }
}

/// How deeply lists of these values are nested.
fn nesting<'v, 'a: 'v>(parts: impl Iterator<Item = &'v Value<'a>>) -> Result<u8, Failure> {
    let deepest = parts.map(|v| match v {
        Value::List(list) => list.nested,
        Value::Map(map) => map.nested,
        _ => 0,
    });
    match deepest.max().unwrap_or(0) + 1 {
        nested @ ..=MAX_NESTED => Ok(nested),
        _ => Err(Failure::new(format!("lists are nested more than {MAX_NESTED} times"))),
    }
}

/// Whether two keys are the same: also of the same kind.
pub fn same_key(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => **a == **b,
        _ => false,
    }
}

impl<'a> List<'a> {
    /// The elements.
    pub fn items(&self) -> &[Value<'a>] {
        &self.items
    }
}

impl<'a> Map<'a> {
    /// Keys and values.
    pub fn entries(&self) -> &[(Value<'a>, Value<'a>)] {
        &self.entries
    }
}

impl<'a> Value<'a> {
    /// A text that was made.
    pub fn owned(text: &str) -> Value<'a> {
        Value::Text(Text::Made(text.into()))
    }

    /// As Go prints it.
    ///
    /// # Errors
    /// That is too long.
    pub fn shown(&self) -> Result<String, Failure> {
        super::print::text(&Meter::full(Clock::system()), self)
    }

    /// The text that it is.
    pub fn text(&self) -> Result<&str, Failure> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(Failure::new(format!("{} is no text", other.kind()))),
        }
    }

    /// The truth value that it is.
    pub fn truth(&self) -> Result<bool, Failure> {
        match self {
            Value::Bool(b) => Ok(*b),
            other => Err(Failure::new(format!("{} is no truth value", other.kind()))),
        }
    }

    /// The elements that it has.
    pub fn items(&self) -> Result<&[Value<'a>], Failure> {
        match self {
            Value::List(list) => Ok(&list.items),
            other => Err(Failure::new(format!("{} is no list", other.kind()))),
        }
    }

    /// The whole number that it is, without its fraction (the Go library's `ToInt`).
    pub fn int(&self) -> Result<i64, Failure> {
        match self {
            Value::Int(n) => Ok(*n),
            Value::Float(n) => Ok(*n as i64),
            Value::Duration(n) => Ok(*n),
            Value::Month(n) | Value::Weekday(n) => Ok((*n).into()),
            other => Err(Failure::new(format!("{} is no number", other.kind()))),
        }
    }

    /// The number that it is.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Function(_) => "a function",
            Value::Time(_) => "a time",
            Value::Duration(_) => "a duration",
            Value::Month(_) => "a month",
            Value::Weekday(_) => "a day of the week",
            Value::Zone(_) => "a time zone",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Nil => 0,
            Value::Bool(false) => 1,
            Value::Bool(true) => 2,
            Value::Int(_) => 3,
            Value::Float(_) => 4,
            Value::Text(_) => 5,
            _ => 6,
        }
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Made(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text::Borrowed(text)
    }
}
