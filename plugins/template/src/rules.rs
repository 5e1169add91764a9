//! `var` and `expr`: values that an entry calculates, and conditions that must hold for it.

use crate::Pattern;
use crate::gotemplate::Value;
use api::expr::{self, Expression, Facts, Failure, Groups, Names};
use api::expression::Captures;
use api::{Clock, Query};
use std::cell::OnceCell;

/// How much the values of an entry may be: elements, and every eighth octet of texts.
const MAX_VALUES: usize = 100_000;

/// The lines of an entry, in their order.
pub struct Rules {
    clock: Clock,
    names: Names,
    variables: Vec<(String, Expression)>,
    conditions: Vec<Expression>,
}

/// What the lines say of a query.
pub enum Verdict {
    /// The conditions hold; the values of the variables.
    Holds(Value),
    /// A condition does not hold, or is none.
    Not,
    /// There is no value for this query.
    Failed(Failure),
}

impl Rules {
    /// No lines.
    pub fn new(clock: Clock) -> Rules {
        Rules { clock, names: Names::of_query().with_groups(), variables: Vec::new(), conditions: Vec::new() }
    }

    /// Adds `var NAME EXPRESSION`, which may use the variables before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add_variable(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut letters = name.chars();
        let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !first || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("invalid variable name {}", api::gotext::quote(name)));
        }
        if self.names.has(name) || expr::is_builtin(name) || !expr::is_name(name) {
            return Err(format!("variable name {} is reserved", api::gotext::quote(name)));
        }
        let value = Expression::compile(text, &self.names);
        let value = value.map_err(|words| format!("could not compile expression: {name}, {words}"))?;
        self.names.add_variable(name, value.result().clone());
        self.variables.push((name.to_owned(), value));
        Ok(())
    }

    /// Adds `expr EXPRESSION`, which may use all variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add_condition(&mut self, text: &str) -> Result<(), String> {
        let condition = Expression::compile(text, &self.names);
        self.conditions.push(condition.map_err(|words| format!("could not compile expression: {words}"))?);
        Ok(())
    }

    /// Whether the conditions hold for a query whose name matches `pattern`.
    pub fn check(&self, q: &Query, name: &str, pattern: &Pattern) -> Verdict {
        if self.variables.is_empty() && self.conditions.is_empty() {
            return Verdict::Holds(Value::None);
        }
        let groups = Matched { pattern, name, captures: OnceCell::new() };
        let facts = Facts::new(q, &self.clock).with_groups(&groups);
        self.evaluate(&facts).unwrap_or_else(Verdict::Failed)
    }

    fn evaluate<'a>(&'a self, facts: &'a Facts<'a>) -> Result<Verdict, Failure> {
        let mut values = Vec::with_capacity(self.variables.len());
        for (_, variable) in &self.variables {
            values.push(variable.evaluate(facts, &values)?);
        }
        for condition in &self.conditions {
            if !matches!(condition.evaluate(facts, &values)?, expr::Value::Bool(true)) {
                return Ok(Verdict::Not);
            }
        }
        let mut left = MAX_VALUES;
        let named = self.variables.iter().zip(&values);
        let named = named.map(|((name, _), value)| Ok((name.clone(), own(value, &mut left)?)));
        Ok(Verdict::Holds(Value::map(named.collect::<Result<Vec<_>, Failure>>()?)))
    }
}

/// A value for templates.
fn own(value: &expr::Value<'_>, left: &mut usize) -> Result<Value, Failure> {
    let mut spend = |n: usize| {
        *left = left.checked_sub(n).ok_or_else(|| Failure::new("the variables have too much in them"))?;
        Ok(())
    };
    Ok(match value {
        expr::Value::Nil => Value::None,
        expr::Value::Bool(b) => Value::Bool(*b),
        expr::Value::Int(n) => Value::Int(*n),
        expr::Value::Float(n) => Value::Float(*n),
        expr::Value::Text(text) => {
            spend(text.len() / 8)?;
            Value::text(text)
        }
        expr::Value::List(list) => {
            spend(list.items().len())?;
            Value::list(list.items().iter().map(|item| own(item, left)).collect::<Result<_, _>>()?)
        }
        expr::Value::Map(map) => {
            spend(map.entries().len())?;
            let entries = map.entries().iter().map(|(key, value)| Ok((key.shown()?, own(value, left)?)));
            Value::map(entries.collect::<Result<Vec<_>, Failure>>()?)
        }
        other => Value::text(&other.shown()?),
    })
}

/// What the groups of a pattern matched, found out when an expression asks.
struct Matched<'a> {
    pattern: &'a Pattern,
    name: &'a str,
    captures: OnceCell<Option<Captures<'a>>>,
}

impl Groups for Matched<'_> {
    fn group(&self, name: &str) -> Option<&str> {
        let captures = self.captures.get_or_init(|| self.pattern.expression.captures(self.name)).as_ref()?;
        let number = name.parse().ok().filter(|n: &usize| n.to_string() == name);
        let group = number.map_or_else(|| captures.name(name), |n| captures.get(n));
        group.map(|group| group.as_str())
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGIN;
    use api::test::{Bottom, ask, links, world};
    use api::{Chain, Clock, Link, Panics};

    /// What a template for A records with these lines answers for `web-3.example`, or why it is refused.
    fn answer(lines: &str) -> Result<String, String> {
        let lines = format!("template IN A example {{\nmatch ^(?P<host>[a-z]+)(-([0-9]+))?[.]\n{lines}\n}}");
        let mut links = links(&PLUGIN, &lines, &world(Clock::manual(), Default::default()))?;
        links.push(Link { name: "bottom", plugin: Box::new(Bottom) });
        Ok(ask(&Chain::new(links, Panics::End), "Web-3.example A"))
    }

    /// The text that a template makes of the variables that `lines` set.
    fn text(lines: &str, template: &str) -> String {
        let answer = answer(&format!("{lines}\nanswer \"x. 5 IN TXT \\\"{template}\\\"\"")).expect("it is right");
        answer.split_once("TXT").expect("an answer").1.to_owned()
    }

    #[test]
    fn variables() {
        assert_eq!(text("var n len(name())\nvar m n * 2 + 0.5", "{{ .Var.n }} {{ .Var.m }}"), " \"14 28.5\"");
        assert_eq!(
            text("var l [1, nil, 'x', {'b': 1e6}]", "{{ .Var.l }}{{ .Var.none }}"),
            " \"[1 <nil> x map[b:1e+06]]<no value>\""
        );
        assert_eq!(text("var g group('host') + group(3) + group('none')", "{{ .Var.g }}"), " \"web3\"");
        assert_eq!(text("", "{{ .Var }}"), " \"map[]\"");
    }

    #[test]
    fn conditions() {
        let holds = |lines: &str| answer(&format!("{lines}\nrcode NXDOMAIN")).expect("it is right");
        for condition in
            ["true", "group(3) == '3'", "do() or client_ip() startsWith '127.'", "incidr(client_ip(), '127.0.0.0/8')"]
        {
            assert_eq!(holds(&format!("expr {condition}")), "NXDOMAIN aa rd", "{condition}");
        }
        // A value that is no condition, a condition that fails, and one that is found to have no value.
        for condition in ["1", "false", "incidr('x', '10.0.0.0/8')"] {
            assert_eq!(holds(&format!("expr true\nexpr {condition}")), "SERVFAIL (no message)", "{condition}");
        }
        assert_eq!(holds("fallthrough\nexpr false"), "REFUSED (no message)");
        assert_eq!(holds("fallthrough\nexpr int('x') == 1"), "SERVFAIL (no message)");
        assert_eq!(holds("var a 1\nexpr a == 1"), "NXDOMAIN aa rd");
    }

    #[test]
    fn mistakes() {
        let place = "plugin/template: f:4 - Error during parsing: ";
        for (line, words) in [
            ("var a", "Wrong argument count or unexpected line ending after 'a'"),
            ("var", "Wrong argument count or unexpected line ending after 'var'"),
            ("expr", "Wrong argument count or unexpected line ending after 'expr'"),
            ("var 1a 1", "invalid variable name \"1a\""),
            ("var \"\" 1", "invalid variable name \"\""),
            ("var name 1", "variable name \"name\" is reserved"),
            ("var len 1", "variable name \"len\" is reserved"),
            ("var now 1", "variable name \"now\" is reserved"),
            ("var true 1", "variable name \"true\" is reserved"),
            ("var a b", "could not compile expression: a, unknown name b (1:1)"),
            ("expr name() ==", "could not compile expression: unexpected token EOF (1:9)"),
        ] {
            assert_eq!(answer(line), Err(format!("{place}{words}")), "{line}");
        }
        let twice = answer("var a 1\nvar a 2").unwrap_err();
        assert!(twice.ends_with("f:5 - Error during parsing: variable name \"a\" is reserved"), "{twice}");
    }

    #[test]
    fn values_are_bounded() {
        let lines = "var a repeat('x', 10000)\nvar b map(1..100, a)\nvar c map(1..100, b)\nrcode NXDOMAIN";
        assert_eq!(answer(lines), Ok("SERVFAIL (no message)".into()));
    }
}
