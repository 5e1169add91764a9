//! Values of templates.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: a key that a map has not.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number, of any of Go's types.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// A map, in the order of its keys.
    Map(Arc<BTreeMap<String, Value>>),
    /// Something with fields, which the data knows.
    Object(Object),
}

/// Something with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The dot at the start.
    Root,
    /// The client's message.
    Message,
    /// A question of the message, by its place.
    Question(usize),
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// A list.
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(items.into())
    }

    /// A map.
    pub fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
        Value::Map(Arc::new(entries.into_iter().collect()))
    }

    /// Whether it counts as true: not zero, not empty, not nothing.
    pub fn truth(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::Text(t) => !t.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            Value::Object(_) => true,
        }
    }

    /// The name of its type in Go.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::List(_) => "[]string",
            Value::Map(_) => "map[string]string",
            Value::Object(Object::Root) => "*template.templateData",
            Value::Object(Object::Message) => "*dns.Msg",
            Value::Object(Object::Question(_)) => "dns.Question",
        }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}
