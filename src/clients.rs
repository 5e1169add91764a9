//! Who asks, as far as limits are concerned, and the places that those who ask share.

use foldhash::fast::RandomState;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

/// An IPv4 address, or the network of an IPv6 address (its upper 64 bits: a host has all the rest).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Client {
    /// The address.
    V4(u32),
    /// Its network.
    V6(u64),
}

impl From<IpAddr> for Client {
    fn from(ip: IpAddr) -> Client {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Client::V4(ip.to_bits()),
            IpAddr::V6(ip) => Client::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Client::V4(ip) => Ipv4Addr::from_bits(ip).fmt(f),
            Client::V6(network) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(network) << 64)),
        }
    }
}

/// Clients are counted by a keyed hash of so many values: those of the same value share what one may have.
const GROUPS: usize = 1_024;
/// A client may have so many times the places that are free: one alone has four fifths of all, and there is always room for others
/// (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches").
const FACTOR: usize = 4;

/// Places of one worker, each for a connection or a query that waits.
pub struct Places {
    limit: usize,
    taken: Cell<usize>,
    groups: RefCell<Box<[u32]>>,
    hash: RandomState,
}

/// A place that is taken; free again when it is dropped.
pub struct Place {
    places: Rc<Places>,
    group: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// All are taken.
    All,
    /// This client has its share.
    Share,
}

impl Places {
    /// So many places.
    pub fn new(limit: usize) -> Rc<Places> {
        let groups = RefCell::new(vec![0; GROUPS].into());
        Rc::new(Places { limit, taken: Cell::new(0), groups, hash: RandomState::default() })
    }

    /// A place for something of this client.
    ///
    /// # Errors
    /// There is none for it.
    pub fn take(self: &Rc<Self>, ip: IpAddr) -> Result<Place, Full> {
        let (taken, group) = (self.taken.get(), self.hash.hash_one(Client::from(ip)) as usize % GROUPS);
        let free = self.limit.saturating_sub(taken);
        let has = &mut self.groups.borrow_mut()[group];
        if free == 0 {
            return Err(Full::All);
        }
        if *has as usize >= FACTOR * free {
            return Err(Full::Share);
        }
        *has += 1;
        self.taken.set(taken + 1);
        Ok(Place { places: self.clone(), group })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.set(self.places.taken.get() - 1);
        self.places.groups.borrow_mut()[self.group] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn one_client_leaves_room_for_the_others() {
        let places = Places::new(1_000);
        let mut of_one = Vec::new();
        let full = loop {
            match places.take(client(1)) {
                Ok(place) => of_one.push(place),
                Err(full) => break full,
            }
        };
        assert_eq!((full, of_one.len()), (Full::Share, 800));
        let of_another: Vec<Place> = (0..100).map_while(|_| places.take(client(2)).ok()).collect();
        assert_eq!(of_another.len(), 100);
        drop(of_one);
        assert!(places.take(client(1)).is_ok(), "places that are free again can be taken");
    }

    #[test]
    fn there_are_no_more_than_there_are() {
        let places = Places::new(10);
        let taken: Vec<Place> = (0..=255).filter_map(|n| places.take(client(n)).ok()).collect();
        assert_eq!(taken.len(), 10);
        assert_eq!(places.take(client(0)).err(), Some(Full::All));
    }

    #[test]
    fn a_client_is_an_address_or_a_network() {
        let of = |text: &str| Client::from(text.parse::<IpAddr>().expect("an address")).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }
}
