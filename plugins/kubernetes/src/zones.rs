//! The zones that the directive answers for.

use api::{Fallthrough, Name, NameRef};

/// The zones of one directive, and which of them names in PTR records end in.
pub struct Zones {
    /// The longest first, so that the first match is the right one.
    all: Vec<Zone>,
    primary: Name,
}

/// One zone, in lower case.
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// Whether its services are those that other clusters export (`multicluster`).
    pub multicluster: bool,
    /// What the names of its name servers and of its services end in where that is not its name (spec 1.12).
    pub mangled: Option<Name>,
    /// Whether `ns.dns` below it has addresses. It has none where the zone's text begins inside of it: below the root, for one.
    pub name_servers: bool,
    /// Whether names in one of the reverse trees may be in it.
    pub has_reverse_names: bool,
    /// The names of it that fall through.
    pub fallthrough: Fallthrough,
}

impl Zones {
    /// The zones called `names`, in lower case; `None` where all are reverse zones (spec 1.2).
    pub fn new(names: &[Name]) -> Option<Zones> {
        let primary = names.iter().find(|name| !is_reverse(name.as_ref()))?.clone();
        let mut all: Vec<Zone> = names.iter().cloned().map(Zone::new).collect();
        all.sort_by_key(|zone| std::cmp::Reverse(zone.name.as_bytes().len()));
        Some(Zones { all, primary })
    }

    /// The longest zone that `name`, in lower case, is or is below, and how many octets stand in front of it.
    pub fn find(&self, name: NameRef<'_>) -> Option<(&Zone, usize)> {
        self.all.iter().find_map(|zone| Some((zone, name.below(zone.name.as_ref())?)))
    }

    /// Makes those of the zones that are called `names` multicluster zones.
    pub fn set_multicluster(&mut self, names: &[Name]) {
        self.all.iter_mut().for_each(|zone| zone.multicluster = names.contains(&zone.name));
    }

    /// Lets names fall through.
    pub fn set_fallthrough(&mut self, fallthrough: &Fallthrough) {
        self.all.iter_mut().for_each(|zone| zone.fallthrough = fallthrough.inside(zone.name.as_ref()));
    }

    /// What names in PTR records end in: the first zone that is no reverse one.
    pub fn primary(&self) -> NameRef<'_> {
        self.primary.as_ref()
    }
}

impl Zone {
    fn new(name: Name) -> Zone {
        let zone = name.to_string();
        let name_servers = format!("{NAME_SERVER}{zone}").find(&zone) == Some(NAME_SERVER.len());
        let mut trees = reverse_trees();
        let has_reverse_names = trees.any(|tree| name.as_ref().is_below(tree) || tree.is_below(name.as_ref()));
        let (mangled, fallthrough) = (mangled(&name), Fallthrough::default());
        Zone { mangled, multicluster: false, name_servers, has_reverse_names, fallthrough, name }
    }
}

/// What a server is called that no service stands for, in front of the zone.
const NAME_SERVER: &str = "ns.dns.";

/// Whether a lower-case name is below one of the two reverse trees; the trees themselves count as forward zones (spec 1.2).
pub fn is_reverse(name: NameRef<'_>) -> bool {
    reverse_trees().any(|tree| name.below(tree).is_some_and(|prefix| prefix > 0))
}

fn reverse_trees() -> impl Iterator<Item = NameRef<'static>> {
    [&b"\x07in-addr\x04arpa\0"[..], b"\x03ip6\x04arpa\0"].into_iter().filter_map(NameRef::read)
}

/// CoreDNS writes names into paths: a label with a slash becomes several, in reverse order.
fn mangled(zone: &Name) -> Option<Name> {
    zone.as_bytes().contains(&b'/').then(|| {
        let mut wire = Vec::new();
        for part in zone.as_ref().labels().flat_map(|label| label.rsplit(|&b| b == b'/')).filter(|p| !p.is_empty()) {
            wire.push(part.len() as u8);
            wire.extend_from_slice(part);
        }
        Name::join(&wire, NameRef::ROOT)
    })?
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::corefile::value;

    fn zones(texts: &[&str]) -> Option<Zones> {
        Zones::new(&value::names(texts))
    }

    #[test]
    fn the_longest_zone_is_found() {
        let zones = zones(&["local.", "cluster.local.", "0.10.in-addr.arpa."]).unwrap();
        let find = |name: &str| {
            let name = Name::from_text(name).unwrap();
            zones.find(name.as_ref()).map(|(zone, prefix)| (zone.name.to_string(), prefix))
        };
        assert_eq!(find("a.cluster.local"), Some(("cluster.local.".into(), 2)));
        assert_eq!(find("luster.local"), Some(("local.".into(), 7)));
        assert_eq!(find("1.0.10.in-addr.arpa"), Some(("0.10.in-addr.arpa.".into(), 2)));
        assert_eq!(find("org"), None);
    }

    #[test]
    fn the_primary_zone_is_the_first_forward_one() {
        let primary = |texts: &[&str]| zones(texts).map(|z| z.primary().to_string());
        assert_eq!(primary(&["10.in-addr.arpa.", "b.", "a."]).as_deref(), Some("b."));
        assert_eq!(primary(&["in-addr.arpa.", "b."]).as_deref(), Some("in-addr.arpa."));
        assert_eq!(primary(&["10.in-addr.arpa.", "d.f.ip6.arpa."]), None);
        assert_eq!(primary(&[]), None);
    }

    #[test]
    fn slashes_are_mangled() {
        let zones = zones(&["a.", "0/25.0.10.in-addr.arpa."]).unwrap();
        let shown = |name: &Name| zones.find(name.as_ref()).unwrap().0.mangled.as_ref().map(ToString::to_string);
        assert_eq!(shown(&Name::from_text("a").unwrap()), None);
        let classless = Name::from_text("0/25.0.10.in-addr.arpa").unwrap();
        assert_eq!(shown(&classless).as_deref(), Some("25.0.0.10.in-addr.arpa."));
    }
}
