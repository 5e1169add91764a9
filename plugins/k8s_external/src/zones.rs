//! The zones that the directive answers for, and the names of their name servers.

use api::{Name, NameRef};

/// The zones of one directive.
pub struct Zones {
    /// The longest first, so that the first match is the right one.
    all: Vec<Zone>,
    primary: Name,
    server: Box<[u8]>,
    mailbox: Box<[u8]>,
}

/// One zone, in lower case.
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// Its name server.
    pub server: Name,
    /// The mailbox of who answers for it.
    pub mailbox: Name,
    /// What the name server is below, in lower case.
    apex: Name,
}

/// Where a name stands in its zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It is the zone.
    Apex,
    /// It is the name server.
    Servers,
    /// It is what the name server is below, and has no records.
    Nothing,
    /// It is below that, and does not exist.
    NoSuchName,
    /// It may be a service.
    Service,
}

impl Zones {
    /// The zones called `names`, in lower case, with name servers below `apex`; `None` where there is none. One whose name leaves no
    /// room for that is left out.
    pub fn new(names: Vec<Name>, apex: NameRef<'_>) -> Option<Zones> {
        let apex = apex.as_bytes().split_last().map_or(&[][..], |(_, labels)| labels);
        let (server, mailbox) = ([b"\x03ns1", apex].concat(), [b"\x0ahostmaster", apex].concat());
        let zone = |name: Name| {
            let under = |labels| Name::join(labels, name.as_ref());
            let (server, mailbox, apex) = (under(&server)?, under(&mailbox)?, under(apex)?.to_lower());
            Some(Zone { name, server, mailbox, apex })
        };
        let mut all: Vec<Zone> = names.into_iter().filter_map(zone).collect();
        let primary = all.first()?.name.clone();
        all.sort_by_key(|zone| std::cmp::Reverse(zone.name.as_bytes().len()));
        Some(Zones { all, primary, server: server.into(), mailbox: mailbox.into() })
    }

    /// The longest zone that `name`, in lower case, is or is below, and how many octets stand in front of it.
    pub fn find(&self, name: NameRef<'_>) -> Option<(&Zone, usize)> {
        self.all.iter().find_map(|zone| Some((zone, name.below(zone.name.as_ref())?)))
    }

    /// Where `name`, in lower case, stands in its zone, which begins at `offset`.
    pub fn place(&self, name: NameRef<'_>, offset: usize) -> Place {
        if offset == 0 {
            return Place::Apex;
        }
        if !self.all.iter().any(|zone| name.is_below(zone.apex.as_ref())) {
            return Place::Service;
        }
        let mut labels = name.labels();
        let (first, rest) = (labels.next(), name.parent().as_bytes().len());
        let zone = name.as_bytes().len() - offset;
        match rest.checked_sub(zone) {
            Some(0) => Place::Nothing,
            Some(_) if first == Some(b"ns1") && name.parent().parent().as_bytes().len() == zone => Place::Servers,
            _ => Place::NoSuchName,
        }
    }

    /// What names in PTR records end in: the first zone.
    pub fn primary(&self) -> NameRef<'_> {
        self.primary.as_ref()
    }

    /// The name server's labels in front of a zone, in wire form.
    pub fn server(&self) -> &[u8] {
        &self.server
    }

    /// The mailbox's labels in front of a zone, in wire form.
    pub fn mailbox(&self) -> &[u8] {
        &self.mailbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_place_in_the_longest_zone() {
        let names = ["example.", "sub.example.", "10.in-addr.arpa."].map(|text| Name::from_text(text).unwrap());
        for (apex, name, want) in [
            ("dns", "example", Some(("example.", Place::Apex))),
            ("dns", "sub.example", Some(("sub.example.", Place::Apex))),
            ("dns", "dns.example", Some(("example.", Place::Nothing))),
            ("dns", "ns1.dns.example", Some(("example.", Place::Servers))),
            ("dns", "ns2.dns.example", Some(("example.", Place::NoSuchName))),
            ("dns", "a.ns1.dns.example", Some(("example.", Place::NoSuchName))),
            ("dns", "ns1.dns.sub.example", Some(("sub.example.", Place::Servers))),
            ("dns", "web.shop.example", Some(("example.", Place::Service))),
            ("dns", "xdns.example", Some(("example.", Place::Service))),
            ("EXT", "ns1.ext.example", Some(("example.", Place::Servers))),
            ("EXT", "ns1.dns.example", Some(("example.", Place::Service))),
            ("a.b", "a.b.example", Some(("example.", Place::NoSuchName))),
            ("dns", "1.10.in-addr.arpa", Some(("10.in-addr.arpa.", Place::Service))),
            ("dns", "org", None),
        ] {
            let zones = Zones::new(names.to_vec(), Name::from_text(apex).unwrap().as_ref()).unwrap();
            let name = Name::from_text(name).unwrap();
            let found = zones.find(name.as_ref());
            let found = found.map(|(zone, offset)| (zone.name.to_string(), zones.place(name.as_ref(), offset)));
            assert_eq!(found, want.map(|(zone, place)| (zone.to_owned(), place)), "{name} {apex}");
            assert_eq!(zones.primary().to_string(), "example.");
        }
    }

    #[test]
    fn names_of_name_servers_keep_the_letters_of_the_apex() {
        let example = Name::from_text("example").unwrap();
        let zones = Zones::new(vec![example.clone()], Name::from_text("EXT").unwrap().as_ref()).unwrap();
        let (zone, _) = zones.find(example.as_ref()).unwrap();
        assert_eq!(
            (zone.server.to_string(), zone.mailbox.to_string()),
            ("ns1.EXT.example.".into(), "hostmaster.EXT.example.".into())
        );
        let long = Name::from_text(&"a.".repeat(124)).unwrap();
        assert!(Zones::new(vec![long], NameRef::ROOT).is_none());
    }
}
