//! Records in groups: which stand where in a section.

use api::{RecordType, Reply, Section};
use std::cell::RefCell;
use std::net::IpAddr;

/// What is kept together in a section, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// CNAME.
    Alias,
    /// All that is nothing else.
    Other,
    /// A and AAAA.
    Address,
    /// MX.
    Exchanger,
}

impl Group {
    /// The group of a type.
    pub fn of(rtype: RecordType) -> Group {
        match rtype {
            RecordType::CNAME => Group::Alias,
            RecordType::A | RecordType::AAAA => Group::Address,
            RecordType::MX => Group::Exchanger,
            _ => Group::Other,
        }
    }
}

/// Places of records.
struct Order {
    /// What each record is kept together with, by its place: the section, and, where it is put in order, the group.
    keys: Vec<(Section, Option<Group>)>,
    /// The places, in the order that the records are to have.
    places: Vec<u16>,
}

thread_local! {
    static ORDER: RefCell<Order> = const { RefCell::new(Order { keys: Vec::new(), places: Vec::new() }) };
}

/// Puts the records of `sections` into their groups, and each group into the order that `arrange` makes of its places. Other
/// sections stay as they are.
pub fn regroup(
    reply: &mut Reply,
    sections: impl Fn(Section) -> bool,
    mut arrange: impl FnMut(&Reply, Group, &mut [u16]),
) {
    ORDER.with_borrow_mut(|Order { keys, places }| {
        keys.clear();
        keys.extend(reply.records().map(|r| (r.section(), sections(r.section()).then(|| Group::of(r.rtype())))));
        places.clear();
        places.extend(0..keys.len() as u16);
        let key = |place: u16| keys[usize::from(place)];
        // Stable, so that others keep their order; in place where the records are few or in order.
        if !keys.is_sorted() {
            places.sort_by_key(|&place| key(place));
        }
        for together in places.chunk_by_mut(|&a, &b| key(a) == key(b)) {
            if let Some(group) = key(together[0]).1 {
                arrange(reply, group, together);
            }
        }
        reply.reorder(places);
    });
}

/// The address in the data of an A or AAAA record; an IPv4 address in the form of an IPv6 one is the former.
pub fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(data).ok().map(|a| IpAddr::from(a).to_canonical()))
}
