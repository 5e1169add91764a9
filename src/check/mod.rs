//! `poddns check`: all that is wrong with a Corefile, and what works and surprises. The daemon's own parser and set-up look at
//! it; no socket is opened, nobody is asked, nothing is written.
//!
//! | module | what it is |
//! |---|---|
//! | `texts` | what is checked: Corefiles, and ConfigMaps that hold one; where a place in them is for people |
//! | `configmap` | the Corefile in a manifest |
//! | `difference` | what one configuration does otherwise than another |
//! | `finding` | a mistake or a warning at its place; as JSON (`docs/check.md` has the schema) |
//! | `picture` | the same for people, with the line |

mod configmap;
mod difference;
mod finding;
mod picture;
mod texts;

use crate::cli::{Check, CheckFormat, Fails};
use crate::inprocess::Never;
use crate::instance::{Examined, Instance};
use crate::output;
use crate::plugins::Table;
use crate::source;
use api::Clock;
use api::corefile::{ConfigError, Corefile};
use api::setup::World;
use api::task::Carry;
use difference::Difference;
use finding::{Finding, Severity};
use serde::Serialize;
use std::sync::Arc;
use texts::Texts;

/// What is to be printed, and the exit status.
pub struct Checked {
    /// For standard output.
    pub text: String,
    /// 0 or 1.
    pub status: u8,
}

/// What is to be said of a file.
#[derive(Default)]
struct Looked {
    file: String,
    findings: Vec<Finding>,
    /// What it does otherwise than the configuration that it is compared with, where there is one and both can be read.
    differences: Option<Vec<Difference>>,
}

/// All findings, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Of this form.
    version: u32,
    errors: usize,
    warnings: usize,
    findings: Vec<&'a Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<&'a Difference>>,
}

/// Looks for mistakes in all files.
pub fn run(table: &Table, options: &Check) -> Checked {
    output::listen();
    let mut looked = Vec::new();
    let mut running = None;
    if !options.against.is_empty() {
        let (found, corefile) = parse(table, &options.against, &options.port);
        running = corefile;
        looked.extend(running.is_none().then_some(found));
    }
    looked.extend(options.files.iter().map(|file| examine(table, file, &options.port, running.as_ref())));
    let (errors, warnings) = count(looked.iter().flat_map(|looked| &looked.findings));
    let text = match options.format {
        CheckFormat::Text => looked.iter().map(|looked| for_people(looked, &options.against)).collect(),
        CheckFormat::Json => {
            let findings = looked.iter().flat_map(|looked| &looked.findings).collect();
            let compared =
                running.map(|_| looked.iter().flat_map(|looked| looked.differences.iter().flatten()).collect());
            json(&Report { version: 1, errors, warnings, findings, differences: compared })
        }
    };
    let failed = errors > 0 || warnings > 0 && options.fails == Fails::Warnings;
    Checked { text, status: u8::from(failed) }
}

/// Reads the configuration that others are compared with; without it, what is wrong with it.
fn parse(table: &Table, file: &str, port: &str) -> (Looked, Option<Corefile>) {
    let looked = |findings| Looked { file: texts::shown(file).to_owned(), findings, differences: None };
    let (source, mut texts) = match texts::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return (looked(vec![Finding::unreadable(texts::shown(file), why)]), None),
    };
    let (corefile, mistakes) = source::parse(&source, port, table);
    let findings = mistakes.iter().map(|e| Finding::new(Severity::Error, e, &mut texts)).collect();
    (looked(findings), mistakes.is_empty().then_some(corefile))
}

/// What is to be said of a file, and what it does otherwise than `running`.
fn examine(table: &Table, file: &str, port: &str, running: Option<&Corefile>) -> Looked {
    let name = texts::shown(file).to_owned();
    let (source, mut texts) = match texts::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return Looked { findings: vec![Finding::unreadable(&name, why)], file: name, differences: None },
    };
    let (corefile, mut mistakes) = source::parse(&source, port, table);
    let differences = running.filter(|_| mistakes.is_empty()).map(|running| difference::between(running, &corefile));
    let (more, mut warnings) = set_up(table, &corefile);
    mistakes.extend(more);
    if mistakes.is_empty() && source::is_default(&corefile) {
        let words = "there is no server block: the built-in default is served, whoami and log for all names";
        warnings.push(ConfigError::bare(None, words).coded("empty"));
    }
    warnings.extend(corefile.warnings);
    let mut findings: Vec<Finding> = mistakes.iter().map(|e| Finding::new(Severity::Error, e, &mut texts)).collect();
    findings.extend(warnings.iter().map(|e| Finding::new(Severity::Warning, e, &mut texts)));
    Looked { file: name, findings: in_order(&texts, findings), differences }
}

/// The mistakes and the warnings of set-up.
fn set_up(table: &Table, corefile: &Corefile) -> (Vec<ConfigError>, Vec<ConfigError>) {
    let world = World::new(Clock::system(), Carry::default(), Arc::new(Never)).to_check();
    let Examined { mistakes, warnings, .. } = Instance::examine(table, corefile, world);
    (mistakes, warnings)
}

/// As the lines stand, those of the file itself first; what several imports of a snippet repeat once.
fn in_order(texts: &Texts, mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_cached_key(|f| (f.file.as_deref() != Some(texts.main()), f.file.clone(), f.line, f.column));
    let mut seen = std::collections::HashSet::new();
    findings.retain(|f| seen.insert((f.file.clone(), f.line, f.column, f.message.clone())));
    findings
}

fn count<'a>(findings: impl Iterator<Item = &'a Finding>) -> (usize, usize) {
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.partition(|f| f.severity == Severity::Error);
    (errors.len(), warnings.len())
}

fn for_people(Looked { file, findings, differences }: &Looked, against: &str) -> String {
    let mut text = String::new();
    for finding in findings {
        text += &picture::of(finding);
        text += "\n\n";
    }
    let numbered = |n: usize, what: &str| match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let (errors, warnings) = count(findings.iter());
    text += &format!("{file}: {}, {}\n", numbered(errors, "mistake"), numbered(warnings, "warning"));
    match differences.as_deref() {
        None => (),
        Some([]) => text += &format!("{file}: the same as {against} in effect\n"),
        Some(found) => text += &format!("{file}: what is different from {against}\n{}", difference::shown(found)),
    }
    text
}

fn json(report: &Report<'_>) -> String {
    // A report has text and numbers only, which can always be written.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
