//! `fallthrough [ZONES…]`: for which names a plugin that has no answer leaves the question to the plugins below.

use crate::corefile::{Cursor, value};
use crate::name::{Name, NameRef};

/// The names that fall through; none without the property.
#[derive(Clone, Debug, Default)]
pub struct Fallthrough(Vec<Name>);

impl Fallthrough {
    /// Reads the arguments of the property, whose name is the current token: zones, or none for all names.
    pub fn parse(c: &mut Cursor<'_>) -> Fallthrough {
        let zones = c.remaining_args();
        if zones.is_empty() {
            return Fallthrough(vec![Name::root()]);
        }
        Fallthrough(value::names(&zones))
    }

    /// The same for the names that are `zone` or below it, and any for others.
    pub fn inside(&self, zone: NameRef<'_>) -> Fallthrough {
        let concerns = |other: &&Name| zone.is_below((*other).as_ref()) || other.as_ref().is_below(zone);
        Fallthrough(self.0.iter().filter(concerns).cloned().collect())
    }

    /// Whether `name`, in lower case, falls through.
    pub fn covers(&self, name: NameRef<'_>) -> bool {
        self.0.iter().any(|zone| name.is_below(zone.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::{Corefile, Source};

    fn fallthrough(line: &str) -> Fallthrough {
        let source = Source::new("f", format!(". {{\n x {{\n{line}\n}}\n}}\n"));
        let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).expect("no mistakes");
        let mut c = Cursor::new("x", corefile.blocks[0].directive("x").expect("it is used"));
        assert!(c.next() && c.next_block());
        Fallthrough::parse(&mut c)
    }

    #[test]
    fn zones_and_names() {
        let covers = |line: &str, name: &str| fallthrough(line).covers(Name::from_text(name).unwrap().as_ref());
        assert!(covers("fallthrough", "a.example.org"));
        assert!(covers("fallthrough Example.ORG", "a.example.org"));
        assert!(!covers("fallthrough example.org", "a.example.net"));
        assert!(covers("fallthrough example.net 10.0.0.0/24", "1.0.0.10.in-addr.arpa"));
        assert!(!Fallthrough::default().covers(NameRef::ROOT));
    }

    #[test]
    fn inside_of_a_zone_nothing_else_counts() {
        for (line, zone, name, falls) in [
            ("fallthrough", "a.org", "b.a.org", true),
            ("fallthrough org", "a.org", "a.org", true),
            ("fallthrough b.a.org", "a.org", "c.b.a.org", true),
            ("fallthrough b.a.org", "a.org", "c.a.org", false),
            ("fallthrough net", "a.org", "a.org", false),
        ] {
            let [zone, name] = [zone, name].map(|text| Name::from_text(text).unwrap());
            let (all, inside) = (fallthrough(line), fallthrough(line).inside(zone.as_ref()));
            assert_eq!([&all, &inside].map(|f| f.covers(name.as_ref())), [falls; 2], "{line} {name}");
        }
        assert!(fallthrough("fallthrough net org").inside(Name::from_text("a.org").unwrap().as_ref()).0.len() == 1);
    }
}
