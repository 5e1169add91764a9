//! What operators take and return.

use super::{Checked, mistake};
use crate::expr::tree::Operator;
use crate::expr::types::Type;

/// Whether `and` or `or` can join two values; the result is a truth value.
pub fn condition(at: usize, word: &str, left: &Type, right: &Type) -> Checked {
    let (left, right) = (left.clone().pointed_to(), right.clone().pointed_to());
    let fine = left == Type::Bool && right == Type::Bool || left.maybe(&right, &[|t| *t == Type::Bool]);
    if fine { Ok(Type::Bool) } else { mismatched(at, word, &left, &right) }
}

/// What a choice between two values is.
pub fn either(yes: Type, no: Type) -> Type {
    match (yes, no) {
        (Type::Nil, other) | (other, Type::Nil) => other,
        (yes, no) if !yes.assignable(&no) => Type::Unknown,
        (yes, no) if yes.is_list() && no.is_list() => {
            let (a, b) = (yes.element(), no.element());
            if a.assignable(&b) && b.assignable(&a) { yes } else { Type::List(None) }
        }
        (yes, _) => yes,
    }
}

fn mismatched(at: usize, word: &str, left: &Type, right: &Type) -> Checked {
    mistake(at, format!("invalid operation: {word} (mismatched types {left} and {right})"))
}

/// The type of an operator's result.
pub fn operation(at: usize, operator: Operator, left: &Type, right: &Type) -> Checked {
    let (l, r) = (left.clone().pointed_to(), right.clone().pointed_to());
    let numbers = l.is_number() && r.is_number();
    let integers = l.is_integer() && r.is_integer();
    let texts = l == Type::Text && r == Type::Text;
    let both = |of: &Type| l == *of && r == *of;
    let (time, span) = (Type::Time, Type::Duration);
    let number: fn(&Type) -> bool = Type::is_number;
    let text: fn(&Type) -> bool = |t| *t == Type::Text;
    let timely: fn(&Type) -> bool = |t| matches!(t, Type::Time | Type::Duration);
    let promoted = || if l == Type::Float || r == Type::Float { Type::Float } else { Type::Int };
    let known = match operator {
        Operator::Equal | Operator::Unequal => l.comparable(&r).then_some(Type::Bool),
        Operator::Less | Operator::More | Operator::LessOrEqual | Operator::MoreOrEqual => {
            let fine = numbers || texts || both(&time) || both(&span);
            (fine || l.maybe(&r, &[number, text, timely])).then_some(Type::Bool)
        }
        Operator::Add if texts => Some(Type::Text),
        Operator::Add | Operator::Subtract | Operator::Multiply if numbers => Some(promoted()),
        Operator::Add if l == time && r == span || l == span && r == time => Some(time),
        Operator::Subtract if l == time && r == span => Some(time),
        Operator::Subtract if both(&time) => Some(span),
        Operator::Multiply if l == span && r.is_number() || l.is_number() && r == span => Some(span),
        Operator::Add | Operator::Subtract | Operator::Multiply if both(&span) => Some(span),
        Operator::Add => l.maybe(&r, &[number, text, timely]).then_some(Type::Unknown),
        Operator::Subtract => l.maybe(&r, &[number, timely]).then_some(Type::Unknown),
        Operator::Multiply => l.maybe(&r, &[number, |t| *t == Type::Duration]).then_some(Type::Unknown),
        Operator::Divide | Operator::Power | Operator::Caret => {
            (numbers || l.maybe(&r, &[number])).then_some(Type::Float)
        }
        Operator::Modulo => (integers || l.maybe(&r, &[Type::is_integer])).then_some(Type::Int),
        Operator::In => return contained(at, &l, &r),
        Operator::Matches | Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            (texts || l.maybe(&r, &[text])).then_some(Type::Bool)
        }
        Operator::Range => (integers || l.maybe(&r, &[Type::is_integer])).then(|| Type::Int.list()),
        Operator::Coalesce => Some(match (l.clone(), r.clone()) {
            (Type::Nil, other) | (other, Type::Nil) => other,
            (l, r) if r.assignable(&l) => l,
            _ => Type::Unknown,
        }),
    };
    known.map_or_else(|| mismatched(at, operator.text(), &l, &r), Ok)
}

/// `x in y`
fn contained(at: usize, l: &Type, r: &Type) -> Checked {
    if r.is_map() {
        let key = r.key();
        if !l.is_unknown() && !l.assignable(&key) {
            return mistake(at, format!("cannot use {l} as type {key} in map key"));
        }
    } else if r.is_list() {
        let element = r.element();
        if !l.comparable(&element) {
            return mistake(at, format!("cannot use {l} as type {element} in array"));
        }
    } else if !(r.is_unknown() || l.is_unknown() && *r == Type::Text) {
        return mismatched(at, "in", l, r);
    }
    Ok(Type::Bool)
}
