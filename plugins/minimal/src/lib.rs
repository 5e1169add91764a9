//! The minimal directive: leaves out of a reply what the client need not know.

use api::corefile::ConfigError;
use api::reply::Kind;
use api::{Clock, Plugin, PluginDef, Query, Result, Section, Setup, Step, Ways};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "minimal", properties: &[], metrics: &[], setup };

/// Drops all but the answer from replies that have one.
struct Minimal(Clock);

impl Plugin for Minimal {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if q.reply.kind(|| self.0.unix()) == Kind::Answer {
            q.reply.drop_from(Section::Authority);
            q.reply.set_opt(None);
        }
        Ok(Step::Done)
    }
}

/// Takes no arguments.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    setup.cursor().no_arguments()?;
    let clock = setup.clock();
    setup.add(Minimal(clock));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{query, text};
    use api::{Chain, Link, NameRef, Owner, Panics, Rcode, RecordType, Run};

    /// Answers with a record in each section, but for `nodata`.
    struct Verbose;

    impl Plugin for Verbose {
        fn query(&self, q: &mut Query) -> Result<Step> {
            let nodata = q.name().to_string() == "nodata.";
            let reply = q.respond_authoritative(Rcode::NOERROR);
            if !nodata {
                reply.push(Section::Answer, Owner::Question, RecordType::NS, 5, |d| d.name(NameRef::ROOT));
            }
            for section in [Section::Authority, Section::Additional] {
                reply.push(section, Owner::Question, RecordType::NS, 5, |d| d.name(NameRef::ROOT));
            }
            Ok(Step::Done)
        }
    }

    #[test]
    fn answers_are_reduced_and_nothing_else() {
        let links = vec![
            Link { name: "minimal", plugin: Box::new(Minimal(Clock::system())) },
            Link { name: "verbose", plugin: Box::new(Verbose) },
        ];
        let chain = Chain::new(links, Panics::End);
        for (question, lines) in [("a. NS", 2), ("nodata. NS", 3)] {
            let mut q = query(question);
            assert_eq!(chain.run(&mut q), Run::Done);
            assert_eq!(text(&q).lines().count(), lines, "{}", text(&q));
        }
    }
}
