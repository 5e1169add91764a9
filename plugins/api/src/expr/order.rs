//! Order of values.

use super::value::{Failure, Meter, Value};
use std::cmp::Ordering;

/// How two values follow each other; `None` where one is not a number (NaN).
pub fn order(meter: &Meter, l: &Value<'_>, r: &Value<'_>) -> Result<Option<Ordering>, Failure> {
    match (l, r) {
        (Value::Int(l), Value::Int(r)) => Ok(Some(l.cmp(r))),
        (Value::Time(l), Value::Time(r)) => Ok(Some(l.timestamp().cmp(&r.timestamp()))),
        (Value::Duration(l), Value::Duration(r)) => Ok(Some(l.cmp(r))),
        (Value::Text(l), Value::Text(r)) => {
            meter.spend(l.len().min(r.len()) / 8)?;
            Ok(Some((**l).cmp(&**r)))
        }
        _ => match (l.number(), r.number()) {
            (Some(l), Some(r)) => Ok(l.partial_cmp(&r)),
            _ => Err(Failure::new(format!("{} and {} cannot be compared", l.kind(), r.kind()))),
        },
    }
}

/// Whether an order is `desc`.
pub fn descending(order: &str) -> Result<bool, Failure> {
    match order {
        "asc" => Ok(false),
        "desc" => Ok(true),
        other => Err(Failure::new(format!("invalid order {other}, expected asc or desc"))),
    }
}

/// `items` in the order of their `keys`.
pub fn sorted<'a>(
    meter: &Meter,
    keys: &[Value<'_>],
    items: &[Value<'a>],
    descending: bool,
) -> Result<Vec<Value<'a>>, Failure> {
    meter.spend(items.len() * 16)?;
    let (mut places, mut failure) = ((0..items.len()).collect::<Vec<_>>(), None);
    places.sort_by(|&a, &b| {
        let found = order(meter, &keys[a], &keys[b]);
        let found = found.unwrap_or_else(|e| {
            failure = Some(e);
            None
        });
        let found = found.unwrap_or(Ordering::Equal);
        if descending { found.reverse() } else { found }
    });
    failure.map_or_else(|| Ok(places.into_iter().map(|i| items[i].clone()).collect()), Err)
}
