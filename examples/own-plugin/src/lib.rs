//! The hello directive: greets who asks for a TXT record of one of the block's zones.

use api::corefile::ConfigError;
use api::{Name, Owner, Plugin, PluginDef, Query, Rcode, RecordType, Result, Section, Setup, Step};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "hello", properties: &[], metrics: &[], setup };

/// TTL of the greeting, in seconds.
const TTL: u32 = 60;

/// Octets of a character string (RFC 1035 3.3).
const MAX_TEXT: usize = 255;

/// Answers with one text; everything else goes on to the plugins below.
struct Hello {
    zones: Box<[Name]>,
    text: Box<str>,
}

impl Plugin for Hello {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let ours = self.zones.iter().any(|zone| zone.as_ref() == q.name());
        if !ours || q.rtype() != RecordType::TXT {
            return Ok(Step::Next);
        }
        let reply = q.respond_authoritative(Rcode::NOERROR);
        reply.push(Section::Answer, Owner::Question, RecordType::TXT, TTL, |d| d.text(self.text.as_bytes()));
        Ok(Step::Done)
    }
}

/// `hello TEXT`
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let [text] = c.remaining_args()[..] else { return Err(c.arg_err()) };
    if text.len() > MAX_TEXT {
        return Err(c.err(format!("a text of more than {MAX_TEXT} octets")));
    }
    c.next_once()?;
    let zones = setup.zones().to_vec();
    setup.add(Hello { zones: zones.into(), text: text.into() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain, links, world};
    use api::{Clock, task::Carry};

    #[test]
    fn only_texts_of_the_zone() {
        let hello = chain(Hello { zones: [Name::from_text("example").unwrap()].into(), text: "hello".into() });
        assert_eq!(ask(&hello, "Example TXT"), "NOERROR aa rd\nanswer Example. 60 IN TXT \"hello\"");
        for question in ["example A", "a.example TXT"] {
            assert_eq!(ask(&hello, question), "REFUSED (no message)", "{question}");
        }
    }

    #[test]
    fn mistakes() {
        let world = world(Clock::manual(), Carry::default());
        let refused = |lines| links(&PLUGIN, lines, &world).err().unwrap();
        let count = "plugin/hello: f:2 - Error during parsing: Wrong argument count or unexpected line ending after";
        assert_eq!(refused("hello"), format!("{count} 'hello'"));
        assert_eq!(refused("hello a b"), format!("{count} 'b'"));
        assert_eq!(
            refused("hello a\nhello b"),
            "f:3 - plugin/hello: this plugin can only be used once per Server Block"
        );
        assert!(refused(&format!("hello {}", "a".repeat(256))).ends_with("more than 255 octets"));
    }
}
