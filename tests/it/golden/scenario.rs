//! What a recording holds; `tests/golden/README.md` says what the fields mean.

use super::ask::Ask;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use testkit::upstream::Script;

/// A scenario with the name that it has in reports: `family/file.json [name]`.
pub(super) struct Labelled {
    pub(super) label: String,
    pub(super) scenario: Scenario,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    #[serde(rename = "name")]
    _name: Option<String>,
    pub(super) corefile: Option<String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) args: Vec<String>,
    pub(super) objects: Option<Vec<Value>>,
    pub(super) api: Option<Value>,
    #[serde(default)]
    brief: bool,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    pub(super) upstreams: Vec<Script>,
    pub(super) command: Option<Vec<String>>,
    pub(super) stdin: Option<String>,
    #[serde(default)]
    pub(super) start: Start,
    #[serde(default)]
    pub(super) settle: f64,
    #[serde(default = "eight")]
    pub(super) start_timeout: f64,
    pub(super) steps: Option<Vec<Step>>,
}

/// How the server starts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Start {
    /// It ends at once, with this status and this first line of what it says.
    Refused { exit: i32, message: String },
    /// It runs.
    Ok(Running),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Running {
    Ok,
}

impl Default for Start {
    fn default() -> Self {
        Self::Ok(Running::Ok)
    }
}

#[derive(Deserialize)]
pub(super) struct Step {
    #[serde(flatten)]
    pub(super) action: Action,
    pub(super) reply: Option<Value>,
    /// By how many seconds TTLs may differ.
    #[serde(default)]
    pub(super) ttl: f64,
    /// A raw packet's name.
    pub(super) what: Option<String>,
    /// Seconds to wait after a change.
    pub(super) settle: Option<f64>,
    /// The page that a metric is on.
    pub(super) at: Option<String>,
    #[serde(default = "yes")]
    pub(super) body: bool,
    #[serde(default)]
    pub(super) show: Vec<String>,
    pub(super) method: Option<String>,
    pub(super) data: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) all: bool,
    #[serde(default)]
    pub(super) sort: bool,
    #[serde(default)]
    pub(super) tls: bool,
    pub(super) port: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Ask(String),
    Http(String),
    Raw(String),
    Stream(Vec<String>),
    Metric(String),
    Script(usize, Script),
    Exit(f64),
    Serial(String),
    UpstreamSaw(usize),
    Log(String),
    Api(Value),
    Wait(f64),
    Put(Value),
    Delete(String, String, String),
    Write(String, String),
    Remove(String),
    Signal(String),
}

impl Scenario {
    /// Writes out the replies of a brief scenario.
    pub(super) fn lengthen(&mut self) {
        for step in self.steps.iter_mut().flatten().filter(|_| self.brief) {
            if let (Action::Ask(line), Some(Value::Object(reply))) = (&step.action, &mut step.reply)
                && reply.contains_key("status")
            {
                lengthen(line, reply, &self.lines);
            }
        }
    }

    /// Why this scenario is not played, if it is not.
    pub(super) fn out_of_reach(&self) -> Option<&'static str> {
        self.steps.iter().flatten().find_map(|step| match &step.action {
            Action::Ask(line) => OTHER_WAYS.iter().find(|w| line.contains(w.0)).map(|w| w.1),
            Action::Http(url) if url.starts_with("https:") => Some("HTTPS is not played"),
            Action::Stream(_) if step.tls => Some("DNS over TLS is not played"),
            _ => None,
        })
    }
}

impl Step {
    /// What the step is called in reports.
    pub(super) fn label(&self) -> &str {
        match &self.action {
            Action::Ask(text)
            | Action::Http(text)
            | Action::Metric(text)
            | Action::Log(text)
            | Action::Serial(text) => text,
            Action::UpstreamSaw(_) => "upstream",
            Action::Exit(_) => "exit",
            Action::Raw(text) => self.what.as_deref().unwrap_or(text),
            _ => self.what.as_deref().unwrap_or("stream"),
        }
    }
}

fn lengthen(line: &str, reply: &mut Map<String, Value>, lines: &[String]) {
    reply.entry("question").or_insert_with(|| Ask::parse(line).message.questions[0].to_string().into());
    reply.entry("flags").or_insert_with(|| "qr aa rd".into());
    for section in ["answer", "authority", "additional"] {
        for record in reply.get_mut(section).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(n) = record.as_str().and_then(|r| r.strip_prefix('~')) {
                *record = lines[n.parse::<usize>().expect("a line's number")].clone().into();
            }
        }
    }
}

/// Ways to ask that the player has not.
const OTHER_WAYS: &[(&str, &str)] = &[
    ("+tls=", "DNS over TLS is not played"),
    ("+https=", "DNS over HTTPS is not played"),
    ("+https3=", "DNS over HTTP/3 is not played"),
    ("+quic=", "DNS over QUIC is not played"),
    ("+grpc=", "DNS over gRPC is not played"),
    ("+tsig=", "signed questions are not played"),
];

fn yes() -> bool {
    true
}

fn eight() -> f64 {
    8.0
}
