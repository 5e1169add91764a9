//! What a hosts file says: the addresses of names, the names of addresses.

use api::{Name, NameRef};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether names of addresses are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reverse {
    /// They are.
    On,
    /// They are not (`no_reverse`).
    Off,
}

/// Names in lower case, by their octets, with their addresses; and the other way round.
#[derive(Default)]
pub struct Table {
    v4: ByName<Ipv4Addr>,
    v6: ByName<Ipv6Addr>,
    names: HashMap<IpAddr, Vec<Name>, foldhash::fast::RandomState>,
}

type ByName<T> = HashMap<Box<[u8]>, Vec<T>, foldhash::fast::RandomState>;

impl Table {
    /// Reads lines of an address and names. What is malformed, or outside of `zones`, is left out.
    pub fn parse(text: &[u8], zones: &[Name], reverse: Reverse) -> Table {
        let mut table = Table::default();
        for line in text.split(|&b| b == b'\n') {
            let line = String::from_utf8_lossy(line.split(|&b| b == b'#').next().unwrap_or_default());
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(address) else { continue };
            for name in words.filter_map(|word| Name::from_text(word).ok()).map(|name| name.to_lower()) {
                if zones.iter().any(|zone| name.as_ref().is_below(zone.as_ref())) {
                    table.add(name, address, reverse);
                }
            }
        }
        table
    }

    fn add(&mut self, name: Name, address: IpAddr, reverse: Reverse) {
        match address {
            IpAddr::V4(a) => self.v4.entry(name.as_bytes().into()).or_default().push(a),
            IpAddr::V6(a) => self.v6.entry(name.as_bytes().into()).or_default().push(a),
        }
        if reverse == Reverse::On && !name.as_bytes().starts_with(WILDCARD) {
            self.names.entry(address).or_default().push(name);
        }
    }

    /// The IPv4 addresses of a name in lower case.
    pub fn v4(&self, name: NameRef<'_>) -> &[Ipv4Addr] {
        look_up(&self.v4, name)
    }

    /// The IPv6 addresses of a name in lower case.
    pub fn v6(&self, name: NameRef<'_>) -> &[Ipv6Addr] {
        look_up(&self.v6, name)
    }

    /// The names of an address.
    pub fn names(&self, address: IpAddr) -> &[Name] {
        self.names.get(&address).map_or(&[], Vec::as_slice)
    }

    /// How many addresses of names and names of addresses there are.
    pub fn len(&self) -> usize {
        let v4: usize = self.v4.values().map(Vec::len).sum();
        let v6: usize = self.v6.values().map(Vec::len).sum();
        v4 + v6 + self.names.values().map(Vec::len).sum::<usize>()
    }
}

/// The addresses of a name, or of the asterisk in the place of its first label.
fn look_up<'a, T>(table: &'a ByName<T>, name: NameRef<'_>) -> &'a [T] {
    if table.is_empty() {
        return &[];
    }
    if let Some(found) = table.get(name.as_bytes()) {
        return found;
    }
    let parent = name.parent().as_bytes();
    let mut wildcard = [0; api::name::MAX_NAME + WILDCARD.len()];
    let (front, rest) = wildcard.split_at_mut(WILDCARD.len());
    front.copy_from_slice(WILDCARD);
    rest[..parent.len()].copy_from_slice(parent);
    table.get(&wildcard[..WILDCARD.len() + parent.len()]).map_or(&[], Vec::as_slice)
}

const WILDCARD: &[u8] = b"\x01*";

/// An address; the zone of one of IPv6 is cut off, an IPv4 address in the form of an IPv6 one is the former.
pub fn address(word: &str) -> Option<IpAddr> {
    let word = word.split('%').next().unwrap_or_default();
    word.parse::<IpAddr>().ok().map(|a| a.to_canonical())
}
