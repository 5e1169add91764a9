//! The functions of texts, lists and maps.

use super::evaluate::{at, octet};
use super::order::{descending, sorted};
use super::print;
use super::value::{Failure, Meter, Value};

type Made<'a> = Result<Value<'a>, Failure>;

/// Octets of the longest text that `repeat` makes.
const MAX_REPEATED: usize = 100_000;

fn argument<'v, 'a>(arguments: &'v [Value<'a>], place: usize) -> &'v Value<'a> {
    arguments.get(place).unwrap_or(&Value::Nil)
}

fn text<'v>(arguments: &'v [Value<'_>], place: usize) -> Result<&'v str, Failure> {
    argument(arguments, place).text()
}

/// An argument that is a blank where there is none.
fn text_or_blank<'v>(arguments: &'v [Value<'_>], place: usize) -> Result<&'v str, Failure> {
    arguments.get(place).map_or(Ok(" "), Value::text)
}

fn count<'a>(n: usize) -> Value<'a> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// `len(x)`: letters, elements, entries.
pub fn len<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    Ok(count(match argument(arguments, 0) {
        Value::Text(text) => {
            meter.spend(text.len() / 8)?;
            text.chars().count()
        }
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.entries().len(),
        other => return Err(Failure::new(format!("{} has no length", other.kind()))),
    }))
}

/// `string(x)`: as Go prints it.
pub fn string<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    match argument(arguments, 0) {
        text @ Value::Text(_) => Ok(text.clone()),
        other => meter.text(&print::text(meter, other)?),
    }
}

/// `trim(x)`, `trim(x, letters)`
pub fn trim<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let trimmed = text(arguments, 0)?;
    meter.text(match arguments.len() {
        1 => trimmed.trim(),
        _ => {
            let letters = text(arguments, 1)?;
            trimmed.trim_matches(|c| letters.contains(c))
        }
    })
}

/// `trimPrefix(x, y)`
pub fn trim_prefix<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let (whole, prefix) = (text(arguments, 0)?, text_or_blank(arguments, 1)?);
    meter.text(whole.strip_prefix(prefix).unwrap_or(whole))
}

/// `trimSuffix(x, y)`
pub fn trim_suffix<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let (whole, suffix) = (text(arguments, 0)?, text_or_blank(arguments, 1)?);
    meter.text(whole.strip_suffix(suffix).unwrap_or(whole))
}

/// `upper(x)`, each letter for itself.
pub fn upper<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let single = |c: char| if c.to_uppercase().count() == 1 { c.to_uppercase().next().unwrap_or(c) } else { c };
    meter.text(&text(arguments, 0)?.chars().map(single).collect::<String>())
}

/// `lower(x)`, each letter for itself.
pub fn lower<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let single = |c: char| c.to_lowercase().next().unwrap_or(c);
    meter.text(&text(arguments, 0)?.chars().map(single).collect::<String>())
}

/// The parts of a text: at most so many, all where that is negative.
fn parts<'a>(meter: &Meter, arguments: &[Value<'a>], kept: bool) -> Made<'a> {
    let (whole, separator) = (text(arguments, 0)?, text(arguments, 1)?);
    let limit = arguments.get(2).map_or(Ok(-1), Value::int)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    meter.spend(whole.len() / 8)?;
    let (mut parts, mut rest) = (Vec::new(), whole);
    while parts.len() + 1 < limit && !rest.is_empty() {
        let (part, behind) = if separator.is_empty() {
            let end = rest.chars().next().map_or(0, char::len_utf8);
            (end, end)
        } else {
            let Some(place) = rest.find(separator) else { break };
            (if kept { place + separator.len() } else { place }, place + separator.len())
        };
        meter.spend(1)?;
        parts.push(meter.text(&rest[..part])?);
        rest = &rest[behind..];
    }
    if limit > 0 && !(separator.is_empty() && rest.is_empty()) {
        parts.push(meter.text(rest)?);
    }
    meter.list(parts)
}

/// `split(x, separator)`, `split(x, separator, count)`
pub fn split<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    parts(meter, arguments, false)
}

/// `splitAfter(x, separator)`: the parts keep their separators.
pub fn split_after<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    parts(meter, arguments, true)
}

/// `replace(x, old, new)`, `replace(x, old, new, count)`
pub fn replace<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let (whole, old, new) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
    let limit = arguments.get(3).map_or(Ok(-1), Value::int)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Not more than the text has letters, and one.
    let times = if old.is_empty() { whole.chars().count() + 1 } else { whole.matches(old).count() };
    meter.spend((whole.len() + times.min(limit).saturating_mul(new.len())) / 8)?;
    meter.text(&whole.replacen(old, new, limit))
}

/// `repeat(x, count)`
pub fn repeat<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let (whole, times) = (text(arguments, 0)?, argument(arguments, 1).int()?);
    let times = usize::try_from(times).map_err(|_| Failure::new("invalid argument for repeat"))?;
    let len = whole.len().saturating_mul(times);
    if len > MAX_REPEATED {
        return Err(Failure::new(format!("repeat makes more than {MAX_REPEATED} octets")));
    }
    meter.spend(len / 8)?;
    meter.text(&whole.repeat(times))
}

/// `join(list)`, `join(list, separator)`
pub fn join<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let separator = arguments.get(1).map_or(Ok(""), Value::text)?;
    let mut joined = String::new();
    for (i, item) in argument(arguments, 0).items()?.iter().enumerate() {
        let item = item.text()?;
        meter.spend(1 + (separator.len() + item.len()) / 8)?;
        joined.push_str(if i > 0 { separator } else { "" });
        joined.push_str(item);
    }
    meter.text(&joined)
}

fn index<'a>(place: Option<usize>) -> Value<'a> {
    place.map_or(Value::Int(-1), count)
}

/// `indexOf(x, y)`, in octets; -1 where it is not there.
pub fn index_of<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.spend(text(arguments, 0)?.len() / 8)?;
    Ok(index(text(arguments, 0)?.find(text(arguments, 1)?)))
}

/// `lastIndexOf(x, y)`
pub fn last_index_of<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.spend(text(arguments, 0)?.len() / 8)?;
    Ok(index(text(arguments, 0)?.rfind(text(arguments, 1)?)))
}

/// `hasPrefix(x, y)`
pub fn has_prefix<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    Ok(Value::Bool(text(arguments, 0)?.starts_with(text(arguments, 1)?)))
}

/// `hasSuffix(x, y)`
pub fn has_suffix<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    Ok(Value::Bool(text(arguments, 0)?.ends_with(text(arguments, 1)?)))
}

/// `first(list)`; nothing where there is none.
pub fn first<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    Ok(end(arguments, 0))
}

/// `last(list)`; nothing where there is none.
pub fn last<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    Ok(end(arguments, -1))
}

fn end<'a>(arguments: &[Value<'a>], index: i64) -> Value<'a> {
    match argument(arguments, 0) {
        Value::List(list) => at(list, index).cloned().unwrap_or(Value::Nil),
        _ => Value::Nil,
    }
}

/// `get(list, index)`, `get(map, key)`; nothing where there is none.
pub fn get<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let key = argument(arguments, 1);
    Ok(match argument(arguments, 0) {
        Value::List(list) => at(list, key.int()?).cloned().unwrap_or(Value::Nil),
        Value::Map(map) => meter.find(map, key)?.cloned().unwrap_or(Value::Nil),
        Value::Text(text) => octet(text, key.int()?).unwrap_or(Value::Nil),
        _ => Value::Nil,
    })
}

/// `take(list, count)`
pub fn take<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let (items, count) = (argument(arguments, 0).items()?, argument(arguments, 1).int()?);
    let count = usize::try_from(count).map_err(|_| Failure::new("less than no elements are taken"))?;
    meter.list(items[..count.min(items.len())].to_vec())
}

fn entries<'v, 'a>(arguments: &'v [Value<'a>]) -> Result<&'v [(Value<'a>, Value<'a>)], Failure> {
    match argument(arguments, 0) {
        Value::Map(map) => Ok(map.entries()),
        other => Err(Failure::new(format!("{} is no map", other.kind()))),
    }
}

/// `keys(map)`, in their order.
pub fn keys<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.list(entries(arguments)?.iter().map(|e| e.0.clone()).collect())
}

/// `values(map)`, in the order of the keys.
pub fn values<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.list(entries(arguments)?.iter().map(|e| e.1.clone()).collect())
}

/// `toPairs(map)`: lists of two.
pub fn to_pairs<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let pairs = entries(arguments)?.iter().map(|e| meter.list(vec![e.0.clone(), e.1.clone()]));
    meter.list(pairs.collect::<Result<_, _>>()?)
}

/// `fromPairs(list)`: a map of lists of two.
pub fn from_pairs<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let pair = |item: &Value<'a>| match item.items()? {
        [Value::List(_) | Value::Map(_) | Value::Function(_), _] => Err(Failure::new("a list is no key")),
        [key, value] => Ok((key.clone(), value.clone())),
        _ => Err(Failure::new("invalid pair length")),
    };
    meter.map(argument(arguments, 0).items()?.iter().map(pair).collect::<Result<_, _>>()?)
}

/// `reverse(list)`
pub fn reverse<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.list(argument(arguments, 0).items()?.iter().rev().cloned().collect())
}

/// `uniq(list)`: the first of those that are the same.
pub fn uniq<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    'items: for item in argument(arguments, 0).items()? {
        for other in &kept {
            if meter.equal(item, other)? {
                continue 'items;
            }
        }
        kept.push(item.clone());
    }
    meter.list(kept)
}

/// `flatten(list)`: the elements of lists in it, however deep.
pub fn flatten<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    fn add<'a>(meter: &Meter, items: &[Value<'a>], flat: &mut Vec<Value<'a>>) -> Result<(), Failure> {
        meter.spend(items.len())?;
        for item in items {
            match item {
                Value::List(list) => add(meter, list.items(), flat)?,
                other => flat.push(other.clone()),
            }
        }
        Ok(())
    }
    let mut flat = Vec::new();
    add(meter, argument(arguments, 0).items()?, &mut flat)?;
    meter.list(flat)
}

/// `concat(list, list)`
pub fn concat<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let mut all = Vec::new();
    for argument in arguments {
        let items = argument.items()?;
        meter.spend(items.len())?;
        all.extend_from_slice(items);
    }
    meter.list(all)
}

/// `sort(list)`, `sort(list, 'desc')`
pub fn sort<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let items = argument(arguments, 0).items()?;
    let descending = arguments.get(1).map_or(Ok(false), |order| descending(order.text()?))?;
    meter.list(sorted(meter, items, items, descending)?)
}
