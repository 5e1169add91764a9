//! Data from presentation form; the fields are those of the parent module's table.

use super::PARAMETERS;
use crate::dns::codes::{shape, type_from_text};
use crate::dns::name::{Name, unescape};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Data from presentation form.
///
/// # Errors
/// A field that cannot be read, or whose text form is not built.
pub(in crate::dns) fn from_text(class: u16, rtype: u16, text: &str) -> Result<Vec<u8>, String> {
    let words = split(text);
    if let [mark, size, data @ ..] = &words[..]
        && mark == r"\#"
    {
        let data = unhex(&data.concat()).ok_or("hex digits")?;
        return if size.parse() == Ok(data.len()) { Ok(data) } else { Err("length".into()) };
    }
    let shape = shape(class, rtype).ok_or("unknown type without \\#")?;
    let mut words = words.into_iter();
    let mut out = Vec::new();
    for field in shape.chars() {
        if matches!(field, 'Q' | 'B' | 'C' | 'H' | 'V') {
            read_rest(field, words.by_ref().collect(), &mut out)?;
        } else {
            let word = words.next().ok_or("too short")?;
            read_word(field, &word, &mut out).ok_or_else(|| format!("{word}: not of this shape"))?;
        }
    }
    if words.next().is_none() { Ok(out) } else { Err("too long".into()) }
}

fn read_word(field: char, word: &str, out: &mut Vec<u8>) -> Option<()> {
    match field {
        'n' | 'N' => out.extend_from_slice(Name::absolute(word).ok()?.as_bytes()),
        'b' => out.push(word.parse().ok()?),
        's' => out.extend_from_slice(&word.parse::<u16>().ok()?.to_be_bytes()),
        'l' => out.extend_from_slice(&word.parse::<u32>().ok()?.to_be_bytes()),
        '4' => out.extend_from_slice(&word.parse::<Ipv4Addr>().ok()?.octets()),
        '6' => out.extend_from_slice(&word.parse::<Ipv6Addr>().ok()?.octets()),
        'q' | 'g' => push_string(word, out)?,
        'u' => out.extend_from_slice(&octets(word)?),
        't' => out.extend_from_slice(&type_from_text(word)?.to_be_bytes()),
        'T' => out.extend_from_slice(&seconds(word)?.to_be_bytes()),
        _ => return None,
    }
    Some(())
}

fn read_rest(field: char, words: Vec<String>, out: &mut Vec<u8>) -> Result<(), String> {
    match field {
        'Q' => words.iter().try_for_each(|w| push_string(w, out)).ok_or("string")?,
        'H' => out.extend(unhex(&words.concat()).ok_or("hex digits")?),
        'V' => {
            let read = |w: &String| parameter(w).ok_or_else(|| format!("parameter {w}"));
            let mut parameters = words.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            parameters.sort();
            for (key, data) in parameters {
                out.extend_from_slice(&key.to_be_bytes());
                out.extend_from_slice(&(data.len() as u16).to_be_bytes());
                out.extend_from_slice(&data);
            }
        }
        _ => out.extend(BASE64_STANDARD.decode(words.concat()).map_err(|e| e.to_string())?),
    }
    Ok(())
}

/// `key=value` of SVCB.
fn parameter(word: &str) -> Option<(u16, Vec<u8>)> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let key = PARAMETERS.iter().position(|k| *k == key)?;
    let mut data = Vec::new();
    match key {
        1 => value.split(',').try_for_each(|v| push_string(v, &mut data))?,
        2 => {}
        3 => read_word('s', value, &mut data)?,
        4 => value.split(',').try_for_each(|v| read_word('4', v, &mut data))?,
        6 => value.split(',').try_for_each(|v| read_word('6', v, &mut data))?,
        _ => return None,
    }
    Some((key as u16, data))
}

fn push_string(word: &str, out: &mut Vec<u8>) -> Option<()> {
    let text = octets(word)?;
    out.push(u8::try_from(text.len()).ok()?);
    out.extend_from_slice(&text);
    Some(())
}

fn octets(word: &str) -> Option<Vec<u8>> {
    let (mut out, mut chars) = (Vec::new(), word.bytes());
    while let Some(c) = chars.next() {
        out.push(if c == b'\\' { unescape(&mut chars)? } else { c });
    }
    Some(out)
}

/// Words, where quotes hold blanks together. Quotes are gone, escapes are not.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside, mut quote) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                word.push(c);
                word.extend(chars.next());
                inside = true;
            }
            '"' => (quote, inside) = (!quote, true),
            ' ' | '\t' if !quote => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => {
                word.push(c);
                inside = true;
            }
        }
    }
    words.extend(inside.then_some(word));
    words
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    digits.filter(|d| d.len() % 2 == 0).map(|d| d.chunks(2).map(|p| p[0] << 4 | p[1]).collect())
}

/// Seconds of the epoch from `YYYYMMDDHHMMSS`, as the parent's `time` shows them.
fn seconds(text: &str) -> Option<u32> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (y, m, d) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let y = if m <= 2 { y - 1 } else { y };
    let of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + of_year - 719_468;
    u32::try_from(days * 86_400 + part(8..10)? * 3600 + part(10..12)? * 60 + part(12..14)?).ok()
}
