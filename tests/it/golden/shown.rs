//! Replies as the recordings have them: fields of text, sections as sorted lines.

use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::dns::{Message, Name, Question, Record, flag, hex, rcode_text};

/// A reply's fields. `local`: this machine's own addresses may be in it.
pub(super) fn shown(m: &Message, local: bool) -> Value {
    let flags: Vec<&str> = flag::NAMES.iter().filter(|f| m.bits & f.0 != 0).map(|f| f.1).collect();
    let questions: Vec<String> = m.questions.iter().map(Question::to_string).collect();
    let mut out = Map::new();
    out.insert("status".into(), rcode_text(m.rcode()).into());
    out.insert("flags".into(), flags.join(" ").into());
    out.insert("question".into(), questions.join(" ").into());
    for (name, records) in [("answer", &m.answer), ("authority", &m.authority), ("additional", &m.additional)] {
        let rows = rows(records, local);
        if !rows.is_empty() {
            out.insert(name.into(), rows.into());
        }
    }
    if let Some(edns) = &m.edns {
        let options = edns.options.iter().map(|(code, data)| format!(" {code}:{}", hex(data)));
        let dnssec_ok = if edns.dnssec_ok { " do" } else { "" };
        out.insert("opt".into(), format!("{}{dnssec_ok}{}", edns.size, options.collect::<String>()).into());
    }
    if m.signed {
        out.insert("tsig".into(), "unchecked".into());
    }
    out.into()
}

/// A packet's five header words behind its number, and the rest as [`shown`].
pub(super) fn packet(wire: &[u8], local: bool) -> Value {
    let words: Vec<String> = wire.get(2..12).unwrap_or_default().chunks(2).map(hex).collect();
    let mut out = match Message::parse(wire) {
        Ok(m) => shown(&m, local),
        Err(e) => json!({"malformed": e.name(), "hex": hex(wire.get(2..).unwrap_or_default())}),
    };
    out["header"] = words.join(" ").into();
    out
}

/// Whether a CNAME stands behind the records of its target.
pub(super) fn cname_broken(m: &Message) -> bool {
    let lower = |name: &Name| name.to_string().to_lowercase();
    let mut seen = Vec::new();
    m.answer.iter().any(|r| {
        let target = (r.rtype == CNAME).then(|| r.to_string().rsplit(' ').next().unwrap_or_default().to_lowercase());
        let broken = target.is_some_and(|t| seen.contains(&t));
        seen.push(lower(&r.name));
        broken
    })
}

/// A section as sorted lines, several addresses of this machine as one.
fn rows(records: &[Record], local: bool) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for line in records.iter().map(|r| plain(&r.to_string(), local)).filter(|l| !l.is_empty()) {
        if !(line.contains("@LOCAL@") && rows.contains(&line)) {
            rows.push(line);
        }
    }
    rows.sort();
    rows
}

/// A record without what differs from run to run: a serial that is the time, times of a signature made today and the
/// signature, this machine's own addresses (nothing at all for an IPv6 one).
fn plain(line: &str, local: bool) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if words.len() < 5 {
        return line.to_owned();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match words[3] {
        "SOA" if words[6].parse::<u64>().is_ok_and(|serial| serial.abs_diff(now) < 3600) => words[6] = "NOW",
        "RRSIG" if signed_today(words[9], now) => {
            (words[8], words[9]) = ("NOW", "NOW");
            words.truncate(12);
            words.push("SIG");
        }
        "A" if local && LOCAL.iter().any(|a| a.is_ipv4() && a.to_string() == words[4]) => words[4] = "@LOCAL@",
        "AAAA" if local && LOCAL.iter().any(|a| a.is_ipv6() && a.to_string() == words[4]) => return String::new(),
        _ => {}
    }
    words.join(" ")
}

/// Whether a time as signatures have it is of the last or the next 25 hours.
fn signed_today(time: &str, now: u64) -> bool {
    let part = |range: std::ops::Range<usize>| time.get(range).and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
    // Days since the epoch (Howard Hinnant's method).
    let (y, m, d) = (part(0..4), part(4..6), part(6..8));
    let y = if m <= 2 { y - 1 } else { y };
    let of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + of_year - 719_468;
    let seconds = days * 86_400 + part(8..10) * 3600 + part(10..12) * 60 + part(12..14);
    seconds.abs_diff(now as i64) < 90_000
}

/// This machine's addresses that are not loopback.
pub(super) static LOCAL: LazyLock<Vec<IpAddr>> = LazyLock::new(|| {
    let all = if_addrs::get_if_addrs().expect("the machine's addresses");
    all.into_iter().map(|i| i.ip()).filter(|a| !a.is_loopback()).collect()
});

const CNAME: u16 = 5;
