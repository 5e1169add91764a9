//! `poddns check`: all that is wrong with a Corefile, and what works and surprises. The daemon's own parser and set-up look at
//! it; no socket is opened, nobody is asked, nothing is written.
//!
//! | module | what it is |
//! |---|---|
//! | `texts` | what is checked: Corefiles, and ConfigMaps that hold one; where a place in them is for people |
//! | `configmap` | the Corefile in a manifest |
//! | `finding` | a mistake or a warning at its place; as JSON (`docs/check.md` has the schema) |
//! | `picture` | the same for people, with the line |

mod configmap;
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
use finding::{Finding, Severity};
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;
use texts::Texts;

/// What is to be printed, and the exit status.
pub struct Checked {
    /// For standard output.
    pub text: String,
    /// 0 or 1.
    pub status: u8,
}

/// All findings, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Of this form.
    version: u32,
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

/// Looks for mistakes in all files.
pub fn run(table: &Table, options: &Check) -> Checked {
    output::listen();
    let looked: Vec<(String, Vec<Finding>)> =
        options.files.iter().map(|file| (texts::shown(file).to_owned(), examine(table, file, &options.port))).collect();
    let (errors, warnings) = count(looked.iter().flat_map(|(_, findings)| findings));
    let text = match options.format {
        CheckFormat::Text => looked.iter().map(|(file, findings)| for_people(file, findings)).collect(),
        CheckFormat::Json => {
            let findings: Vec<Finding> = looked.into_iter().flat_map(|(_, findings)| findings).collect();
            json(&Report { version: 1, errors, warnings, findings: &findings })
        }
    };
    let failed = errors > 0 || warnings > 0 && options.fails == Fails::Warnings;
    Checked { text, status: u8::from(failed) }
}

/// What is to be said of a file.
fn examine(table: &Table, file: &str, port: &str) -> Vec<Finding> {
    let (source, mut texts) = match texts::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return vec![Finding::unreadable(texts::shown(file), why)],
    };
    let (corefile, mut mistakes) = source::parse(&source, port, table);
    let (more, mut warnings) = set_up(table, &corefile);
    mistakes.extend(more);
    if mistakes.is_empty() && source::is_default(&corefile) {
        let words = "there is no server block: the built-in default is served, whoami and log for all names";
        warnings.push(ConfigError::bare(None, words).coded("empty"));
    }
    warnings.extend(corefile.warnings);
    let mistakes = mistakes.iter().map(|e| Finding::new(Severity::Error, e, &mut texts));
    let mut findings: Vec<Finding> = mistakes.collect();
    findings.extend(warnings.iter().map(|e| Finding::new(Severity::Warning, e, &mut texts)));
    in_order(&texts, findings)
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

fn for_people(file: &str, findings: &[Finding]) -> String {
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
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{file}: {}, {}", numbered(errors, "mistake"), numbered(warnings, "warning"));
    text
}

fn json(report: &Report<'_>) -> String {
    // A report has text and numbers only, which can always be written.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
