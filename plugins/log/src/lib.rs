//! The log directive: a line for each query.

mod format;
mod setup;

use api::reply::Kind;
use api::{Clock, Name, Outcome, Plugin, PluginDef, Query, Result, Step, Ways, lines};
use format::Format;
use std::cell::RefCell;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "log", properties: PROPERTIES, metrics: &[], setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["class"];

/// Logs queries when their replies come by.
struct Log {
    rules: Box<[Rule]>,
    clock: Clock,
}

/// What is logged of the queries below a name.
struct Rule {
    name: Name,
    classes: Classes,
    format: Format,
}

/// Which replies are logged.
#[derive(Clone, Copy, Default)]
struct Classes {
    success: bool,
    denial: bool,
    error: bool,
}

thread_local! {
    /// The line that is written.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Plugin for Log {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        let Some(rule) = self.rules.iter().find(|r| q.name().is_below(r.name.as_ref())) else { return Ok(Step::Done) };
        if let Outcome::Bare(rcode) = q.reply.outcome() {
            // What is logged has to be there, and plugins above see that it was written here (CoreDNS behaviour).
            q.respond().set_rcode(rcode);
        }
        let kind = q.reply.kind(|| self.clock.unix());
        if rule.classes.include(kind) {
            q.describe("log/class", || class(kind).into());
            q.describe("log/type", || name(kind).into());
            LINE.with_borrow_mut(|line| {
                line.clear();
                rule.format.write(line, q, self.clock.now());
                lines::write(line);
            });
        }
        Ok(Step::Done)
    }
}

impl Classes {
    const ALL: Classes = Classes { success: true, denial: true, error: true };

    fn include(self, kind: Kind) -> bool {
        match class(kind) {
            "success" => self.success,
            "denial" => self.denial,
            _ => self.error,
        }
    }
}

/// The class of a reply, as the directive's lines have it.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Answer | Kind::Delegation => "success",
        Kind::NameError | Kind::NoData => "denial",
        Kind::ServerError | Kind::Meta | Kind::Update | Kind::Other => "error",
    }
}

/// What CoreDNS calls a kind of reply.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Answer => "NOERROR",
        Kind::NameError => "NXDOMAIN",
        Kind::NoData => "NODATA",
        Kind::Delegation => "DELEGATION",
        Kind::ServerError => "SERVERERROR",
        Kind::Meta => "META",
        Kind::Update => "UPDATE",
        Kind::Other => "OTHERERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{Bottom, query};
    use api::{Chain, Link, Panics, Run};

    #[test]
    fn a_bare_code_is_written_where_it_is_logged() {
        for (name, written) in [("a.example", true), ("a.test", false)] {
            let rule =
                Rule { name: Name::from_text("example").unwrap(), classes: Classes::ALL, format: Format::parse("") };
            let log = Log { rules: vec![rule].into(), clock: Clock::system() };
            let links =
                vec![Link { name: "log", plugin: Box::new(log) }, Link { name: "bottom", plugin: Box::new(Bottom) }];
            let mut q = query(&format!("{name} A"));
            assert_eq!(Chain::new(links, Panics::End).run(&mut q), Run::Done);
            assert_eq!(q.reply.is_message(), written, "{name}");
            assert_eq!(q.reply.rcode(), Some(api::Rcode::REFUSED));
        }
    }
}
