//! What templates can say of a query.

use crate::Pattern;
use crate::gotemplate::{Data, Object, Value};
use api::wire::flag;
use api::{Class, Name, Query, RecordType};

/// The data of one query and the entry that it fits.
pub struct QueryData<'a> {
    /// The query.
    pub q: &'a Query,
    /// The name asked for, in lower case.
    pub name: &'a str,
    /// The entry's zone.
    pub zone: &'a Name,
    /// The expression that the name matches.
    pub pattern: &'a Pattern,
    /// Class and type of the entry, which stand for those of a question for all of them.
    pub fits: (Class, RecordType),
    /// The values of the entry's variables; none without any.
    pub variables: Value,
}

impl Data for QueryData<'_> {
    fn field(&self, object: Object, name: &str, args: &[Value]) -> Result<Value, String> {
        match object {
            Object::Root => self.root(name, args),
            Object::Message => Ok(self.message(name).ok_or_else(|| unknown(object, name))?),
            Object::Question(_) => self.question(name).ok_or_else(|| unknown(object, name)),
        }
    }

    /// `parseInt TEXT BASE BITS` (Go's `strconv.ParseUint`).
    fn call(&self, _parse_int: &str, args: &[Value]) -> Result<Value, String> {
        let [Value::Text(text), Value::Int(base), Value::Int(bits)] = args else {
            return Err(match args {
                [_, _, _] => "wrong type for value; expected string".into(),
                _ => format!("wrong number of args for parseInt: want 3 got {}", args.len()),
            });
        };
        let failed = |why: &str| format!("strconv.ParseUint: parsing {}: {why}", api::gotext::quote(text));
        let radix = u32::try_from(*base).ok().filter(|r| (2..=36).contains(r));
        let radix = radix.ok_or_else(|| failed(&format!("invalid base {base}")))?;
        if text.is_empty() || !text.chars().all(|c| c.is_digit(radix)) {
            return Err(failed("invalid syntax"));
        }
        let most = match bits {
            0 | 64 => i64::MAX as u64, // what templates calculate with
            1..64 => (1 << bits) - 1,
            _ => return Err(failed(&format!("invalid bit size {bits}"))),
        };
        let number = u64::from_str_radix(text, radix).ok().filter(|n| *n <= most);
        number.map(|n| Value::Int(n as i64)).ok_or_else(|| failed("value out of range"))
    }
}

/// Go's words for a field that is not there.
fn unknown(object: Object, name: &str) -> String {
    format!("can't evaluate field {name} in type {}", Value::Object(object).kind())
}

impl QueryData<'_> {
    fn root(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        Ok(match name {
            "Zone" => Value::text(&self.zone.to_string()),
            "Name" => Value::text(self.name),
            "Regex" => Value::text(&self.pattern.text),
            "Match" => Value::list(self.groups().map(|(_, text)| text).collect()),
            "Group" => {
                Value::map(self.groups().flat_map(|(names, text)| names.into_iter().map(move |n| (n, text.clone()))))
            }
            "Class" => Value::text(&self.class().to_string()),
            "Type" => Value::text(&self.rtype().to_string()),
            "Message" => Value::Object(Object::Message),
            "Question" => Value::Object(Object::Question(0)),
            "Remote" => Value::text(&self.q.client.ip().to_canonical().to_string()),
            "Var" if matches!(self.variables, Value::None) => Value::map([]),
            "Var" => self.variables.clone(),
            "Meta" => self.metadata(args)?,
            _ => return Err(unknown(Object::Root, name)),
        })
    }

    /// The class asked for, or that of the entry.
    pub fn class(&self) -> Class {
        let asked = self.q.question.class;
        if asked == Class::ANY { self.fits.0 } else { asked }
    }

    /// The type asked for, or that of the entry.
    pub fn rtype(&self) -> RecordType {
        let asked = self.q.rtype();
        if asked == RecordType::ANY { self.fits.1 } else { asked }
    }

    /// `.Meta LABEL`: empty where nothing is known.
    fn metadata(&self, args: &[Value]) -> Result<Value, String> {
        match args {
            [Value::Text(label)] => Ok(Value::text(&self.q.metadata(label).unwrap_or_default())),
            [_] => Err("wrong type for value; expected string".into()),
            _ => Err(format!("wrong number of args for Meta: want 1 got {}", args.len())),
        }
    }

    /// The groups of the expression: their number, and their name if they have one, with what they matched.
    fn groups(&self) -> impl Iterator<Item = (Vec<String>, Value)> {
        let captures = self.pattern.expression.captures(self.name);
        let names = self.pattern.expression.capture_names().enumerate();
        names.filter_map(move |(i, name)| {
            let text = captures.as_ref()?.get(i).map_or("", |m| m.as_str());
            let names = [Some(i.to_string()), name.map(str::to_owned)].into_iter().flatten().collect();
            Some((names, Value::text(text)))
        })
    }

    /// Fields of miekg/dns's `Msg`, which CoreDNS hands to templates.
    fn message(&self, name: &str) -> Option<Value> {
        let flag = |bit: u16| Value::Bool(self.q.flags() & bit != 0);
        Some(match name {
            "Id" => Value::Int(self.q.id().into()),
            "Opcode" => Value::Int(self.q.opcode().0.into()),
            "Rcode" => Value::Int((self.q.flags() & flag::RCODE).into()),
            "Response" => flag(flag::QR),
            "Authoritative" => flag(flag::AA),
            "Truncated" => flag(flag::TC),
            "RecursionDesired" => flag(flag::RD),
            "RecursionAvailable" => flag(flag::RA),
            "Zero" => flag(flag::Z),
            "AuthenticatedData" => flag(flag::AD),
            "CheckingDisabled" => flag(flag::CD),
            "Compress" => Value::Bool(false),
            "Question" => Value::list(vec![Value::Object(Object::Question(0))]),
            "Answer" | "Ns" => Value::list(Vec::new()),
            _ => return None,
        })
    }

    fn question(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Name" => Value::text(&self.q.question.original().to_string()),
            "Qtype" => Value::Int(self.q.rtype().0.into()),
            "Qclass" => Value::Int(self.q.question.class.0.into()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGIN;
    use api::test::{ask, links, world};
    use api::{Chain, Clock, Panics};

    #[test]
    fn an_entry_stands_for_a_question_for_all() {
        let lines = "template IN A example {\nanswer \"x. 5 IN TXT {{ .Type }}-{{ .Class }}\"\n}";
        let links = links(&PLUGIN, lines, &world(Clock::manual(), Default::default())).expect("it is right");
        let chain = Chain::new(links, Panics::End);
        for question in ["a.example A", "a.example ANY"] {
            assert!(ask(&chain, question).ends_with("\"A-IN\""), "{}", ask(&chain, question));
        }
    }
}
