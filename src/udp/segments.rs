//! Which replies of a batch leave together: those to one client, as the segments of one datagram that the system cuts up as late as
//! it can (UDP GSO, Linux 4.18). Cutting costs it less than taking each of them through the network by itself.
//!
//! All segments are as long as the first one, but for the last, which may be shorter: so a client's replies to A and AAAA leave together.

use super::batch::BATCH;
use std::net::{IpAddr, SocketAddr};

/// The longest segment: fits into any link that IPv6 may use (RFC 8200 5), with the headers of either family.
const LONGEST: usize = 1232;
/// Octets of all segments; a datagram has no room for many more.
const MOST: usize = 60_000;
/// Places in the table of the groups that may still grow.
const OPEN: usize = 64;

/// Some of the places of a batch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Places(u64);

/// Replies that leave together, or one by itself.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The places of all of them.
    pub members: Places,
    /// The one that is shorter than the others, and so the last.
    shorter: Option<usize>,
    /// How many they are.
    pub count: usize,
    /// Octets of each but the last.
    length: usize,
    /// The way of all of them.
    pub way: Way,
}

/// Where a reply goes, and from which address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The client.
    pub to: SocketAddr,
    /// The address that it leaves from, where the socket is bound to all.
    pub local: Option<IpAddr>,
}

/// The groups of a batch.
#[derive(Default)]
pub struct Groups {
    all: Vec<Group>,
    /// The last group for clients with these ports, by their lower bits; one more than its place in `all`.
    open: Open,
}

struct Open([u8; OPEN]);

impl Default for Open {
    fn default() -> Self {
        Open([0; OPEN])
    }
}

impl Places {
    /// The first `count` places.
    pub fn first(count: usize) -> Places {
        let count = count.min(BATCH) as u32;
        Places(u64::MAX.checked_shr(BATCH as u32 - count).unwrap_or(0))
    }

    /// One place.
    fn one(place: usize) -> Places {
        Places(1 << place)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `place` is one of them.
    pub fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// Adds those of `others`.
    pub fn add(&mut self, others: Places) {
        self.0 |= others.0;
    }

    /// Takes those of `others` out.
    pub fn take_out(&mut self, others: Places) {
        self.0 &= !others.0;
    }

    /// Takes one out.
    pub fn take_out_one(&mut self, place: usize) {
        self.take_out(Places::one(place));
    }

    /// They, from the first to the last.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let place = (rest != 0).then_some(rest.trailing_zeros() as usize);
            rest &= rest.wrapping_sub(1);
            place
        })
    }
}

impl Group {
    fn new(place: usize, length: usize, way: Way) -> Group {
        Group { members: Places::one(place), shorter: None, count: 1, length, way }
    }

    /// The places in the order in which they leave.
    pub fn in_order(self) -> impl Iterator<Item = usize> {
        let mut long = self.members;
        long.take_out(self.shorter.map_or_else(Places::default, Places::one));
        long.iter().chain(self.shorter)
    }

    /// The length of the segments that they are cut into again, where they are several.
    pub fn segments(&self) -> Option<u16> {
        (self.count > 1).then_some(self.length as u16)
    }

    /// Takes a reply in where that is possible; whether it was.
    fn take(&mut self, place: usize, length: usize, way: Way) -> bool {
        if way != self.way || self.shorter.is_some() || (self.count + 1) * self.length.max(length) > MOST {
            return false;
        }
        if length < self.length {
            self.shorter = Some(place);
        } else if length > self.length {
            if self.count > 1 {
                return false;
            }
            self.shorter = self.members.iter().next();
            self.length = length;
        }
        self.members.add(Places::one(place));
        self.count += 1;
        true
    }
}

impl Groups {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.all.clear();
        self.open = Open::default();
    }

    /// Adds a reply that leaves by itself.
    pub fn add_alone(&mut self, place: usize, length: usize, way: Way) {
        self.all.push(Group::new(place, length, way));
    }

    /// Adds a reply: to the last group for its client where that may grow, or else by itself.
    pub fn add(&mut self, place: usize, length: usize, way: Way) {
        if length > LONGEST {
            return self.add_alone(place, length, way);
        }
        let open = &mut self.open.0[usize::from(way.to.port()) % OPEN];
        let last = usize::from(*open).checked_sub(1).and_then(|last| self.all.get_mut(last));
        if last.is_none_or(|group| !group.take(place, length, way)) {
            self.all.push(Group::new(place, length, way));
            *open = self.all.len() as u8;
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Group] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(port: u16, local: u8) -> Way {
        Way { to: SocketAddr::from(([10, 0, 0, 1], port)), local: Some(IpAddr::from([10, 0, 0, local])) }
    }

    /// The places of each group, in their order.
    fn grouped(replies: &[(Way, usize)]) -> Vec<Vec<usize>> {
        let mut groups = Groups::default();
        replies.iter().enumerate().for_each(|(place, (way, length))| groups.add(place, *length, *way));
        groups.all().iter().map(|group| group.in_order().collect()).collect()
    }

    #[test]
    fn replies_to_one_client_leave_together_the_shorter_one_last() {
        let (one, other) = (way(1, 1), way(2, 1));
        assert_eq!(grouped(&[(one, 80), (other, 90), (one, 120), (other, 60)]), [[2, 0], [1, 3]]);
        assert_eq!(grouped(&[(one, 80), (one, 80), (one, 70), (one, 70)]), [vec![0, 1, 2], vec![3]]);
        assert_eq!(grouped(&[(one, 80), (one, 80), (one, 90), (one, 90)]), [[0, 1], [2, 3]]);
    }

    #[test]
    fn others_do_not() {
        let alike = way(1 + OPEN as u16, 1);
        assert_eq!(
            grouped(&[(way(1, 1), 80), (way(1, 2), 80), (alike, 80), (alike, 80)]),
            [vec![0], vec![1], vec![2, 3]]
        );
        assert_eq!(grouped(&[(way(1, 1), LONGEST + 1), (way(1, 1), LONGEST + 1)]), [[0], [1]]);
        let many = grouped(&[(way(1, 1), LONGEST); BATCH]);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [MOST / LONGEST, BATCH - MOST / LONGEST]);
    }

    #[test]
    fn places() {
        assert_eq!([0, 1, 64].map(|n| Places::first(n).iter().count()), [0, 1, 64]);
        let mut places = Places::first(4);
        places.take_out_one(1);
        assert_eq!(places.iter().collect::<Vec<_>>(), [0, 2, 3]);
        assert!(places.has(2) && !places.has(1) && !places.is_empty());
        places.take_out(Places::first(3));
        assert_eq!(places, Places::one(3));
    }
}
