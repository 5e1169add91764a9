//! An expression: reading it, and its value for a query.

use api::expr::{Expression, Facts, Groups, Names, Type, Value};
use api::{Clock, Query};

/// A query for `www.example.` A.
const MESSAGE: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";

struct NoGroups;

impl Groups for NoGroups {
    fn group(&self, _name: &str) -> Option<&str> {
        Some("group")
    }
}

/// Reads a text that may be anything, and evaluates what it says.
///
/// # Panics
/// A mistake or a value cannot be told.
pub fn evaluate(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut names = Names::of_query().with_groups();
    names.add_variable("x", Type::Unknown);
    let expression = match Expression::compile(&text, &names) {
        Ok(expression) => expression,
        Err(words) => return assert!(!words.is_empty()),
    };
    let mut q = Query::default();
    q.parse(MESSAGE).expect("well formed");
    let clock = Clock::manual();
    let facts = Facts::new(&q, &clock).with_groups(&NoGroups);
    match expression.evaluate(&facts, &[Value::Int(1)]) {
        Ok(value) => drop(value.shown()),
        Err(failure) => assert!(!failure.to_string().is_empty()),
    }
}
