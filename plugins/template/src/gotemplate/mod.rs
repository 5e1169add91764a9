//! Go's text/template: the language of actions, pipelines, variables and built-in functions, without named templates.
//!
//! Compatible in what it prints and in the words of mistakes that people meet; bounded in depth, steps and output, so that
//! no template can hold up the server.

mod format;
mod functions;
mod lex;
mod parse;
mod run;
mod value;

pub use lex::shown;
pub use value::{Object, Value};

use std::sync::Arc;

/// A template that has been read.
pub struct Template {
    name: &'static str,
    nodes: Vec<Node>,
}

/// What a template works on: the dot at its start.
pub trait Data {
    /// The field `name` of `object`; an error where it has none.
    fn field(&self, object: Object, name: &str, args: &[Value]) -> Result<Value, String>;

    /// Calls a function that Go's templates do not have of themselves.
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String>;
}

impl Template {
    /// Reads a template; `functions` are the names of further functions.
    ///
    /// # Errors
    /// Go's words for the mistake: `template: NAME:LINE: …`.
    pub fn parse(name: &'static str, text: &str, functions: &[&str]) -> Result<Template, String> {
        let nodes = parse::parse(text, functions).map_err(|e| format!("template: {name}:{}: {}", e.line, e.words))?;
        Ok(Template { name, nodes })
    }

    /// What the template makes of the data.
    ///
    /// # Errors
    /// Go's words for what failed: `template: NAME:LINE:COLUMN: executing …`.
    pub fn execute(&self, data: &dyn Data) -> Result<String, String> {
        run::run(self.name, &self.nodes, data)
    }
}

/// A piece of a template.
enum Node {
    Text(Arc<str>),
    Action(Pipeline),
    /// `if` and `with`.
    Branch {
        kind: Branch,
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    If,
    With,
}

/// Commands whose values are handed on, and the variables that take the last one.
struct Pipeline {
    variables: Vec<String>,
    /// The variables are new (`:=`), not changed (`=`).
    declares: bool,
    commands: Vec<Command>,
}

/// An operand, or a function or method with its arguments.
struct Command {
    words: Vec<Operand>,
    place: Place,
    /// As it is written, for messages.
    text: Arc<str>,
}

/// Where something stands.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    /// Octets from the beginning of the line.
    column: usize,
}

enum Operand {
    Dot,
    Nil,
    Literal(Value),
    /// `.A.B`: fields of the dot.
    Field(Vec<String>),
    /// `$x.A.B`; the name with its dollar sign.
    Variable(String, Vec<String>),
    Function(String),
    /// `(…).A.B`
    Pipeline(Box<Pipeline>, Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Data for Fixed {
        fn field(&self, object: Object, name: &str, args: &[Value]) -> Result<Value, String> {
            match (object, name) {
                (Object::Root, "Name") => Ok(Value::text("www.test.")),
                (Object::Root, "Match") => Ok(Value::list(vec![Value::text("a"), Value::text("b")])),
                (Object::Root, "Group") => Ok(Value::map([("b".to_owned(), Value::text("ff"))])),
                (Object::Root, "Meta") => Ok(Value::text(&format!("meta {}", args.len()))),
                (Object::Root, "Question") => Ok(Value::Object(Object::Question(0))),
                (Object::Question(_), "Qtype") => Ok(Value::Int(16)),
                _ => Err(format!("can't evaluate field {name} in type x")),
            }
        }

        fn call(&self, _name: &str, _args: &[Value]) -> Result<Value, String> {
            Ok(Value::Int(255))
        }
    }

    fn run(text: &str) -> String {
        match Template::parse("answer", text, &["parseInt"]) {
            Ok(template) => template.execute(&Fixed).unwrap_or_else(|e| e),
            Err(e) => e,
        }
    }

    #[test]
    fn what_is_printed() {
        for (text, want) in [
            ("a {{ .Name }} b", "a www.test. b"),
            ("a {{- /* c */ -}} b", "ab"),
            ("a {{- .Name -}} b", "awww.test.b"),
            ("{{ range $i, $e := .Match }}{{ $i }}={{ $e }};{{ else }}none{{ end }}", "0=a;1=b;"),
            ("{{ range .Match }}{{ . }}{{ break }}{{ end }}", "a"),
            ("{{ range $i := .Match }}{{ if eq $i `a` }}{{ continue }}{{ end }}{{ $i }}{{ end }}", "b"),
            ("{{ if and 1 0 }}x{{ else if .Name }}y{{ else }}z{{ end }}", "y"),
            ("{{ with $x := .Group }}{{ $x.b }}{{ .b }}{{ end }}{{ with `` }}{{ else }}no{{ end }}", "ffffno"),
            ("{{ .Group.none }} {{ index .Group `b` }} {{ index .Match 1 }}", "<no value> ff b"),
            ("{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "2"),
            ("{{ .Name | printf `%.3s` }} {{ printf `%05d %x %q` 42 255 `a` }}", "www 00042 ff \"a\""),
            ("{{ len .Name }} {{ .Match | len }} {{ slice .Name 0 3 }}", "9 2 www"),
            (
                "{{ not true }} {{ and 1 0 }} {{ or 0 `x` }} {{ lt 1 2 }} {{ ne 1 2 }} {{ eq 3 1 2 3 }}",
                "false 0 x true true true",
            ),
            ("{{ html `<a>` }} {{ js `'` }} {{ urlquery `a b` }} {{ print 1 2 `a` }}", "&lt;a&gt; \\' a+b 1 2a"),
            ("{{ .Meta `x` }} {{ .Question.Qtype }} {{ (index .Match 0) }} {{ .Match }}", "meta 1 16 a [a b]"),
            ("{{ parseInt .Group.b 16 8 }} {{ true }} {{ 1.5 }} {{ 'a' }} {{ 0x10 }}", "255 true 1.5 97 16"),
            ("}} {{ `}}` }}", "}} }}"),
            (
                "{{ printf `%d` `x` }} {{ printf `%d` }} {{ printf `a` 1 }}",
                "%!d(string=x) %!d(MISSING) a%!(EXTRA int=1)",
            ),
        ] {
            assert_eq!(run(text), want, "{text}");
        }
    }

    #[test]
    fn mistakes_in_the_words_of_go() {
        for (text, want) in [
            ("{{", "unclosed action"),
            ("{{ .Name", "unclosed action"),
            ("{{ nofunc }}", "function \"nofunc\" not defined"),
            ("{{ end }}", "unexpected {{end}}"),
            ("{{ else }}", "unexpected {{else}}"),
            ("{{ if }}", "missing value for if"),
            ("{{ }}", "missing value for command"),
            ("{{ range .Match }}x", "unexpected EOF"),
            ("{{ /* c */ }}", "unexpected \"/\" in command"),
            ("{{ $x := 1 }}{{ $y }}", "undefined variable \"$y\""),
            ("{{ break }}", "{{break}} outside {{range}}"),
            ("{{ \"a }}", "unterminated quoted string"),
            ("{{ (1 }}", "unclosed left paren"),
        ] {
            assert_eq!(run(text), format!("template: answer:1: {want}"), "{text}");
        }
        assert!(run("\n{{ nofunc }}").starts_with("template: answer:2: "));
        for (text, want) in [
            (
                "{{ index .Match 5 }}",
                "3: executing \"answer\" at <index .Match 5>: error calling index: index out of range: 5",
            ),
            ("{{ .Nothing }}", "4: executing \"answer\" at <.Nothing>: can't evaluate field Nothing in type x"),
        ] {
            assert_eq!(run(text), format!("template: answer:1:{want}"), "{text}");
        }
    }

    #[test]
    fn work_is_bounded() {
        assert!(run("{{ range 1000000000 }}x{{ end }}").contains("more than"));
        assert!(run("{{ range 1000000 }}{{ end }}").contains("more than"), "a turn without nodes is a step too");
        assert_eq!(run("{{ range 1000 }}{{ end }}x"), "x");
        let deep = "{{ if 1 }}".repeat(2000);
        assert!(run(&deep).contains("nested"));
        assert!(run(&format!("{{{{ {} }}}}", "(".repeat(5000))).contains("nested"));
    }
}
