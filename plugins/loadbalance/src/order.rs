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

thread_local! {
    /// Places of records, in the order that they are to have.
    static ORDER: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// Puts the records of `sections` into their groups, and each group into the order that `arrange` makes of its places. Other
/// sections stay as they are.
pub fn regroup(
    reply: &mut Reply,
    sections: impl Fn(Section) -> bool,
    mut arrange: impl FnMut(&Reply, Group, &mut [u16]),
) {
    ORDER.with_borrow_mut(|order| {
        order.clear();
        order.extend(0..reply.records().len() as u16);
        let group = |section, rtype| if sections(section) { Some(Group::of(rtype)) } else { None };
        let key = |i: u16| reply.record(i.into()).map(|r| (r.section(), group(r.section(), r.rtype())));
        // Stable, so that others keep their order; in place where the records are few or in order.
        if !order.is_sorted_by_key(|&i| key(i)) {
            order.sort_by_key(|&i| key(i));
        }
        let mut from = 0;
        while from < order.len() {
            let here = key(order[from]);
            let end = from + order[from..].iter().take_while(|&&i| key(i) == here).count();
            if let Some((_, Some(group))) = here {
                arrange(reply, group, &mut order[from..end]);
            }
            from = end;
        }
        reply.reorder(order);
    });
}

/// The address in the data of an A or AAAA record; an IPv4 address in the form of an IPv6 one is the former.
pub fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(data).ok().map(|a| IpAddr::from(a).to_canonical()))
}
