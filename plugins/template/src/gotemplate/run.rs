//! Executing nodes.

use super::format::print;
use super::functions;
use super::{Branch, Command, Data, Node, Object, Operand, Pipeline, Value};
use std::fmt::Write;

/// Nodes and turns of ranges that may be executed for one text.
const MAX_STEPS: usize = 100_000;
/// Octets that a text may have: more than a record needs.
const MAX_OUTPUT: usize = 1 << 20;

/// Executes `nodes`.
pub fn run(name: &str, nodes: &[Node], data: &dyn Data) -> Result<String, String> {
    let root = Value::Object(Object::Root);
    let mut run = Run { name, data, out: String::new(), variables: vec![("$".into(), root.clone())], steps: 0 };
    run.list(nodes, &root)?;
    Ok(run.out)
}

struct Run<'a> {
    name: &'a str,
    data: &'a dyn Data,
    out: String,
    variables: Vec<(String, Value)>,
    steps: usize,
}

/// How the nodes of a list ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Run<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            self.step()?;
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// Counts a node, or a turn of a range, which may have no nodes.
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.out.len() > MAX_OUTPUT {
            return Err(format!("template: {}: more than {MAX_STEPS} steps or {MAX_OUTPUT} octets", self.name));
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    print(&mut self.out, &value);
                } else {
                    self.bind(pipeline, 0, value);
                }
            }
            Node::Branch { kind, condition, then, otherwise } => {
                return self.branch(*kind, condition, then, otherwise, dot);
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        kind: Branch,
        condition: &Pipeline,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipeline(condition, dot)?;
        let truth = value.truth();
        if !condition.variables.is_empty() {
            self.bind(condition, 0, value.clone());
        }
        let flow = match kind {
            _ if !truth => self.list(otherwise, dot),
            Branch::If => self.list(then, dot),
            Branch::With => self.list(then, &value),
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipeline(over, dot)?;
        let count = match &value {
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            Value::Int(n) => usize::try_from(*n).unwrap_or(0),
            Value::None => 0,
            other => {
                let text = over.commands.last().map_or("", |c| &c.text);
                return Err(self.failed_at(
                    over.commands.first(),
                    text,
                    &format!("range can't iterate over {}", shown(other)),
                ));
            }
        };
        if count == 0 {
            return self.list(otherwise, dot);
        }
        for i in 0..count {
            self.step()?;
            let (key, item) = match &value {
                Value::List(items) => (Value::Int(i as i64), items[i].clone()),
                Value::Map(entries) => {
                    let entry = entries.iter().nth(i);
                    entry.map_or((Value::None, Value::None), |(k, v)| (Value::text(k), v.clone()))
                }
                _ => (Value::Int(i as i64), Value::Int(i as i64)),
            };
            if over.variables.len() == 2 {
                self.bind(over, 0, key);
                self.bind(over, 1, item.clone());
            } else if over.variables.len() == 1 {
                self.bind(over, 0, item.clone());
            }
            let flow = self.list(body, &item);
            self.variables.truncate(known);
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// Gives the variable at `place` of a pipeline its value.
    fn bind(&mut self, pipeline: &Pipeline, place: usize, value: Value) {
        let name = &pipeline.variables[place];
        match self.variables.iter_mut().rev().find(|v| v.0 == *name) {
            Some(known) if !pipeline.declares => known.1 = value,
            _ => self.variables.push((name.clone(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::None))
    }

    /// `last` is the value of the command before in a pipeline: one more argument.
    fn command(&mut self, command: &Command, dot: &Value, last: Option<Value>) -> Result<Value, String> {
        let [first, rest @ ..] = &command.words[..] else { return Ok(Value::None) };
        if let Operand::Function(name) = first {
            return self.call(command, name, rest, dot, last);
        }
        let mut args = Vec::new();
        for operand in rest {
            args.push(self.operand(command, operand, dot, &[])?);
        }
        args.extend(last);
        let takes = matches!(first, Operand::Field(_) | Operand::Variable(_, _) | Operand::Pipeline(_, _));
        if !args.is_empty() && !takes {
            return Err(self.failed(command, "can't give argument to non-function"));
        }
        self.operand(command, first, dot, &args)
    }

    fn call(
        &mut self,
        command: &Command,
        name: &str,
        operands: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, String> {
        let mut args = Vec::new();
        for operand in operands {
            let value = self.operand(command, operand, dot, &[])?;
            // `and` and `or` stop as soon as they know.
            let decided = name == "and" && !value.truth() || name == "or" && value.truth();
            if decided {
                return Ok(value);
            }
            args.push(value);
        }
        args.extend(last);
        let value = functions::call(name, &args).unwrap_or_else(|| self.data.call(name, &args));
        value.map_err(|e| self.failed(command, &format!("error calling {name}: {e}")))
    }

    fn operand(&mut self, command: &Command, operand: &Operand, dot: &Value, args: &[Value]) -> Result<Value, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Err(self.failed(command, "nil is not a command")),
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Field(chain) => self.fields(command, dot.clone(), chain, args),
            Operand::Variable(name, chain) => {
                let value = self.variables.iter().rev().find(|v| v.0 == *name).map_or(Value::None, |v| v.1.clone());
                self.fields(command, value, chain, args)
            }
            Operand::Function(name) => self.call(command, name, &[], dot, None),
            Operand::Pipeline(inner, chain) => {
                let value = self.pipeline(inner, dot)?;
                self.fields(command, value, chain, args)
            }
        }
    }

    /// Fields of fields; the arguments are the last one's.
    fn fields(&self, command: &Command, mut value: Value, chain: &[String], args: &[Value]) -> Result<Value, String> {
        for (i, name) in chain.iter().enumerate() {
            let args = if i + 1 == chain.len() { args } else { &[] };
            value = match &value {
                Value::Map(entries) => entries.get(name).cloned().unwrap_or(Value::None),
                Value::Object(object) => {
                    self.data.field(*object, name, args).map_err(|e| self.failed_field(command, chain, &e))?
                }
                Value::None => {
                    return Err(self.failed_field(command, chain, &format!("nil data; no entry for key \"{name}\"")));
                }
                other => {
                    let why = format!("can't evaluate field {name} in type {}", other.kind());
                    return Err(self.failed_field(command, chain, &why));
                }
            };
        }
        Ok(value)
    }

    fn failed(&self, command: &Command, why: &str) -> String {
        self.failed_at(Some(command), &command.text, why)
    }

    fn failed_at(&self, command: Option<&Command>, text: &str, why: &str) -> String {
        let (line, column) = command.map_or((1, 0), |c| (c.place.line, c.place.column));
        format!("template: {name}:{line}:{column}: executing \"{name}\" at <{text}>: {why}", name = self.name)
    }

    /// Go tells the place of a field by the second octet of the chain, as its dot is one of its own.
    fn failed_field(&self, command: &Command, chain: &[String], why: &str) -> String {
        let mut text = String::new();
        for name in chain {
            // Writing to a string cannot fail.
            let _ = write!(text, ".{name}");
        }
        let offset = command.text.find(&text).unwrap_or(0);
        let (line, column) = (command.place.line, command.place.column + offset + 1);
        format!("template: {name}:{line}:{column}: executing \"{name}\" at <{text}>: {why}", name = self.name)
    }
}

fn shown(value: &Value) -> String {
    let mut out = String::new();
    print(&mut out, value);
    out
}
