//! Label selectors: `labels` and `namespace_labels`.

use api::gotext::quote;
use std::collections::BTreeMap;

/// A label selector as the Kubernetes API takes it; all requirements must hold.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Selector {
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Clone, PartialEq, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, PartialEq, Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl Selector {
    /// Reads `=`, `==`, `in`, `notin`, `KEY` and `!KEY`, separated by commas.
    ///
    /// # Errors
    /// What is wrong, in the words of Kubernetes.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let parser = Parser { tokens: tokens(text), at: 0 };
        let requirements = parser.all().map_err(|e| match e {
            Mistake::Syntax(e) => format!("couldn't parse the selector string \"{text}\": {e}"),
            Mistake::Operator(e) => e,
        })?;
        Ok(Selector { text: text.into(), requirements })
    }

    /// The selector as it was written; empty where everything matches.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|r| {
            let value = labels.get(&r.key);
            match &r.test {
                Test::In(values) => value.is_some_and(|v| values.contains(v)),
                Test::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
            }
        })
    }
}

/// Why a text is no selector.
enum Mistake {
    Syntax(String),
    /// The operator is one that label selectors of objects do not have.
    Operator(String),
}

impl From<String> for Mistake {
    fn from(text: String) -> Self {
        Mistake::Syntax(text)
    }
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn all(mut self) -> Result<Vec<Requirement>, Mistake> {
        let mut all = Vec::new();
        if self.peek().is_empty() {
            return Ok(all);
        }
        if !is_word(self.peek()) && self.peek() != "!" {
            return Err(format!("found '{}', expected: !, identifier, or 'end of string'", self.peek()).into());
        }
        loop {
            all.push(self.requirement()?);
            match self.take().as_str() {
                "" => return Ok(all),
                "," => (),
                other => return Err(format!("found '{other}', expected: ',' or 'end of string'").into()),
            }
            if !is_word(self.peek()) && self.peek() != "!" {
                return Err(format!("found '{}', expected: identifier after ','", self.peek()).into());
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Mistake> {
        let missing = self.peek() == "!";
        if missing {
            self.take();
        }
        let key = self.take();
        let wrong = |e: String| Mistake::Syntax(format!("unable to parse requirement: {e}"));
        if !is_word(&key) {
            return Err(wrong(format!("found '{key}', expected: identifier")));
        }
        check_key(&key).map_err(wrong)?;
        if missing || matches!(self.peek(), "" | ",") {
            return Ok(Requirement { key, test: if missing { Test::Missing } else { Test::Exists } });
        }
        let test = match self.take().as_str() {
            "=" | "==" => Test::In(vec![self.value(&key).map_err(wrong)?]),
            "in" => Test::In(self.values(&key).map_err(wrong)?),
            "notin" => Test::NotIn(self.values(&key).map_err(wrong)?),
            "!=" => {
                self.value(&key).map_err(wrong)?;
                return Err(Mistake::Operator("\"!=\" is not a valid label selector operator".into()));
            }
            sign @ (">" | "<") => {
                let name = if sign == ">" { "gt" } else { "lt" };
                return Err(Mistake::Operator(format!("\"{name}\" isn't supported in label selectors")));
            }
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'").into()),
        };
        Ok(Requirement { key, test })
    }

    fn value(&mut self, key: &str) -> Result<String, String> {
        if matches!(self.peek(), "" | ",") {
            return Ok(String::new());
        }
        let value = self.take();
        if is_word(&value) { check_value(key, value) } else { Err(format!("found '{value}', expected: identifier")) }
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != "(" {
            return Err(format!("found '{open}' expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            let value = if is_word(self.peek()) { check_value(key, self.take())? } else { String::new() };
            values.push(value);
            match self.take().as_str() {
                "," => (),
                ")" => return Ok(values),
                other => return Err(format!("found '{other}', expected: ',' or ')'")),
            }
        }
    }

    /// The next token; empty at the end.
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        let token = self.peek().to_owned();
        self.at += 1;
        token
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut joined = false;
    for c in text.chars() {
        let space = c.is_ascii_whitespace();
        let sign = "()=!,<>".contains(c);
        match tokens.last_mut() {
            Some(last)
                if joined && !space && sign == is_sign(last) && (!sign || c == '=' && matches!(&**last, "=" | "!")) =>
            {
                last.push(c);
            }
            _ if space => (),
            _ => tokens.push(c.into()),
        }
        joined = !space;
    }
    tokens
}

fn is_sign(token: &str) -> bool {
    token.starts_with(|c| "()=!,<>".contains(c))
}

fn is_word(token: &str) -> bool {
    !token.is_empty() && !is_sign(token)
}

/// A label key is `[PREFIX/]NAME`, the prefix a DNS name, the name at most 63 octets.
fn check_key(key: &str) -> Result<(), String> {
    let mut wrong = Vec::new();
    let name = match *key.split('/').collect::<Vec<_>>() {
        [name] => Some(name),
        [prefix, name] => {
            wrong.extend(wrong_prefix(prefix));
            Some(name)
        }
        _ => {
            wrong.push(format!("a valid label key {NAME} with an optional DNS subdomain prefix and '/' {KEY_EXAMPLE}"));
            None
        }
    };
    match name.map_or(1, str::len) {
        0 => wrong.push("name part must be non-empty".into()),
        64.. => wrong.push(format!("name part {TOO_LONG}")),
        _ => (),
    }
    if name.is_some_and(|name| !is_label_text(name)) {
        wrong.push(format!("name part {NAME}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("<nil>: Invalid value: {}: {}", quote(key), wrong.join("; "))) }
}

/// What is wrong with the prefix of a label key.
fn wrong_prefix(prefix: &str) -> Option<String> {
    let label =
        |l: &str| is_label_text(l) && l.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit());
    match prefix.len() {
        0 => Some("prefix part must be non-empty".into()),
        254.. => Some("prefix part must be no more than 253 bytes".into()),
        _ if prefix.split('.').all(label) => None,
        _ => Some(format!("prefix part {PREFIX}")),
    }
}

fn check_value(key: &str, value: String) -> Result<String, String> {
    let mut wrong = Vec::new();
    if value.len() > 63 {
        wrong.push(TOO_LONG);
    }
    if !is_label_text(&value) {
        wrong.push(VALUE);
    }
    if wrong.is_empty() {
        return Ok(value);
    }
    Err(format!("values[0][{key}]: Invalid value: {}: {}", quote(&value), wrong.join("; ")))
}

fn is_label_text(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

const TOO_LONG: &str = "must be no more than 63 bytes";
const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                    character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const KEY_EXAMPLE: &str = "(e.g. 'example.com/MyName')";
const PREFIX: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                      start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                      '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
                     start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
                     for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels: BTreeMap<String, String> =
            [("app", "web"), ("tier", "front"), ("empty", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (text, selected) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = db", false),
            ("app", true),
            ("!app", false),
            ("!gone", true),
            ("app in (db, web)", true),
            ("app in(db,web),tier notin (back)", true),
            ("gone notin (x)", true),
            ("gone in (x)", false),
            ("empty=", true),
            ("empty in (x,)", true),
            ("app=web,!tier", false),
            ("kubernetes.io/in=x", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), selected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, mistake) in [
            ("a!=b", "\"!=\" is not a valid label selector operator"),
            ("a>1", "\"gt\" isn't supported in label selectors"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("=b", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a=b!", "found '!', expected: ',' or 'end of string'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("-a=b", "name part must consist of"),
            ("a/b/c=d", "a valid label key must consist of"),
            (&format!("{}=b", "x".repeat(64)), "name part must be no more than 63 bytes"),
            ("a=-b", "values[0][a]: Invalid value: \"-b\": a valid label must be"),
            ("A.b/c", "prefix part a lowercase RFC 1123 subdomain"),
            ("/c", "prefix part must be non-empty"),
        ] {
            let error = Selector::parse(text).unwrap_err();
            assert!(error.contains(mistake), "{text}: {error}");
        }
    }
}
