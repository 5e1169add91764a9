//! Go's built-in functions.

use super::Value;
use super::format::{printf, sprint};
use std::cmp::Ordering;

const NAMES: &[&str] = &[
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "eq", "ne",
    "lt", "le", "gt", "ge",
];

/// Octets of all texts that a function takes: more than records need.
const MAX_TEXT: usize = 1 << 16;

/// Whether a function is built in.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a built-in function; `None` where there is none of this name.
pub fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let shown = |text: String| Ok(Value::Text(text.into()));
    let size = |value: &Value| if let Value::Text(t) = value { t.len() } else { 0 };
    if args.iter().map(size).sum::<usize>() > MAX_TEXT {
        return Some(Err(format!("texts of more than {MAX_TEXT} octets")));
    }
    Some(match name {
        // The engine has stopped at the argument that decides: what is left is the last one.
        "and" | "or" => args.last().cloned().ok_or_else(|| wrong_count("at least 1", 0)),
        "not" => one(args).map(|v| (!v.truth()).into()),
        "len" => one(args).and_then(len),
        "index" => index(args),
        "slice" => slice(args),
        "print" => shown(sprint(args)),
        "println" => shown(args.iter().map(|a| sprint(std::slice::from_ref(a))).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => match args {
            [Value::Text(format), rest @ ..] => shown(printf(format, rest)),
            _ => Err("wrong type for value; expected string".into()),
        },
        "html" => shown(html(&sprint(args))),
        "js" => shown(js(&sprint(args))),
        "urlquery" => shown(urlquery(&sprint(args))),
        "eq" => equal(args),
        "ne" => two(args).and_then(|(a, b)| order(a, b)).map(|o| (o != Ordering::Equal).into()),
        "lt" => two(args).and_then(|(a, b)| order(a, b)).map(|o| (o == Ordering::Less).into()),
        "le" => two(args).and_then(|(a, b)| order(a, b)).map(|o| (o != Ordering::Greater).into()),
        "gt" => two(args).and_then(|(a, b)| order(a, b)).map(|o| (o == Ordering::Greater).into()),
        "ge" => two(args).and_then(|(a, b)| order(a, b)).map(|o| (o != Ordering::Less).into()),
        _ => return None,
    })
}

fn wrong_count(want: &str, got: usize) -> String {
    format!("wrong number of args: want {want} got {got}")
}

fn one(args: &[Value]) -> Result<&Value, String> {
    if let [value] = args { Ok(value) } else { Err(wrong_count("1", args.len())) }
}

fn two(args: &[Value]) -> Result<(&Value, &Value), String> {
    if let [a, b] = args { Ok((a, b)) } else { Err(wrong_count("2", args.len())) }
}

fn len(value: &Value) -> Result<Value, String> {
    let len = match value {
        Value::Text(t) => t.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        other => return Err(format!("len of type {}", other.kind())),
    };
    Ok(Value::Int(len as i64))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let Some((value, keys)) = args.split_first() else { return Err(wrong_count("at least 1", 0)) };
    keys.iter().try_fold(value.clone(), |value, key| match (&value, key) {
        (Value::Map(entries), Value::Text(key)) => Ok(entries.get(&**key).cloned().unwrap_or_else(|| Value::text(""))),
        (Value::Map(_), other) => Err(format!("value has type {}; should be string", other.kind())),
        (Value::List(items), key) => Ok(items[place(key, items.len())?].clone()),
        (Value::Text(text), key) => Ok(Value::Int(text.as_bytes()[place(key, text.len())?].into())),
        (Value::None, _) => Err("index of untyped nil".into()),
        (other, _) => Err(format!("can't index item of type {}", other.kind())),
    })
}

/// A place in something of this length.
fn place(key: &Value, len: usize) -> Result<usize, String> {
    let Value::Int(n) = key else { return Err(format!("cannot index slice/array with type {}", key.kind())) };
    usize::try_from(*n).ok().filter(|n| *n < len).ok_or_else(|| format!("index out of range: {n}"))
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let Some((value, bounds)) = args.split_first() else { return Err(wrong_count("at least 1", 0)) };
    let len = match value {
        Value::Text(t) => t.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.kind())),
    };
    // A bound may be the length itself.
    let bound = |i: usize, default: usize| bounds.get(i).map_or(Ok(default), |b| place(b, len + 1));
    let (from, to) = (bound(0, 0)?, bound(1, len)?);
    if bounds.len() > 2 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match value {
        Value::Text(t) => Value::text(&String::from_utf8_lossy(&t.as_bytes()[from..to])),
        Value::List(items) => Value::list(items[from..to].to_vec()),
        _ => Value::None,
    })
}

/// Whether the first argument is one of the others.
fn equal(args: &[Value]) -> Result<Value, String> {
    let Some((first, others @ [_, ..])) = args.split_first() else {
        return Err("missing argument for comparison".into());
    };
    for other in others {
        if order(first, other)? == Ordering::Equal {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Ok(a.total_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::None, Value::None) => Ok(Ordering::Equal),
        (Value::List(_) | Value::Map(_) | Value::Object(_), _) => Err("invalid type for comparison".into()),
        _ => Err("incompatible types for comparison".into()),
    }
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
