//! A Corefile: the language and the set-up of every directive.

use api::corefile::{Corefile, Source};
use poddns::plugins::{Row, standard};

/// Parses a text that may be anything; what is well formed has a hash.
pub fn parse(text: &[u8]) {
    let table = standard();
    let known = |name: &str| table.0.iter().map(Row::name).any(|n| n == name);
    match Corefile::parse(&Source::new("Corefile", text), "53", &known, &|_| Some("x".into())) {
        Ok(corefile) => assert_eq!(corefile.hash().len(), 128),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            mistakes.iter().for_each(|m| assert!(!m.to_string().is_empty()));
        }
    }
}
