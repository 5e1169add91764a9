//! Whether what came is what was recorded.

use super::scenario::Start;
use fancy_regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What differs between two starts. A refusal has the recorded words, where ours may have a place in front.
pub(super) fn start(want: &Start, got: &Start) -> Option<String> {
    let same = match (want, got) {
        (Start::Refused { message: want, .. }, Start::Refused { message: got, .. }) => same_words(want, got),
        _ => want == got,
    };
    (!same).then(|| format!("start: want {want:?} got {got:?}"))
}

fn same_words(want: &str, got: &str) -> bool {
    want == got || PLACE.replace(got, "") == want
}

/// What differs between two replies; `None` where nothing does. TTLs may differ by `slack` seconds.
pub(super) fn reply(want: &Value, got: &Value, slack: f64) -> Option<String> {
    if want == got {
        return None;
    }
    let message = |v: &Value| v.as_object().filter(|m| m.contains_key("status")).cloned();
    let (Some(want), Some(got)) = (message(want), message(got)) else {
        return Some(format!("want {} got {}", short(want), short(got)));
    };
    let keys: BTreeSet<&str> = if is_cut(&want) && is_cut(&got) {
        // Which records are left out is free.
        ["status", "flags", "question", "opt", "oversize", "malformed"].into()
    } else {
        want.keys().chain(got.keys()).map(String::as_str).collect()
    };
    let differences: Vec<String> = keys
        .into_iter()
        .filter(|key| want.get(*key) != got.get(*key) && !near(want.get(*key), got.get(*key), slack))
        .map(|key| format!("{key}: want {} got {}", field(&want, key), field(&got, key)))
        .collect();
    (!differences.is_empty()).then(|| differences.join("; "))
}

fn is_cut(message: &Map<String, Value>) -> bool {
    message.get("flags").and_then(Value::as_str).is_some_and(|f| f.split(' ').any(|w| w == "tc"))
}

/// Whether two sections are the same but for some seconds of the TTLs.
fn near(want: Option<&Value>, got: Option<&Value>, slack: f64) -> bool {
    let (Some(want), Some(got)) = (want.and_then(section), got.and_then(section)) else { return false };
    let pairs = want.1.iter().zip(&got.1);
    slack > 0.0 && want.0 == got.0 && pairs.into_iter().all(|(a, b)| (a - b).abs() <= slack)
}

/// The records without their TTLs, and these, both sorted.
fn section(value: &Value) -> Option<(Vec<String>, Vec<f64>)> {
    let (mut records, mut ttls) = (Vec::new(), Vec::new());
    for line in value.as_array()? {
        let mut words = line.as_str()?.splitn(3, ' ');
        let (owner, ttl, rest) = (words.next()?, words.next()?, words.next()?);
        records.push(format!("{owner} {rest}"));
        ttls.push(ttl.parse().ok()?);
    }
    records.sort();
    ttls.sort_by(f64::total_cmp);
    Some((records, ttls))
}

fn field(message: &Map<String, Value>, key: &str) -> String {
    message.get(key).map_or_else(|| "nothing".into(), short)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    let end = text.char_indices().nth(400).map_or(text.len(), |c| c.0);
    if end < text.len() { format!("{}…", &text[..end]) } else { text }
}

/// `FILE:LINE - ` at the start of a refusal.
static PLACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\S+:\d+ - ").expect("an expression"));
