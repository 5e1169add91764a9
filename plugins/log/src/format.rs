//! What a line looks like: text with words in braces that stand for parts of the query and its reply.

use api::wire::flag;
use api::{Outcome, Query};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A format, taken apart.
pub struct Format(Box<[Part]>);

/// A part of a format.
enum Part {
    Text(Box<str>),
    Word(Word),
    /// `{/plugin/label}`: a value that a plugin knows; `-` where nobody does.
    Metadata(Box<str>),
}

#[derive(Clone, Copy)]
enum Word {
    Type,
    Class,
    Name,
    Proto,
    Remote,
    Local,
    Port,
    Size,
    ReplySize,
    Rcode,
    Duration,
    Id,
    Opcode,
    DnssecOk,
    BufferSize,
    Flags,
}

/// The default, which is also what `{common}` stands for.
pub const COMMON: &str = r#"{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}"#;
/// What `{combined}` stands for.
const COMBINED: &str = r#"{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration} "{>opcode}""#;

const WORDS: &[(&str, Word)] = &[
    ("{type}", Word::Type),
    ("{class}", Word::Class),
    ("{name}", Word::Name),
    ("{proto}", Word::Proto),
    ("{remote}", Word::Remote),
    ("{local}", Word::Local),
    ("{port}", Word::Port),
    ("{size}", Word::Size),
    ("{rsize}", Word::ReplySize),
    ("{rcode}", Word::Rcode),
    ("{duration}", Word::Duration),
    ("{>id}", Word::Id),
    ("{>opcode}", Word::Opcode),
    ("{>do}", Word::DnssecOk),
    ("{>bufsize}", Word::BufferSize),
    ("{>rflags}", Word::Flags),
];

impl Format {
    /// Takes a format apart; words that mean nothing stay as they are.
    pub fn parse(text: &str) -> Format {
        let text = text.replace("{combined}", COMBINED).replace("{common}", COMMON);
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        let mut literal = String::new();
        // The brace that closes is looked for first: in `{ {name}` the word is `{name}`.
        while let Some(close) = rest.find('}') {
            let open = rest[..close].rfind('{').unwrap_or(close + 1);
            let (before, word) = rest[..=close].split_at(open);
            literal.push_str(before);
            match WORDS.iter().find(|w| w.0 == word) {
                Some(&(_, known)) => push(&mut parts, &mut literal, Part::Word(known)),
                None => match word.strip_prefix("{/").and_then(|label| label.strip_suffix('}')) {
                    Some(label) => push(&mut parts, &mut literal, Part::Metadata(label.into())),
                    None => literal.push_str(word),
                },
            }
            rest = &rest[close + 1..];
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal.into()));
        Format(parts.into())
    }

    /// Appends the line for a query whose reply is complete at `now`.
    pub fn write(&self, line: &mut String, q: &Query, now: Instant) {
        for part in &self.0 {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Metadata(label) => line.push_str(q.metadata(label).as_deref().unwrap_or("-")),
                Part::Word(word) => word.write(line, q, now),
            }
        }
    }
}

fn push(parts: &mut Vec<Part>, literal: &mut String, part: Part) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal).into()));
    }
    parts.push(part);
}

impl Word {
    fn write(self, line: &mut String, q: &Query, now: Instant) {
        // Writing to a string cannot fail.
        let _ = match self {
            Word::Type => write!(line, "{}", q.rtype()),
            Word::Class => write!(line, "{}", q.question.class),
            Word::Name => write!(line, "{}", q.name()),
            Word::Remote => address(line, q.client.ip()),
            Word::Local if q.on_all_addresses() => line.write_str("[::]"),
            Word::Local => address(line, q.local.ip()),
            Word::Rcode => match q.reply.rcode() {
                Some(rcode) => write!(line, "{rcode}"),
                None => line.write_str("-"),
            },
            Word::Proto => line.write_str(q.transport.proto()),
            Word::DnssecOk => line.write_str(if q.dnssec_ok() { "true" } else { "false" }),
            Word::Flags => return flags(line, q),
            Word::Duration => return duration(line, now.saturating_duration_since(q.received)),
            Word::Port => return number(line, q.client.port().into(), 1),
            Word::Size => return number(line, q.asked_len() as u64, 1),
            Word::ReplySize => return number(line, q.reply.plain_len() as u64, 1),
            Word::Id => return number(line, q.id().into(), 1),
            Word::Opcode => return number(line, q.opcode().0.into(), 1),
            Word::BufferSize => return number(line, q.size_limit() as u64, 1),
        };
    }
}

/// A decimal number of at least so many digits.
fn number(line: &mut String, mut n: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while n > 0 {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    let digits = &text[at.min(text.len() - digits)..];
    line.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// Seconds, with as many decimal places as are needed.
fn duration(line: &mut String, duration: Duration) {
    number(line, duration.as_secs(), 1);
    let nanos = duration.subsec_nanos();
    if nanos > 0 {
        line.push('.');
        number(line, nanos.into(), 9);
        line.truncate(line.trim_end_matches('0').len());
    }
    line.push('s');
}

/// An address, in brackets where it is one of IPv6.
fn address(line: &mut String, ip: IpAddr) -> std::fmt::Result {
    match ip {
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                line.push_str(if place == 0 { "" } else { "." });
                number(line, octet.into(), 1);
            }
            Ok(())
        }
        IpAddr::V6(ip) => write!(line, "[{ip}]"),
    }
}

/// The header bits of the reply, with commas between.
fn flags(line: &mut String, q: &Query) {
    if q.reply.outcome() == Outcome::Nothing {
        return line.push('-');
    }
    const FLAGS: [(u16, &str); 8] = [
        (flag::QR, "qr"),
        (flag::AA, "aa"),
        (flag::TC, "tc"),
        (flag::RD, "rd"),
        (flag::RA, "ra"),
        (flag::Z, "z"),
        (flag::AD, "ad"),
        (flag::CD, "cd"),
    ];
    let flags = q.reply.flags();
    let mut comma = "";
    for (_, name) in FLAGS.iter().filter(|f| flags & f.0 != 0) {
        line.push_str(comma);
        line.push_str(name);
        comma = ",";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Rcode;
    use api::services::Metadata;
    use api::test::{described, query};

    fn line(format: &str, question: &str) -> String {
        let mut q = query(question);
        q.respond_authoritative(Rcode::NXDOMAIN);
        let mut line = String::new();
        Format::parse(format).write(&mut line, &q, q.received + Duration::from_micros(1500));
        line
    }

    #[test]
    fn words_and_what_is_none() {
        let common = "127.0.0.1:40212 - 4660 \"A IN a.example. udp 27 false 512\" NXDOMAIN qr,aa,rd 27 0.0015s";
        assert_eq!(line("{common}", "A.example A"), common);
        assert_eq!(line("x{combined}", "a.example A"), format!("x{common} \"0\""));
        assert_eq!(line("{nothing} {>nothing} {/no/label} {} { x", "a. A"), "{nothing} {>nothing} - {} { x");
        assert_eq!(line("a } {{name} {", "a. A"), "a } {a. {");
        assert_eq!(line("{>do} {>bufsize} {proto} {local}", "a. A +do +bufsize=1400"), "true 1400 udp [::]");
        assert_eq!(line("{>bufsize}", "a. A +tcp"), "65535");
    }

    /// Knows one value, and another one that is empty.
    struct Known;

    impl Metadata for Known {
        fn value(&self, _q: &Query, label: &str) -> Option<String> {
            match label {
                "a/b/c" => Some("known".into()),
                "a/empty" => Some(String::new()),
                _ => None,
            }
        }
    }

    #[test]
    fn values_that_plugins_know() {
        let (mut line, q) = (String::new(), described(query("a. A"), std::sync::Arc::new(Known)));
        Format::parse("{/a/b/c} <{/a/empty}> {/a/b} {name}").write(&mut line, &q, q.received);
        assert_eq!(line, "known <> - a.");
    }

    #[test]
    fn durations_are_seconds() {
        for (nanos, text) in
            [(0, "0s"), (1, "0.000000001s"), (120_300, "0.0001203s"), (5_000_000_000, "5s"), (10_010_000_000, "10.01s")]
        {
            let mut line = String::new();
            duration(&mut line, Duration::from_nanos(nanos));
            assert_eq!(line, text);
            assert_eq!(line, format!("{}s", Duration::from_nanos(nanos).as_secs_f64()));
        }
    }

    #[test]
    fn no_reply_has_no_code_and_no_flags() {
        let (mut line, mut q) = (String::new(), query("a. A"));
        q.reply.clear();
        Format::parse("{rcode} {>rflags} {rsize}").write(&mut line, &q, q.received);
        assert_eq!(line, "- - 0");
    }
}
