//! The template directive: answers made from templates.

mod answer;
mod data;
mod gotemplate;
mod metrics;
mod rules;
mod setup;

use answer::Records;
use api::expression::Regex;
use api::server::PerSite;
use api::{Class, Fallthrough, Name, Plugin, PluginDef, Query, Rcode, RecordType, Result, Step, Waiting};
use data::QueryData;
use gotemplate::Template;
use metrics::{Counters, Series};
use rules::{Rules, Verdict};

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "template", properties: PROPERTIES, metrics: metrics::ALL, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] =
    &["match", "answer", "additional", "authority", "rcode", "ederror", "fallthrough", "upstream", "var", "expr"];

/// The first entry whose class, type, zone, pattern and conditions fit makes the answer.
struct Templates {
    entries: Box<[Entry]>,
}

/// One `template` of the Corefile.
struct Entry {
    class: Class,
    rtype: RecordType,
    zones: Box<[Name]>,
    patterns: Box<[Pattern]>,
    rules: Rules,
    answer: Box<[Source]>,
    additional: Box<[Source]>,
    authority: Box<[Source]>,
    rcode: Rcode,
    /// Code and text of an extended error (RFC 8914).
    extended_error: Option<(u16, String)>,
    fallthrough: Fallthrough,
    counters: PerSite<Counters>,
}

/// An expression that names have to match.
struct Pattern {
    /// As it is written.
    text: String,
    expression: Regex,
}

/// The template of a record, and its text as Go shows it.
struct Source {
    text: String,
    template: Template,
}

impl Plugin for Templates {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let mut name = None;
        for entry in self.entries.iter().filter(|e| e.covers(q)) {
            let Some(zone) = entry.zone(q) else { continue };
            let name = name.get_or_insert_with(|| q.name().to_string());
            let pattern = entry.patterns.iter().find(|p| p.expression.is_match(name));
            let fits = pattern.map(|pattern| (pattern, entry.rules.check(q, name, pattern)));
            let (pattern, variables) = match fits {
                Some((pattern, Verdict::Holds(variables))) => (pattern, variables),
                Some((_, Verdict::Failed(failure))) => {
                    tracing::debug!("plugin/template: no value for {name} {}: {failure}", q.rtype());
                    return Ok(servfail(q));
                }
                _ if entry.fallthrough.covers(q.name()) => continue,
                _ => return Ok(servfail(q)),
            };
            let data = QueryData { q, name, zone, pattern, fits: (entry.class, entry.rtype), variables };
            entry.count(&data, |c| c.matches.inc());
            if entry.rcode == Rcode::SERVFAIL {
                return Ok(servfail(q));
            }
            let records = entry.records(&data)?;
            if records.aliases(q).next().is_some() {
                q.set_note(records);
                return Ok(Step::Wait);
            }
            records.write(q);
            return Ok(Step::Done);
        }
        Ok(Step::Next)
    }

    /// Looks up the targets of aliases.
    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(async {
            if let Some(mut records) = q.take_note::<Records>() {
                records.chase(q).await;
                records.write(q);
            }
            Ok(Step::Done)
        })
    }
}

fn servfail(q: &mut Query) -> Step {
    q.reply.bare(Rcode::SERVFAIL);
    Step::Done
}

impl Entry {
    /// Whether class and type fit.
    fn covers(&self, q: &Query) -> bool {
        let (class, rtype) = (q.question.class, q.rtype());
        let class_fits = self.class == Class::ANY || class == Class::ANY || self.class == class;
        class_fits && (self.rtype == RecordType::ANY || rtype == RecordType::ANY || self.rtype == rtype)
    }

    /// The longest of its zones that the name is in.
    fn zone(&self, q: &Query) -> Option<&Name> {
        let fitting = self.zones.iter().filter(|zone| q.name().is_below(zone.as_ref()));
        fitting.max_by_key(|zone| zone.as_bytes().len())
    }

    fn count(&self, data: &QueryData<'_>, count: impl FnOnce(&Series)) {
        if let Some(site) = data.q.site()
            && let Some(counters) = self.counters.get(site, |_| Counters::new(self.zones.len()))
            && let Some(zone) = self.zones.iter().position(|zone| zone == data.zone)
        {
            count(&counters.of(data, site, zone));
        }
    }
}
