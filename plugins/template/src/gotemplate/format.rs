//! How values are printed, and `printf`.

use super::Value;
use std::fmt::Write;

/// The widest field: a width is no way to make a long text.
const MAX_WIDTH: usize = 1000;

/// Appends a value as Go's `fmt` prints it with `%v`.
pub fn print(out: &mut String, value: &Value) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::None => write!(out, "<no value>"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Int(n) => write!(out, "{n}"),
        Value::Float(n) => write!(out, "{}", api::gotext::float(*n)),
        Value::Text(text) => write!(out, "{text}"),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                print_inside(out, item);
            }
            write!(out, "]")
        }
        Value::Map(entries) => {
            out.push_str("map[");
            for (i, (key, item)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                out.push_str(key);
                out.push(':');
                print_inside(out, item);
            }
            write!(out, "]")
        }
        Value::Object(_) => write!(out, "{{}}"),
    };
}

/// Appends a value inside of another one.
fn print_inside(out: &mut String, value: &Value) {
    match value {
        Value::None => out.push_str("<nil>"),
        value => print(out, value),
    }
}

/// All values, with a blank between two that are no texts (Go's `fmt.Sprint`).
pub fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let text = |v: &Value| matches!(v, Value::Text(_));
        if i > 0 && !text(value) && !text(&values[i - 1]) {
            out.push(' ');
        }
        print(&mut out, value);
    }
    out
}

/// A verb with what stands in front of it: `%-05.3d`.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Go's `fmt.Sprintf`.
pub fn printf(format: &str, args: &[Value]) -> String {
    let (mut out, mut used) = (String::new(), 0);
    let mut letters = format.chars().peekable();
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = spec(&mut letters);
        let Some(verb) = letters.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match args.get(used) {
            Some(value) => spec.pad(&mut out, &spec.verb(verb, value), value),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
        used += 1;
    }
    if used < args.len() {
        let extra: Vec<String> =
            args[used..].iter().map(|v| format!("{}={}", v.kind(), sprint(std::slice::from_ref(v)))).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn spec(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = letters.next_if(|c| matches!(c, '-' | '+' | '0' | '#' | ' ')) {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '0' => spec.zero = true,
            '#' => spec.sharp = true,
            _ => (),
        }
    }
    let mut number = || {
        let mut n = None;
        while let Some(digit) = letters.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
            n = Some((n.unwrap_or(0) * 10 + digit as usize).min(MAX_WIDTH));
        }
        n
    };
    spec.width = number().unwrap_or(0);
    if letters.next_if_eq(&'.').is_some() {
        let mut n = 0;
        while let Some(digit) = letters.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
            n = (n * 10 + digit as usize).min(MAX_WIDTH);
        }
        spec.precision = Some(n);
    }
    spec
}

impl Spec {
    fn verb(&self, verb: char, value: &Value) -> String {
        let sign = |n: &i64| if *n >= 0 && self.plus { "+" } else { "" };
        let prefix = |p: &'static str| if self.sharp { p } else { "" };
        let digits = self.precision.unwrap_or(6);
        match (verb, value) {
            ('v' | 's', Value::Text(text)) => self.cut(text),
            ('v', value) => sprint(std::slice::from_ref(value)),
            ('d', Value::Int(n)) => format!("{}{n}", sign(n)),
            ('x', Value::Int(n)) => format!("{}{n:x}", prefix("0x")),
            ('X', Value::Int(n)) => format!("{}{n:X}", prefix("0X")),
            ('o', Value::Int(n)) => format!("{}{n:o}", prefix("0")),
            ('b', Value::Int(n)) => format!("{n:b}"),
            ('c', Value::Int(n)) => u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
            ('f' | 'F', Value::Float(n)) => format!("{n:.digits$}"),
            ('g', Value::Float(n)) => api::gotext::float(*n),
            ('t', Value::Bool(b)) => b.to_string(),
            ('q', Value::Text(text)) => api::gotext::quote(&self.cut(text)),
            ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('X', Value::Text(text)) => text.bytes().map(|b| format!("{b:02X}")).collect(),
            (_, Value::List(items)) => {
                format!("[{}]", items.iter().map(|v| self.verb(verb, v)).collect::<Vec<_>>().join(" "))
            }
            (verb, value) => format!("%!{verb}({}={})", value.kind(), sprint(std::slice::from_ref(value))),
        }
    }

    /// A text without what is beyond the precision.
    fn cut(&self, text: &str) -> String {
        self.precision.map_or_else(|| text.to_owned(), |n| text.chars().take(n).collect())
    }

    fn pad(&self, out: &mut String, text: &str, value: &Value) {
        let missing = self.width.saturating_sub(text.chars().count());
        let number = matches!(value, Value::Int(_) | Value::Float(_));
        if self.minus {
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.zero && (number || matches!(value, Value::Text(_))) {
            let (sign, digits) = if number && text.starts_with(['-', '+']) { text.split_at(1) } else { ("", text) };
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(text);
        }
    }
}
