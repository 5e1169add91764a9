//! Arithmetic, and the functions of numbers.

use super::order::order;
use super::value::{Failure, Meter, Value};
use std::cmp::Ordering;

type Made<'a> = Result<Value<'a>, Failure>;

/// Both operands as they are, where they are whole, else as numbers with fractions.
fn apply<'a>(
    what: &str,
    l: &Value<'_>,
    r: &Value<'_>,
    whole: fn(i64, i64) -> i64,
    fraction: fn(f64, f64) -> f64,
) -> Made<'a> {
    match (l, r) {
        (Value::Int(l), Value::Int(r)) => Ok(Value::Int(whole(*l, *r))),
        _ => floats(what, l, r).map(|(l, r)| Value::Float(fraction(l, r))),
    }
}

fn floats(what: &str, l: &Value<'_>, r: &Value<'_>) -> Result<(f64, f64), Failure> {
    let both = l.number().zip(r.number());
    both.ok_or_else(|| Failure::new(format!("invalid operation: {} {what} {}", l.kind(), r.kind())))
}

/// `-x`
pub fn negate<'a>(of: &Value<'_>) -> Made<'a> {
    apply("-", &Value::Int(0), of, i64::wrapping_sub, |_, n| -n)
}

/// `x + y` of numbers.
pub fn add<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    apply("+", l, r, i64::wrapping_add, |l, r| l + r)
}

/// `x - y`
pub fn subtract<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    apply("-", l, r, i64::wrapping_sub, |l, r| l - r)
}

/// `x * y`
pub fn multiply<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    apply("*", l, r, i64::wrapping_mul, |l, r| l * r)
}

/// `x / y`, which is never whole.
pub fn divide<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    floats("/", l, r).map(|(l, r)| Value::Float(l / r))
}

/// `x ** y`
pub fn power<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    floats("**", l, r).map(|(l, r)| Value::Float(l.powf(r)))
}

/// `x % y` of whole numbers.
pub fn modulo<'a>(l: &Value<'_>, r: &Value<'_>) -> Made<'a> {
    match (l, r) {
        (Value::Int(_), Value::Int(0)) => Err(Failure::new("integer divide by zero")),
        (Value::Int(l), Value::Int(r)) => Ok(Value::Int(l.wrapping_rem(*r))),
        _ => Err(Failure::new(format!("invalid operation: {} % {}", l.kind(), r.kind()))),
    }
}

fn only<'v, 'a>(arguments: &'v [Value<'a>]) -> &'v Value<'a> {
    arguments.first().unwrap_or(&Value::Nil)
}

fn no_number<'a>(of: &Value<'_>) -> Made<'a> {
    Err(Failure::new(format!("{} is no number", of.kind())))
}

/// `abs(x)`
pub fn abs<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    match only(arguments) {
        Value::Int(n) => Ok(Value::Int(n.wrapping_abs())),
        Value::Float(n) => Ok(Value::Float(n.abs())),
        other => no_number(other),
    }
}

fn rounded<'a>(arguments: &[Value<'a>], round: fn(f64) -> f64) -> Made<'a> {
    let of = only(arguments);
    of.number().map_or_else(|| no_number(of), |n| Ok(Value::Float(round(n))))
}

/// `ceil(x)`
pub fn ceil<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    rounded(arguments, f64::ceil)
}

/// `floor(x)`
pub fn floor<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    rounded(arguments, f64::floor)
}

/// `round(x)`, halves away from zero.
pub fn round<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    rounded(arguments, f64::round)
}

/// `int(x)`
pub fn int<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    match only(arguments) {
        Value::Text(text) => crate::gotext::parse_int(text).map(Value::Int).map_err(Failure::Words),
        other => other.int().map(Value::Int),
    }
}

/// `float(x)`
pub fn float<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    match only(arguments) {
        Value::Text(text) => {
            text.parse().map(Value::Float).map_err(|_| Failure::new(format!("invalid operation: float({})", &**text)))
        }
        other => other.number().map_or_else(|| no_number(other), |n| Ok(Value::Float(n))),
    }
}

/// All numbers among values and in lists of them.
fn gather<'v, 'a>(meter: &Meter, values: &'v [Value<'a>], into: &mut Vec<&'v Value<'a>>) -> Result<(), Failure> {
    meter.spend(values.len())?;
    for value in values {
        match value {
            Value::List(list) => gather(meter, list.items(), into)?,
            Value::Int(_) | Value::Float(_) => into.push(value),
            other => return no_number(other).map(|_: Value<'_>| ()),
        }
    }
    Ok(())
}

/// The first of the numbers that go before all others.
fn extreme<'a>(meter: &Meter, arguments: &[Value<'a>], before: Ordering) -> Made<'a> {
    match arguments {
        [Value::List(_)] => (),
        [only] => return Ok(only.clone()),
        _ => (),
    }
    let mut all = Vec::new();
    gather(meter, arguments, &mut all)?;
    let mut best = None;
    for number in all {
        match best {
            Some(best) if order(meter, number, best)? != Some(before) => (),
            _ => best = Some(number),
        }
    }
    Ok(best.cloned().unwrap_or(Value::Nil))
}

/// `max(x, y)`
pub fn max<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    extreme(meter, arguments, Ordering::Greater)
}

/// `min(x, y)`
pub fn min<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    extreme(meter, arguments, Ordering::Less)
}

fn gathered(meter: &Meter, arguments: &[Value<'_>]) -> Result<Vec<f64>, Failure> {
    let mut all = Vec::new();
    gather(meter, arguments, &mut all)?;
    Ok(all.iter().filter_map(|v| v.number()).collect())
}

/// `mean(x, y)`; 0 of nothing.
pub fn mean<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let all = gathered(meter, arguments)?;
    Ok(Value::Float(if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 }))
}

/// `median(x, y)`; 0 of nothing.
pub fn median<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let mut all = gathered(meter, arguments)?;
    meter.spend(all.len() * 16)?;
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    Ok(Value::Float(match all.len() {
        0 => 0.0,
        n if n % 2 == 1 => all[middle],
        _ => (all[middle - 1] + all[middle]) / 2.0,
    }))
}

fn bits<'a>(arguments: &[Value<'a>], combine: fn(i64, i64) -> i64) -> Made<'a> {
    match arguments {
        [Value::Int(x), Value::Int(y)] => Ok(Value::Int(combine(*x, *y))),
        _ => Err(Failure::new("bits are those of whole numbers")),
    }
}

/// What is shifted out at either end is gone.
fn shifted<'a>(arguments: &[Value<'a>], shift: fn(i64, u32) -> Option<i64>, gone: fn(i64) -> i64) -> Made<'a> {
    match arguments {
        [Value::Int(_), Value::Int(y)] if *y < 0 => {
            Err(Failure::new(format!("invalid operation: negative shift count {y} (type int)")))
        }
        [Value::Int(x), Value::Int(y)] => {
            let count = u32::try_from(*y).unwrap_or(u32::MAX);
            Ok(Value::Int(shift(*x, count).unwrap_or_else(|| gone(*x))))
        }
        _ => Err(Failure::new("bits are those of whole numbers")),
    }
}

/// `bitand(x, y)`
pub fn bitand<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    bits(arguments, |x, y| x & y)
}

/// `bitor(x, y)`
pub fn bitor<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    bits(arguments, |x, y| x | y)
}

/// `bitxor(x, y)`
pub fn bitxor<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    bits(arguments, |x, y| x ^ y)
}

/// `bitnand(x, y)`: the bits of the first that the second has not.
pub fn bitnand<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    bits(arguments, |x, y| x & !y)
}

/// `bitshl(x, y)`
pub fn bitshl<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    shifted(arguments, i64::checked_shl, |_| 0)
}

/// `bitshr(x, y)`
pub fn bitshr<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    shifted(arguments, i64::checked_shr, |x| if x < 0 { -1 } else { 0 })
}

/// `bitushr(x, y)`
pub fn bitushr<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    shifted(arguments, |x, y| (x as u64).checked_shr(y).map(|n| n as i64), |_| 0)
}

/// `bitnot(x)`
pub fn bitnot<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    bits(&[only(arguments).clone(), Value::Int(0)], |x, _| !x)
}
