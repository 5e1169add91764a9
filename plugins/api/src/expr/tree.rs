//! What the parser makes of the tokens, and the checker completes.

use super::builtin::Builtin;
use super::environment::Function;
use crate::expression::Regex;

/// A part of an expression.
#[derive(Debug)]
pub struct Node {
    /// Letters in front of what messages point to.
    pub at: usize,
    /// What it is.
    pub kind: Kind,
    /// How deeply it is nested: nodes on the longest way down.
    pub depth: u16,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A text.
    Text(Box<str>),
    /// A name; the checker makes one of the three below of it.
    Name(Box<str>),
    /// A variable of `let`: how many there are around it.
    Local(usize),
    /// A variable of those who use the expression.
    Variable(usize),
    /// A function that is not called here.
    Function(Function),
    /// `not x`, `!x`
    Not(&'static str, Box<Node>),
    /// `-x`
    Minus(Box<Node>),
    /// `+x`
    Plus(Box<Node>),
    /// `x and y and z`, `x or y`
    Logic(Logic, Vec<Condition>),
    /// An operator between two operands.
    Binary(Operator, Box<[Node; 2]>),
    /// `x < y <= z`: the first operand, then operators with their places and operands.
    Comparisons(Box<Node>, Vec<(usize, Operator, Node)>),
    /// `x matches 'pattern'`
    Matches(Box<Node>, Regex),
    /// `x.y`, `x[y]`
    Member(Box<Member>),
    /// Ends at the first `?.` behind nothing.
    Chain(Box<Node>),
    /// `x[y:z]`
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    /// A call of a name or of a member.
    Call(Box<Node>, Vec<Node>),
    /// A call of a function of the language.
    Builtin(&'static Builtin, Vec<Node>),
    /// A call with a body for each element: the list, the body (not for all of them), what follows.
    Each(Each, Vec<Node>),
    /// The body in braces or without.
    Predicate(Box<Node>),
    /// `#`, `#index`, `#acc`
    Pointer(Box<str>),
    /// `let x = y; z`
    Let(Box<str>, Box<[Node; 2]>),
    /// `x; y`: the last one counts.
    Sequence(Vec<Node>),
    /// `x ? y : z`, `if x { y } else { z }`
    Conditional(Box<[Node; 3]>),
    /// `x ?: z`
    Elvis(Box<[Node; 2]>),
    /// `[x, y]`
    Array(Vec<Node>),
    /// `{x: y}`
    Map(Vec<[Node; 2]>),
}

impl Node {
    /// A node, as deep as its parts make it.
    pub fn new(at: usize, kind: Kind) -> Node {
        let mut deepest = 0;
        kind.parts(&mut |part| deepest = deepest.max(part.depth));
        Node { at, kind, depth: deepest.saturating_add(1) }
    }
}

impl Kind {
    /// The nodes right below.
    pub fn parts<'a>(&'a self, each: &mut dyn FnMut(&'a Node)) {
        match self {
            Kind::Nil | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => (),
            Kind::Name(_) | Kind::Local(_) | Kind::Variable(_) | Kind::Function(_) | Kind::Pointer(_) => (),
            Kind::Not(_, x) | Kind::Minus(x) | Kind::Plus(x) | Kind::Matches(x, _) | Kind::Chain(x) => each(x),
            Kind::Predicate(x) => each(x),
            Kind::Logic(_, conditions) => conditions.iter().for_each(|c| each(&c.node)),
            Kind::Binary(_, both) | Kind::Let(_, both) | Kind::Elvis(both) => both.iter().for_each(each),
            Kind::Comparisons(first, rest) => {
                each(first);
                rest.iter().for_each(|r| each(&r.2));
            }
            Kind::Member(member) => [&member.base, &member.property].into_iter().for_each(each),
            Kind::Slice(base, from, to) => {
                each(base);
                [from, to].into_iter().flatten().for_each(|n| each(n));
            }
            Kind::Call(callee, arguments) => {
                each(callee);
                arguments.iter().for_each(each);
            }
            Kind::Builtin(_, nodes) | Kind::Each(_, nodes) | Kind::Sequence(nodes) | Kind::Array(nodes) => {
                nodes.iter().for_each(each);
            }
            Kind::Conditional(three) => three.iter().for_each(each),
            Kind::Map(pairs) => pairs.iter().flatten().for_each(each),
        }
    }
}

/// `x.y`
#[derive(Debug)]
pub struct Member {
    /// What has the member.
    pub base: Node,
    /// Its name or index.
    pub property: Node,
    /// `?.`: nothing has no members, and that is all right.
    pub optional: bool,
    /// It is called.
    pub method: bool,
}

/// One of several conditions.
#[derive(Debug)]
pub struct Condition {
    /// Place of the operator in front of it.
    pub at: usize,
    /// The operator in front of it as it is written; empty for the first one.
    pub word: &'static str,
    /// The condition.
    pub node: Node,
}

/// What joins conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    Unequal,
    Less,
    More,
    LessOrEqual,
    MoreOrEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Caret,
    Coalesce,
}

/// Functions with a body for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
    Sum,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    GroupBy,
    SortBy,
    Reduce,
}

impl Each {
    /// The function of a name.
    pub fn named(name: &str) -> Option<Each> {
        EACH.iter().find(|e| e.1 == name).map(|e| e.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        EACH.iter().find(|e| e.0 == self).map_or("", |e| e.1)
    }

    /// Whether there must be a body.
    pub fn needs_body(self) -> bool {
        !matches!(self, Each::Count | Each::Sum)
    }

    /// Whether another argument may follow the body.
    pub fn takes_third(self) -> bool {
        matches!(self, Each::SortBy | Each::Reduce)
    }
}

const EACH: &[(Each, &str)] = &[
    (Each::All, "all"),
    (Each::None, "none"),
    (Each::Any, "any"),
    (Each::One, "one"),
    (Each::Filter, "filter"),
    (Each::Map, "map"),
    (Each::Count, "count"),
    (Each::Sum, "sum"),
    (Each::Find, "find"),
    (Each::FindIndex, "findIndex"),
    (Each::FindLast, "findLast"),
    (Each::FindLastIndex, "findLastIndex"),
    (Each::GroupBy, "groupBy"),
    (Each::SortBy, "sortBy"),
    (Each::Reduce, "reduce"),
];

impl Operator {
    /// The operator of a token.
    pub fn of(text: &str) -> Option<Operator> {
        OPERATORS.iter().find(|o| o.1 == text).map(|o| o.0)
    }

    /// As messages name it.
    pub fn text(self) -> &'static str {
        OPERATORS.iter().find(|o| o.0 == self).map_or("", |o| o.1)
    }
}

const OPERATORS: &[(Operator, &str)] = &[
    (Operator::Equal, "=="),
    (Operator::Unequal, "!="),
    (Operator::Less, "<"),
    (Operator::More, ">"),
    (Operator::LessOrEqual, "<="),
    (Operator::MoreOrEqual, ">="),
    (Operator::In, "in"),
    (Operator::Matches, "matches"),
    (Operator::Contains, "contains"),
    (Operator::StartsWith, "startsWith"),
    (Operator::EndsWith, "endsWith"),
    (Operator::Range, ".."),
    (Operator::Add, "+"),
    (Operator::Subtract, "-"),
    (Operator::Multiply, "*"),
    (Operator::Divide, "/"),
    (Operator::Modulo, "%"),
    (Operator::Power, "**"),
    (Operator::Caret, "^"),
    (Operator::Coalesce, "??"),
];
