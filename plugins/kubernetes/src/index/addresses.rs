//! Addresses as the index keeps them, as text, and as host labels.

use smallvec::SmallVec;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 and IPv6 addresses, 4 and 16 octets each, each family in its original order.
#[derive(PartialEq, Default, Clone)]
pub struct Addresses {
    /// With room for one of each family beside the other numbers.
    pub(super) octets: SmallVec<[u8; 20]>,
    v4: u32,
    /// Numbers of those that the API does not write in the canonical form: nobody finds them by address.
    odd: Option<Box<[u32]>>,
}

impl Addresses {
    /// Keeps the addresses in their order, each with whether its text is not canonical.
    pub fn new(v4: &[([u8; 4], bool)], v6: &[([u8; 16], bool)]) -> Self {
        let octets = v4.iter().flat_map(|a| a.0).chain(v6.iter().flat_map(|a| a.0)).collect();
        let odd = v4.iter().map(|a| a.1).chain(v6.iter().map(|a| a.1)).enumerate().filter(|(_, odd)| *odd);
        let odd: Box<[u32]> = odd.map(|(number, _)| number as u32).collect();
        Addresses { octets, v4: v4.len() as u32, odd: (!odd.is_empty()).then_some(odd) }
    }

    /// IPv4 addresses.
    pub fn v4(&self) -> &[[u8; 4]] {
        self.octets[..self.v4 as usize * 4].as_chunks().0
    }

    /// IPv6 addresses.
    pub fn v6(&self) -> &[[u8; 16]] {
        self.octets[self.v4 as usize * 4..].as_chunks().0
    }

    /// How many of both.
    pub fn len(&self) -> usize {
        self.v4().len() + self.v6().len()
    }

    /// Those that can be found by address.
    pub fn canonical(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.len()).filter(|&n| !self.is_odd(n)).filter_map(|n| self.get(n))
    }

    /// The numbers, IPv4 first, under which `address` can be found.
    pub fn find(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        let v4 = address_v4(address).into_iter().flat_map(|a| positions(self.v4(), a));
        let v6 = address_v6(address).into_iter().flat_map(|a| positions(self.v6(), a));
        v4.chain(v6.map(|n| n + self.v4().len())).filter(|&n| !self.is_odd(n))
    }

    /// All, IPv4 first, each once.
    pub fn distinct(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.len()).filter(|&n| !self.repeated(n, |_| true)).filter_map(|n| self.get(n))
    }

    /// Whether the address with this number stands under a lower number that `counts` as well.
    pub fn repeated(&self, number: usize, counts: impl Fn(usize) -> bool) -> bool {
        let (v4, v6) = (self.v4(), self.v6());
        match number.checked_sub(v4.len()) {
            None => positions(&v4[..number], v4[number]).any(counts),
            Some(at) => v6.get(at).is_some_and(|&a| positions(&v6[..at], a).any(|n| counts(n + v4.len()))),
        }
    }

    /// Whether `address` is one of them, however it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4().contains(&a.octets()),
            IpAddr::V6(a) => self.v6().contains(&a.octets()),
        }
    }

    /// The address with this number, IPv4 first.
    pub fn get(&self, number: usize) -> Option<IpAddr> {
        let (v4, v6) = (self.v4(), self.v6());
        match v4.get(number) {
            Some(&a) => Some(IpAddr::V4(Ipv4Addr::from(a))),
            None => v6.get(number - v4.len()).map(|&a| IpAddr::V6(Ipv6Addr::from(a))),
        }
    }

    /// Whether the API does not write it in the canonical form.
    pub fn is_odd(&self, number: usize) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.binary_search(&(number as u32)).is_ok())
    }

    pub(super) fn repeats(&self) -> bool {
        repeats(self.v4().to_vec()) || repeats(self.v6().to_vec())
    }
}

/// An address as text, without an allocation.
pub struct AddressText {
    octets: [u8; 48],
    len: usize,
}

impl Default for AddressText {
    fn default() -> Self {
        AddressText { octets: [0; 48], len: 0 }
    }
}

impl AddressText {
    /// The canonical form, as Go and Rust both print it.
    pub fn write(&mut self, address: IpAddr) -> &[u8] {
        self.len = 0;
        self.append(address);
        &self.octets[..self.len]
    }

    fn append(&mut self, address: IpAddr) {
        write!(self, "{address}").expect("no address is longer than 45 octets");
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let space = self.octets.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Where the host label of an address is written.
#[derive(Default)]
pub struct HostSpace(AddressText);

impl HostSpace {
    /// The wire label that stands for an address (spec 4): its text with `-` for `.` and `:`, and a final `0` where
    /// it would end in `-`.
    pub fn write(&mut self, address: IpAddr) -> &[u8] {
        self.0.len = 1;
        self.0.append(address);
        let AddressText { octets, len } = &mut self.0;
        for octet in octets[1..*len].iter_mut().filter(|o| matches!(**o, b'.' | b':')) {
            *octet = b'-';
        }
        if octets[*len - 1] == b'-' {
            octets[*len] = b'0';
            *len += 1;
        }
        octets[0] = (*len - 1) as u8;
        &octets[..*len]
    }
}

/// The address whose host label this is, if it is one.
pub fn address_of_host(label: &[u8]) -> Option<IpAddr> {
    let possible = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
    let text = label.get(1..).filter(|text| text.len() <= 45 && text.iter().all(possible))?;
    let mut octets = [0; 45];
    let octets = &mut octets[..text.len()];
    octets.copy_from_slice(text);
    let mut read_as = |sign| {
        for (to, from) in octets.iter_mut().zip(text) {
            *to = if *from == b'-' { sign } else { *from };
        }
        std::str::from_utf8(octets).ok()?.parse::<IpAddr>().ok()
    };
    let address = read_as(b'.').or_else(|| read_as(b':'))?;
    (HostSpace::default().write(address) == label).then_some(address)
}

fn address_v4(address: IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(a) => Some(a.octets()),
        IpAddr::V6(_) => None,
    }
}

fn address_v6(address: IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(a) => Some(a.octets()),
    }
}

fn positions<T: PartialEq>(all: &[T], one: T) -> impl Iterator<Item = usize> {
    all.iter().enumerate().filter(move |(_, a)| **a == one).map(|(at, _)| at)
}

fn repeats<T: Ord>(mut all: Vec<T>) -> bool {
    all.sort_unstable();
    all.windows(2).any(|w| w[0] == w[1])
}
