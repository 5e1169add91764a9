//! The any directive: a short answer to questions for all types (RFC 8482).

use api::corefile::ConfigError;
use api::{Owner, Plugin, PluginDef, Query, RecordType, Result, Section, Setup, Step};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "any", properties: &[], metrics: &[], setup };

/// TTL of the answer, in seconds (CoreDNS's value).
const TTL: u32 = 8482;

/// Answers type ANY, of any name, with an HINFO record (RFC 8482 4.2).
struct Any;

impl Plugin for Any {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if q.rtype() != RecordType::ANY {
            return Ok(Step::Next);
        }
        q.respond().push(Section::Answer, Owner::Question, RecordType::HINFO, TTL, |d| {
            d.text(b"ANY obsoleted");
            d.text(b"See RFC 8482");
        });
        Ok(Step::Done)
    }
}

/// Takes no arguments.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    setup.cursor().no_arguments()?;
    setup.add(Any);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain};

    #[test]
    fn only_questions_for_all_types() {
        let any = chain(Any);
        let want = "NOERROR rd\nanswer a.example. 8482 IN HINFO \"ANY obsoleted\" \"See RFC 8482\"";
        assert_eq!(ask(&any, "a.example ANY"), want);
        assert!(ask(&any, "a.example A").starts_with("REFUSED"));
    }
}
