//! The chaos directive: answers who the server is, in class CH.

use api::corefile::ConfigError;
use api::{Class, Owner, Plugin, PluginDef, Query, RecordType, Result, Section, Setup, Step};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "chaos", properties: &[], metrics: &[], setup };

/// Octets of the longest character string (RFC 1035 3.3).
const MAX_TEXT: usize = 255;

/// Answers TXT questions of class CH for a few names.
struct Chaos {
    version: String,
    authors: Vec<String>,
    host: String,
}

impl Plugin for Chaos {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if q.question.class != Class::CH || q.rtype() != RecordType::TXT {
            return Ok(Step::Next);
        }
        let texts = match q.name().as_bytes() {
            VERSION_BIND | VERSION_SERVER => std::slice::from_ref(&self.version),
            HOSTNAME_BIND | ID_SERVER => std::slice::from_ref(&self.host),
            AUTHORS_BIND => &self.authors,
            _ => return Ok(Step::Next),
        };
        // The authors take turns in being the first.
        let first = if texts.is_empty() { 0 } else { fastrand::usize(..texts.len()) };
        let reply = q.respond();
        for text in texts[first..].iter().chain(&texts[..first]) {
            let kind = (RecordType::TXT, Class::CH);
            reply.push_class(Section::Answer, Owner::Question, kind, 0, |d| d.text(text.as_bytes()));
        }
        Ok(Step::Done)
    }
}

const VERSION_BIND: &[u8] = b"\x07version\x04bind\0";
const VERSION_SERVER: &[u8] = b"\x07version\x06server\0";
const HOSTNAME_BIND: &[u8] = b"\x08hostname\x04bind\0";
const ID_SERVER: &[u8] = b"\x02id\x06server\0";
const AUTHORS_BIND: &[u8] = b"\x07authors\x04bind\0";

/// `chaos [VERSION] [AUTHORS…]`; the first line counts.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let args = c.remaining_args();
    if c.next_block() {
        return Err(c.err(format!("unknown property '{}'", c.val())));
    }
    let version = args.first().map_or_else(|| DEFAULT_VERSION.to_owned(), |v| (*v).to_owned());
    let mut authors: Vec<String> = args.iter().skip(1).map(|a| cut(a)).collect();
    authors.sort_unstable();
    authors.dedup();
    if authors.is_empty() {
        authors.push(DEFAULT_AUTHORS.to_owned());
    }
    setup.options().any_class = true;
    setup.add(Chaos { version: cut(&version), authors, host: host_name() });
    Ok(())
}

const DEFAULT_VERSION: &str = concat!("poddns-", env!("CARGO_PKG_VERSION"));
const DEFAULT_AUTHORS: &str = "the poddns team";

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_str().map_or_else(|_| "localhost".into(), str::to_owned);
    cut(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{ask, chain};

    #[test]
    fn who_the_server_is() {
        let authors = vec!["a".to_owned(), "b".to_owned()];
        let chaos = chain(Chaos { version: "v1".into(), authors, host: "h".into() });
        let ask = |question: &str| ask(&chaos, question);
        assert_eq!(ask("Version.Bind TXT CH"), "NOERROR rd\nanswer Version.Bind. 0 CH TXT \"v1\"");
        assert_eq!(ask("id.server TXT CH"), "NOERROR rd\nanswer id.server. 0 CH TXT \"h\"");
        assert_eq!(ask("authors.bind TXT CH").lines().count(), 3);
        for other in ["version.bind TXT", "version.bind A CH", "x.bind TXT CH"] {
            assert!(ask(other).starts_with("REFUSED"), "{other}");
        }
    }
}
